//! What code is generated from: records and enums, each once.

use std::collections::BTreeSet;

use serde_json::{Map, Value};
use upnext_contract::evolution::ContractSchema;

/// Types in the order in which they are first met.
#[derive(Default)]
pub(super) struct Definitions {
    pub(super) enums: Vec<Enumeration>,
    pub(super) records: Vec<Record>,
    names: BTreeSet<String>,
}

pub(super) struct Enumeration {
    pub(super) name: String,
    pub(super) namespace: String,
    pub(super) doc: String,
    pub(super) symbols: Vec<String>,
    pub(super) default: Option<String>,
}

pub(super) struct Record {
    pub(super) name: String,
    pub(super) namespace: String,
    pub(super) doc: String,
    pub(super) fields: Vec<Field>,
    /// Whether it is sent as an event, whose type the JSON form names.
    pub(super) is_event: bool,
}

pub(super) struct Field {
    pub(super) name: String,
    pub(super) doc: String,
    pub(super) shape: Shape,
    pub(super) default: Option<Value>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    Flag,
    Int,
    Long,
    Float,
    Double,
    Bytes,
    Text,
    Optional(Box<Shape>),
    List(Box<Shape>),
    Map(Box<Shape>),
    Enum(String),
    Record(String),
}

impl Definitions {
    /// # Errors
    /// The first type that has no counterpart.
    pub(super) fn read<'a>(
        schemas: impl Iterator<Item = &'a ContractSchema>,
    ) -> Result<Self, String> {
        let mut definitions = Self::default();
        for schema in schemas {
            let json: Value = serde_json::from_str(&schema.text)
                .map_err(|error| format!("{}: {error}", schema.path))?;
            definitions
                .shape(&json, "", schema.is_event())
                .map_err(|detail| format!("{}: {detail}", schema.path))?;
        }
        Ok(definitions)
    }

    fn shape(&mut self, json: &Value, namespace: &str, is_event: bool) -> Result<Shape, String> {
        match json {
            Value::String(name) => self.named(name),
            Value::Array(branches) => {
                let others: Vec<&Value> = branches.iter().filter(|one| **one != "null").collect();
                match others.as_slice() {
                    [one] if branches.len() == 2 => {
                        Ok(Shape::Optional(Box::new(self.shape(one, namespace, false)?)))
                    }
                    _ => Err("a union of several types has no counterpart".to_owned()),
                }
            }
            Value::Object(object) => self.complex(object, namespace, is_event),
            Value::Null | Value::Bool(_) | Value::Number(_) => Err(format!("no type: {json}")),
        }
    }

    fn named(&self, name: &str) -> Result<Shape, String> {
        Ok(match name {
            "boolean" => Shape::Flag,
            "int" => Shape::Int,
            "long" => Shape::Long,
            "float" => Shape::Float,
            "double" => Shape::Double,
            "bytes" => Shape::Bytes,
            "string" => Shape::Text,
            other => {
                let name = other.rsplit('.').next().unwrap_or_default().to_owned();
                if self.enums.iter().any(|known| known.name == name) {
                    Shape::Enum(name)
                } else if self.names.contains(&name) {
                    Shape::Record(name)
                } else {
                    return Err(format!("`{other}` is not known"));
                }
            }
        })
    }

    fn complex(
        &mut self,
        object: &Map<String, Value>,
        outer: &str,
        is_event: bool,
    ) -> Result<Shape, String> {
        let namespace = object.get("namespace").and_then(Value::as_str).unwrap_or(outer);
        let mut inner = |key: &str| match object.get(key) {
            Some(json) => self.shape(json, namespace, false).map(Box::new),
            None => Err(format!("`{key}` is missing")),
        };
        match text(object, "type").as_str() {
            "array" => Ok(Shape::List(inner("items")?)),
            "map" => Ok(Shape::Map(inner("values")?)),
            "fixed" => Ok(Shape::Bytes),
            "enum" => Ok(self.enumeration(object, namespace)),
            "record" => self.record(object, namespace, is_event),
            _ => inner("type").map(|shape| *shape),
        }
    }

    fn enumeration(&mut self, object: &Map<String, Value>, namespace: &str) -> Shape {
        let name = text(object, "name");
        if self.names.insert(name.clone()) {
            let symbols = object.get("symbols").and_then(Value::as_array);
            let symbols = symbols.into_iter().flatten().filter_map(Value::as_str);
            self.enums.push(Enumeration {
                name: name.clone(),
                namespace: namespace.to_owned(),
                doc: text(object, "doc"),
                symbols: symbols.map(str::to_owned).collect(),
                default: object.get("default").and_then(Value::as_str).map(str::to_owned),
            });
        }
        Shape::Enum(name)
    }

    fn record(
        &mut self,
        object: &Map<String, Value>,
        namespace: &str,
        is_event: bool,
    ) -> Result<Shape, String> {
        let name = text(object, "name");
        if !self.names.insert(name.clone()) {
            return Ok(Shape::Record(name));
        }
        let mut fields = Vec::new();
        for field in object.get("fields").and_then(Value::as_array).into_iter().flatten() {
            let Some(field) = field.as_object() else { continue };
            let name = text(field, "name");
            let kind = field.get("type").ok_or_else(|| format!("`{name}` has no type"))?;
            let shape = self
                .shape(kind, namespace, false)
                .map_err(|detail| format!("`{name}`: {detail}"))?;
            let default = field.get("default").cloned();
            fields.push(Field { name, doc: text(field, "doc"), shape, default });
        }
        let namespace = namespace.to_owned();
        let doc = text(object, "doc");
        self.records.push(Record { name: name.clone(), namespace, doc, fields, is_event });
        Ok(Shape::Record(name))
    }
}

fn text(object: &Map<String, Value>, key: &str) -> String {
    object.get(key).and_then(Value::as_str).unwrap_or_default().to_owned()
}
