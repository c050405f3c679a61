//! The fields of a decoded record, taken by name into our own types.
//!
//! This is Avro's schema resolution for the closed list of types we read: fields are matched by name, unknown ones
//! are left, absent ones take our default or are missing, int widens to long and double, float to double,
//! bytes and string pass for each other. What cannot be resolved is a rejection that points at the field.

#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "the library's list of values: what is not named does not resolve"
)]

use std::collections::BTreeMap;

use apache_avro::types::Value;

use crate::verdict::{Reason, Rejection};

/// The record's fields; each is taken once.
pub(crate) struct Fields {
    entries: Vec<(String, Value)>,
    /// Pointer of the record itself.
    base: String,
    cursor: usize,
}

impl Fields {
    pub(crate) fn of(value: Value, base: &str) -> Result<Self, Rejection> {
        match value {
            Value::Record(entries) => Ok(Self { entries, base: base.to_owned(), cursor: 0 }),
            other => Err(mismatch(base.to_owned(), "record", &other)),
        }
    }

    pub(crate) fn text(&mut self, name: &str) -> Result<String, Rejection> {
        let value = self.required(name)?;
        into_text(value, || self.pointer(name))
    }

    pub(crate) fn text_or(&mut self, name: &str, default: &str) -> Result<String, Rejection> {
        match self.take(name) {
            None => Ok(default.to_owned()),
            Some(value) => into_text(value, || self.pointer(name)),
        }
    }

    pub(crate) fn optional_text(&mut self, name: &str) -> Result<Option<String>, Rejection> {
        match self.take(name) {
            None | Some(Value::Null) => Ok(None),
            Some(value) => into_text(value, || self.pointer(name)).map(Some),
        }
    }

    pub(crate) fn long(&mut self, name: &str) -> Result<i64, Rejection> {
        match self.required(name)? {
            Value::Long(value) => Ok(value),
            Value::Int(value) => Ok(i64::from(value)),
            other => Err(mismatch(self.pointer(name), "long", &other)),
        }
    }

    pub(crate) fn int(&mut self, name: &str) -> Result<i32, Rejection> {
        match self.required(name)? {
            Value::Int(value) => Ok(value),
            other => Err(mismatch(self.pointer(name), "int", &other)),
        }
    }

    pub(crate) fn float(&mut self, name: &str) -> Result<f32, Rejection> {
        match self.required(name)? {
            Value::Float(value) => Ok(value),
            other => Err(mismatch(self.pointer(name), "float", &other)),
        }
    }

