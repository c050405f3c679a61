//! A schema with its names resolved: a tree whose named types stand once in an environment.

use std::collections::HashMap;

use apache_avro::schema::Schema;
use serde_json::{Map, Value};

use crate::lint::full_name;

/// Deepest nesting of JSON that is walked.
const NESTING_MAX: usize = 64;

/// Why a text is not a schema.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("invalid schema: {detail}")]
pub struct SchemaError {
    pub detail: String,
}

impl SchemaError {
    fn new(detail: impl Into<String>) -> Self {
        Self { detail: detail.into() }
    }
}

/// A schema and everything it names.
#[derive(Clone, Debug, PartialEq)]
pub struct Types {
    pub(crate) root: Type,
    pub(crate) named: HashMap<String, Named>,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Type {
    Primitive(Primitive, Option<Logical>),
    Array(Box<Self>),
    Map(Box<Self>),
    Union(Vec<Self>),
    /// By full name, in the environment.
    Named(String),
}

/// What a primitive or a fixed stands for. Resolution does not look at it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Logical {
    pub(crate) name: String,
    /// Of a decimal.
    pub(crate) precision: Option<u64>,
    pub(crate) scale: Option<u64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Primitive {
    Null,
    Boolean,
    Int,
    Long,
    Float,
    Double,
    Bytes,
    String,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Named {
    /// Full names under which a reader of this type also takes data.
    pub(crate) aliases: Vec<String>,
    pub(crate) doc: Option<String>,
    pub(crate) body: Body,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Body {
    Record(Vec<Field>),
    Enum { symbols: Vec<String>, default: Option<String> },
    Fixed { size: u64, logical: Option<Logical> },
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Field {
    pub(crate) name: String,
    pub(crate) aliases: Vec<String>,
    pub(crate) doc: Option<String>,
    pub(crate) kind: Type,
    pub(crate) default: Option<Value>,
}

impl Types {
    /// Resolves a schema; `references` are the texts of what it refers to, each before its users.
    ///
    /// # Errors
    /// When it is not valid Avro, or names something that is not there.
    pub fn parse(text: &str, references: &[String]) -> Result<Self, SchemaError> {
        let texts = references.iter().map(String::as_str).chain([text]);
        Schema::parse_list(texts).map_err(|error| SchemaError::new(error.to_string()))?;
        let mut environment = Environment { named: HashMap::new() };
        for referenced in references {
            environment.resolve(&json(referenced)?, "", 0)?;
        }
        let root = environment.resolve(&json(text)?, "", 0)?;
        Ok(Self { root, named: environment.named })
    }
}

fn json(text: &str) -> Result<Value, SchemaError> {
    serde_json::from_str(text).map_err(|error| SchemaError::new(error.to_string()))
}

struct Environment {
    named: HashMap<String, Named>,
}

impl Environment {
    fn resolve(
        &mut self,
        schema: &Value,
        namespace: &str,
        level: usize,
    ) -> Result<Type, SchemaError> {
        if level > NESTING_MAX {
            return Err(SchemaError::new("nested too deep"));
        }
        match schema {
            Value::String(name) => self.by_name(name, namespace),
            Value::Array(branches) => {
                let branch = |branch| self.resolve(branch, namespace, level + 1);
                branches.iter().map(branch).collect::<Result<_, _>>().map(Type::Union)
            }
            Value::Object(object) => self.complex(object, namespace, level),
            Value::Null | Value::Bool(_) | Value::Number(_) => {
                Err(SchemaError::new(format!("not a type: {schema}")))
            }
        }
    }

    fn by_name(&self, name: &str, namespace: &str) -> Result<Type, SchemaError> {
        if let Some(primitive) = Primitive::from_name(name) {
            return Ok(Type::Primitive(primitive, None));
        }
        let in_namespace = full_name(name, namespace);
        // A simple name may also stand for one outside of any namespace.
        for candidate in [in_namespace.as_str(), name] {
            if self.named.contains_key(candidate) {
                return Ok(Type::Named(candidate.to_owned()));
            }
        }
        Err(SchemaError::new(format!("unknown type `{in_namespace}`")))
    }

    fn complex(
        &mut self,
        object: &Map<String, Value>,
        namespace: &str,
        level: usize,
    ) -> Result<Type, SchemaError> {
        let inner = |key: &str| {
            object.get(key).ok_or_else(|| SchemaError::new(format!("`{key}` is missing")))
        };
        let kind = inner("type")?;
        let Value::String(word) = kind else {
            return self.resolve(kind, namespace, level + 1);
        };
        match word.as_str() {
            "record" | "error" | "enum" | "fixed" => self.define(word, object, namespace, level),
            "array" => {
                Ok(Type::Array(Box::new(self.resolve(inner("items")?, namespace, level + 1)?)))
            }
            "map" => {
                Ok(Type::Map(Box::new(self.resolve(inner("values")?, namespace, level + 1)?)))
            }
            name => Ok(match self.by_name(name, namespace)? {
                Type::Primitive(primitive, _) => Type::Primitive(primitive, logical(object)),
                other @ (Type::Array(_) | Type::Map(_) | Type::Union(_) | Type::Named(_)) => other,
            }),
        }
    }

    fn define(
        &mut self,
        kind: &str,
        object: &Map<String, Value>,
        outer: &str,
        level: usize,
    ) -> Result<Type, SchemaError> {
        let name = text(object, "name").unwrap_or_default();
        let name = full_name(name, text(object, "namespace").unwrap_or(outer));
        let namespace = name.rsplit_once('.').map_or("", |(namespace, _)| namespace).to_owned();
        let aliases =
            texts(object, "aliases").map(|alias| full_name(alias, &namespace)).collect::<Vec<_>>();
        let doc = text(object, "doc").map(str::to_owned);
        let empty = Named { aliases, doc, body: Body::Record(Vec::new()) };
        // Known by its name before its fields are read, since they may refer to it.
        self.named.insert(name.clone(), empty);
        let body = match kind {
            "enum" => Body::Enum {
                symbols: texts(object, "symbols").map(str::to_owned).collect(),
                default: text(object, "default").map(str::to_owned),
            },
            "fixed" => Body::Fixed {
                size: object.get("size").and_then(Value::as_u64).unwrap_or(0),
                logical: logical(object),
            },
            _ => Body::Record(self.fields(object, &namespace, level)?),
        };
        if let Some(named) = self.named.get_mut(&name) {
            named.body = body;
        }
        Ok(Type::Named(name))
    }

    fn fields(
        &mut self,
        object: &Map<String, Value>,
        namespace: &str,
        level: usize,
    ) -> Result<Vec<Field>, SchemaError> {
        let mut fields = Vec::new();
        for field in object.get("fields").and_then(Value::as_array).into_iter().flatten() {
            let Value::Object(field) = field else {
                return Err(SchemaError::new(format!("not a field: {field}")));
            };
            let kind = field.get("type").ok_or_else(|| SchemaError::new("a field has no type"))?;
            fields.push(Field {
                name: text(field, "name").unwrap_or_default().to_owned(),
                aliases: texts(field, "aliases").map(str::to_owned).collect(),
                doc: text(field, "doc").map(str::to_owned),
                kind: self.resolve(kind, namespace, level + 1)?,
                default: field.get("default").cloned(),
            });
        }
        Ok(fields)
    }
}

impl Primitive {
    fn from_name(name: &str) -> Option<Self> {
        Some(match name {
            "null" => Self::Null,
            "boolean" => Self::Boolean,
            "int" => Self::Int,
            "long" => Self::Long,
            "float" => Self::Float,
            "double" => Self::Double,
            "bytes" => Self::Bytes,
            "string" => Self::String,
            _ => return None,
        })
    }

    /// Whether a reader of this type takes what was written as the other.
    pub(crate) fn reads(self, writer: Self) -> bool {
        if self == writer {
            return true;
        }
        match self {
            Self::Long => writer == Self::Int,
            Self::Float => matches!(writer, Self::Int | Self::Long),
            Self::Double => matches!(writer, Self::Int | Self::Long | Self::Float),
            Self::Bytes => writer == Self::String,
            Self::String => writer == Self::Bytes,
            Self::Null | Self::Boolean | Self::Int => false,
        }
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Boolean => "boolean",
            Self::Int => "int",
            Self::Long => "long",
            Self::Float => "float",
            Self::Double => "double",
            Self::Bytes => "bytes",
            Self::String => "string",
        }
    }
}

fn logical(object: &Map<String, Value>) -> Option<Logical> {
    let number = |key: &str| object.get(key).and_then(Value::as_u64);
    let name = text(object, "logicalType")?.to_owned();
    Some(Logical { name, precision: number("precision"), scale: number("scale") })
}

fn text<'a>(object: &'a Map<String, Value>, key: &str) -> Option<&'a str> {
    object.get(key).and_then(Value::as_str)
}

fn texts<'a>(object: &'a Map<String, Value>, key: &str) -> impl Iterator<Item = &'a str> {
    object.get(key).and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str)
}
