//! Values of a generated schema.

use std::collections::HashMap;

use apache_avro::types::Value;

use super::generate::Seed;
use super::shape::{Field, Shape};

/// Deeper, unions are null and lists empty, so that a schema that contains itself has small values.
const DEPTH_MAX: usize = 6;

pub(crate) struct Values<'a> {
    pub(crate) seed: Seed,
    /// Definitions by number, as far as they stand before what refers to them.
    known: HashMap<usize, &'a Shape>,
}

impl<'a> Values<'a> {
    pub(crate) fn new(seed: u64, root: &'a Shape) -> Self {
        let mut known = HashMap::new();
        collect(root, &mut known);
        Self { seed: Seed(seed), known }
    }

    pub(crate) fn of(&mut self, shape: &'a Shape, depth: usize) -> Value {
        match shape {
            Shape::Primitive(name) => self.primitive(name),
            Shape::Logical(of, _) => self.primitive(of),
            Shape::Array(items) => {
                let count = if depth > DEPTH_MAX { 0 } else { self.seed.below(3) };
                Value::Array((0..count).map(|_| self.of(items, depth + 1)).collect())
            }
            Shape::Map(values) => {
                let count = if depth > DEPTH_MAX { 0 } else { self.seed.below(2) };
                let entry = |at: usize| (format!("k{at}"), self.of(values, depth + 1));
                Value::Map((0..count).map(entry).collect())
            }
            Shape::Union(branches) => self.branch(branches, depth),
            Shape::Record(_, fields) => self.record(fields, depth),
            Shape::Enum(_, symbols, _) => {
                let at = self.seed.below(symbols.len());
                Value::Enum(u32::try_from(at).unwrap(), symbols[at].clone())
            }
            Shape::Fixed(_, size) => {
                Value::Fixed(*size, (0..*size).map(|_| self.seed.next().to_le_bytes()[0]).collect())
            }
            Shape::Reference(number) => match self.known.get(number) {
                Some(shape) => self.of(shape, depth + 1),
                None => Value::String("text".to_owned()),
            },
        }
    }

    fn record(&mut self, fields: &'a [Field], depth: usize) -> Value {
        let one = |field: &'a Field| (field.name.clone(), self.of(&field.shape, depth + 1));
        Value::Record(fields.iter().map(one).collect())
    }

    fn branch(&mut self, branches: &'a [Shape], depth: usize) -> Value {
        let null = branches.iter().position(|branch| *branch == Shape::Primitive("null"));
        let at = match null {
            Some(at) if depth > DEPTH_MAX => at,
            Some(_) | None => self.seed.below(branches.len()),
        };
        let value = self.of(&branches[at], depth + 1);
        Value::Union(u32::try_from(at).unwrap(), Box::new(value))
    }

    fn number(&mut self) -> i64 {
        i64::try_from(self.seed.next() >> 24).unwrap()
    }

    fn primitive(&mut self, name: &str) -> Value {
        match name {
            "null" => Value::Null,
            "boolean" => Value::Boolean(self.seed.one_in(2)),
            "int" => Value::Int(i32::try_from(self.seed.below(1 << 30)).unwrap()),
            "long" => Value::Long(self.number()),
            "float" => Value::Float(0.25),
            "double" => Value::Double(0.125),
            "bytes" => Value::Bytes(b"bytes".to_vec()),
            _ => Value::String("text".to_owned()),
        }
    }
}

fn collect<'a>(shape: &'a Shape, known: &mut HashMap<usize, &'a Shape>) {
    if let Some(number) = shape.number() {
        known.insert(number, shape);
    }
    match shape {
        Shape::Array(inner) | Shape::Map(inner) => collect(inner, known),
        Shape::Union(branches) => branches.iter().for_each(|branch| collect(branch, known)),
        Shape::Record(_, fields) => fields.iter().for_each(|field| collect(&field.shape, known)),
        Shape::Primitive(_)
        | Shape::Logical(..)
        | Shape::Enum(..)
        | Shape::Fixed(..)
        | Shape::Reference(_) => {}
    }
}