    #[expect(
        clippy::cast_precision_loss,
        reason = "Avro widens long to double, which rounds above 2^53"
    )]
    pub(crate) fn optional_double(&mut self, name: &str) -> Result<Option<f64>, Rejection> {
        match self.take(name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::Double(value)) => Ok(Some(value)),
            Some(Value::Float(value)) => Ok(Some(f64::from(value))),
            Some(Value::Int(value)) => Ok(Some(f64::from(value))),
            Some(Value::Long(value)) => Ok(Some(value as f64)),
            Some(other) => Err(mismatch(self.pointer(name), "double", &other)),
        }
    }

    pub(crate) fn flag_or(&mut self, name: &str, default: bool) -> Result<bool, Rejection> {
        match self.take(name) {
            None => Ok(default),
            Some(Value::Boolean(value)) => Ok(value),
            Some(other) => Err(mismatch(self.pointer(name), "boolean", &other)),
        }
    }

    pub(crate) fn bytes(&mut self, name: &str) -> Result<Vec<u8>, Rejection> {
        match self.required(name)? {
            Value::Bytes(value) => Ok(value),
            Value::String(value) => Ok(value.into_bytes()),
            other => Err(mismatch(self.pointer(name), "bytes", &other)),
        }
    }

    /// A moment in milliseconds. A schema that declares another unit names the producer's mistake by itself.
    pub(crate) fn moment_ms(&mut self, name: &str) -> Result<i64, Rejection> {
        let value = self.required(name)?;
        self.milliseconds(name, value)
    }

    pub(crate) fn optional_moment_ms(&mut self, name: &str) -> Result<Option<i64>, Rejection> {
        match self.take(name) {
            None | Some(Value::Null) => Ok(None),
            Some(value) => self.milliseconds(name, value).map(Some),
        }
    }

    fn milliseconds(&self, name: &str, value: Value) -> Result<i64, Rejection> {
        let declared = |reason, unit| {
            let detail = format!("the writer's schema declares {unit}, the contract milliseconds");
            Err(Rejection::new(reason, self.pointer(name), detail))
        };
        match value {
            Value::TimestampMillis(value) | Value::Long(value) => Ok(value),
            Value::Int(value) => Ok(i64::from(value)),
            Value::TimestampMicros(_) => declared(Reason::TsUnitSuspectUs, "microseconds"),
            Value::TimestampNanos(_) => declared(Reason::TsUnitSuspectNs, "nanoseconds"),
            other => Err(mismatch(self.pointer(name), "timestamp-millis", &other)),
        }
    }

    /// The symbol of an enum, if the field is there.
    pub(crate) fn symbol(&mut self, name: &str) -> Result<Option<String>, Rejection> {
        match self.take(name) {
            None => Ok(None),
            Some(Value::Enum(_, symbol)) => Ok(Some(symbol)),
            Some(other) => Err(mismatch(self.pointer(name), "enum", &other)),
        }
    }

    pub(crate) fn texts(&mut self, name: &str) -> Result<Vec<String>, Rejection> {
        let entries = self.list(name)?;
        let pointer = self.pointer(name);
        let text = |(index, value)| into_text(unwrapped(value), || format!("{pointer}/{index}"));
        entries.into_iter().enumerate().map(text).collect()
    }

    /// A list of records.
    pub(crate) fn records(&mut self, name: &str) -> Result<Vec<Self>, Rejection> {
        let entries = self.list(name)?;
        let pointer = self.pointer(name);
        let record = |(index, value)| Self::of(unwrapped(value), &format!("{pointer}/{index}"));
        entries.into_iter().enumerate().map(record).collect()
    }

    fn list(&mut self, name: &str) -> Result<Vec<Value>, Rejection> {
        match self.required(name)? {
            Value::Array(entries) => Ok(entries),
            other => Err(mismatch(self.pointer(name), "array", &other)),
        }
    }

    /// A map of texts; empty when the field is absent.
    pub(crate) fn text_map(&mut self, name: &str) -> Result<BTreeMap<String, String>, Rejection> {
        let entries = match self.take(name) {
            None => return Ok(BTreeMap::new()),
            Some(Value::Map(entries)) => entries,
            Some(other) => return Err(mismatch(self.pointer(name), "map", &other)),
        };
        let mut map = BTreeMap::new();
        for (key, value) in entries {
            let text = into_text(unwrapped(value), || {
                format!("{}/{}", self.pointer(name), escaped(&key))
            })?;
            map.insert(key, text);
        }
        Ok(map)
    }

    fn required(&mut self, name: &str) -> Result<Value, Rejection> {
        match self.take(name) {
            None => {
                let detail = "the writer's schema has no such field, and the contract no default";
                Err(Rejection::new(Reason::Missing, self.pointer(name), detail))
            }
            Some(Value::Null) => {
                Err(Rejection::new(Reason::Missing, self.pointer(name), "is null"))
            }
            Some(value) => Ok(value),
        }
    }

    /// The value of a field, out of its union. Fields mostly come in our order, so the search starts behind the
    /// last one found.
    fn take(&mut self, name: &str) -> Option<Value> {
        let (before, after) = self.entries.split_at(self.cursor);
        let is_it = |(field, _): &(String, Value)| field == name;
        let index = match after.iter().position(is_it) {
            Some(index) => self.cursor + index,
            None => before.iter().position(is_it)?,
        };
        self.cursor = index + 1;
        let (_, value) = self.entries.get_mut(index)?;
        Some(unwrapped(std::mem::replace(value, Value::Null)))
    }

    fn pointer(&self, name: &str) -> String {
        format!("{}/{name}", self.base)
    }
}

fn unwrapped(value: Value) -> Value {
    if let Value::Union(_, inner) = value { *inner } else { value }
}

fn into_text(value: Value, pointer: impl FnOnce() -> String) -> Result<String, Rejection> {
    match value {
        Value::String(text) => Ok(text),
        Value::Uuid(id) => Ok(id.to_string()),
        Value::Bytes(bytes) => String::from_utf8(bytes)
            .map_err(|_| Rejection::new(Reason::Format, pointer(), "is not UTF-8")),
        Value::Null => Err(Rejection::new(Reason::Missing, pointer(), "is null")),
        other => Err(mismatch(pointer(), "string", &other)),
    }
}

fn mismatch(pointer: String, expected: &str, found: &Value) -> Rejection {
    let found = format!("{:?}", apache_avro::types::ValueKind::from(found)).to_lowercase();
    let detail = format!("the writer's schema has {found} here, the contract {expected}");
    Rejection::new(Reason::SchemaLint, pointer, detail)
}

/// A key as one token of an RFC 6901 pointer.
pub(crate) fn escaped(key: &str) -> String {
    key.replace('~', "~0").replace('/', "~1")
}
