//! A schema as the generator holds it, and as Avro writes it.

use std::collections::{HashMap, HashSet};

use serde_json::{Value, json};

use super::generate::fits;

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Shape {
    Primitive(&'static str),
    /// A primitive and what it stands for.
    Logical(&'static str, &'static str),
    Array(Box<Shape>),
    Map(Box<Shape>),
    Union(Vec<Shape>),
    Record(Named, Vec<Field>),
    Enum(Named, Vec<String>, Option<String>),
    Fixed(Named, usize),
    /// A named type of this schema, by its number.
    Reference(usize),
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Named {
    pub(crate) number: usize,
    pub(crate) name: String,
    pub(crate) namespace: Option<String>,
    pub(crate) aliases: Vec<String>,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Field {
    pub(crate) name: String,
    pub(crate) aliases: Vec<String>,
    pub(crate) shape: Shape,
    pub(crate) has_default: bool,
}

impl Shape {
    /// As Avro writes it.
    pub(crate) fn json(&self) -> Value {
        self.write(&mut HashMap::new())
    }

    /// `known`: the names of the types written so far, by number.
    fn write(&self, known: &mut HashMap<usize, String>) -> Value {
        match self {
            Self::Primitive(name) => json!(name),
            Self::Logical(of, name) => json!({"type": of, "logicalType": name}),
            Self::Array(items) => json!({"type": "array", "items": items.write(known)}),
            Self::Map(values) => json!({"type": "map", "values": values.write(known)}),
            Self::Union(branches) => branches.iter().map(|branch| branch.write(known)).collect(),
            Self::Record(named, fields) => {
                let mut object = named.write("record", known);
                object["fields"] = fields.iter().map(|field| field.write(known)).collect();
                object
            }
            Self::Enum(named, symbols, default) => {
                let mut object = named.write("enum", known);
                object["symbols"] = json!(symbols);
                if let Some(default) = default {
                    object["default"] = json!(default);
                }
                object
            }
            Self::Fixed(named, size) => {
                let mut object = named.write("fixed", known);
                object["size"] = json!(size);
                object
            }
            Self::Reference(number) => {
                json!(known.get(number).map_or("string", String::as_str))
            }
        }
    }

    /// Replaces what refers to nothing that stands before it.
    pub(crate) fn settle(&mut self, known: &mut HashSet<usize>) {
        known.extend(self.number());
        match self {
            Self::Reference(number) if !known.contains(number) => *self = Self::Primitive("string"),
            Self::Array(inner) | Self::Map(inner) => inner.settle(known),
            Self::Union(branches) => {
                for mut branch in std::mem::take(branches) {
                    branch.settle(known);
                    // What has become a text may be the second one.
                    if fits(branches, &branch) {
                        branches.push(branch);
                    }
                }
            }
            Self::Record(_, fields) => {
                fields.iter_mut().for_each(|field| field.shape.settle(known));
            }
            Self::Primitive(_)
            | Self::Logical(..)
            | Self::Enum(..)
            | Self::Fixed(..)
            | Self::Reference(_) => {}
        }
    }

    pub(crate) fn number(&self) -> Option<usize> {
        match self {
            Self::Record(named, _) | Self::Enum(named, ..) | Self::Fixed(named, _) => {
                Some(named.number)
            }
            Self::Primitive(_)
            | Self::Logical(..)
            | Self::Array(_)
            | Self::Map(_)
            | Self::Union(_)
            | Self::Reference(_) => None,
        }
    }

    /// A value that is valid as a default: of a union, one of its first branch. `None` where a reference would have
    /// to be followed.
    fn default(&self) -> Option<Value> {
        Some(match self {
            Self::Primitive("null") => Value::Null,
            Self::Primitive("boolean") => json!(false),
            Self::Primitive("int" | "long") | Self::Logical("int" | "long", _) => json!(0),
            Self::Primitive("float" | "double") => json!(0.5),
            Self::Logical(_, "uuid") => json!("0190a6e1-7f4e-7c3a-9a51-0242ac120002"),
            Self::Primitive(_) | Self::Logical(..) => json!("x"),
            Self::Array(_) => json!([]),
            Self::Map(_) => json!({}),
            Self::Union(branches) => branches[0].default()?,
            Self::Record(_, fields) => {
                let one = |field: &Field| Some((field.name.clone(), field.shape.default()?));
                Value::Object(fields.iter().map(one).collect::<Option<_>>()?)
            }
            Self::Enum(_, symbols, _) => json!(symbols[0]),
            Self::Fixed(_, size) => json!("x".repeat(*size)),
            Self::Reference(_) => return None,
        })
    }
}

impl Named {
    fn write(&self, kind: &str, known: &mut HashMap<usize, String>) -> Value {
        known.insert(self.number, self.name.clone());
        let mut object = json!({"type": kind, "name": self.name});
        if let Some(namespace) = &self.namespace {
            object["namespace"] = json!(namespace);
        }
        if !self.aliases.is_empty() {
            object["aliases"] = json!(self.aliases);
        }
        object
    }
}

impl Field {
    fn write(&self, known: &mut HashMap<usize, String>) -> Value {
        let mut object = json!({"name": self.name, "type": self.shape.write(known)});
        if let Some(default) = self.shape.default().filter(|_| self.has_default) {
            object["default"] = default;
        }
        if !self.aliases.is_empty() {
            object["aliases"] = json!(self.aliases);
        }
        object
    }
}

impl Shape {
    /// The schema as a reader sees it that accepts it: types and fields under the names that the reader's names and
    /// aliases stand for, which the specification lets a decoder do before it resolves, and most leave to their users.
    pub(crate) fn seen_by(&self, reader: &Self) -> Self {
        let mut known = HashMap::new();
        reader.definitions(&mut known);
        let mut seen = self.clone();
        seen.rename(&known);
        seen
    }

    /// Without what primitives stand for, which resolution does not look at and the codec does.
    pub(crate) fn bare(&self) -> Self {
        match self {
            Self::Logical(of, _) => Self::Primitive(of),
            Self::Array(inner) => Self::Array(Box::new(inner.bare())),
            Self::Map(inner) => Self::Map(Box::new(inner.bare())),
            Self::Union(branches) => Self::Union(branches.iter().map(Self::bare).collect()),
            Self::Record(named, fields) => {
                let one = |field: &Field| Field { shape: field.shape.bare(), ..field.clone() };
                Self::Record(named.clone(), fields.iter().map(one).collect())
            }
            Self::Primitive(_) | Self::Enum(..) | Self::Fixed(..) | Self::Reference(_) => {
                self.clone()
            }
        }
    }

    fn definitions<'a>(&'a self, known: &mut HashMap<usize, &'a Self>) {
        if let Some(number) = self.number() {
            known.insert(number, self);
        }
        match self {
            Self::Array(inner) | Self::Map(inner) => inner.definitions(known),
            Self::Union(branches) => branches.iter().for_each(|one| one.definitions(known)),
            Self::Record(_, fields) => fields.iter().for_each(|one| one.shape.definitions(known)),
            Self::Primitive(_)
            | Self::Logical(..)
            | Self::Enum(..)
            | Self::Fixed(..)
            | Self::Reference(_) => {}
        }
    }

    fn rename(&mut self, known: &HashMap<usize, &Self>) {
        let ours = self.number().and_then(|number| known.get(&number));
        match self {
            Self::Array(inner) | Self::Map(inner) => inner.rename(known),
            Self::Union(branches) => branches.iter_mut().for_each(|one| one.rename(known)),
            Self::Record(named, fields) => {
                if let Some(Self::Record(reader, ours)) = ours {
                    named.take(reader);
                    for field in ours.iter().filter(|field| !field.aliases.is_empty()) {
                        field.find_in(fields);
                    }
                }
                fields.iter_mut().for_each(|one| one.shape.rename(known));
            }
            Self::Enum(named, ..) | Self::Fixed(named, _) => {
                if let Some(Self::Enum(reader, ..) | Self::Fixed(reader, _)) = ours {
                    named.take(reader);
                }
            }
            Self::Primitive(_) | Self::Logical(..) | Self::Reference(_) => {}
        }
    }
}

impl Named {
    fn take(&mut self, reader: &Self) {
        self.name.clone_from(&reader.name);
        self.namespace.clone_from(&reader.namespace);
        self.aliases.clear();
    }
}

impl Field {
    /// Gives the field of an alias the name it is read under, unless one of that name is there.
    fn find_in(&self, written: &mut [Self]) {
        if written.iter().any(|field| field.name == self.name) {
            return;
        }
        let by_alias = |field: &&mut Self| self.aliases.contains(&field.name);
        if let Some(field) = written.iter_mut().find(by_alias) {
            field.name.clone_from(&self.name);
        }
    }
}
