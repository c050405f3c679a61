//! A JSON object whose fields are taken one by one; what is left over was not expected.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::fields::escaped;
use crate::verdict::{Reason, Rejection};

pub(super) struct Object<'a> {
    fields: &'a Map<String, Value>,
    taken: Vec<&'static str>,
}

impl<'a> Object<'a> {
    pub(super) fn of(value: &'a Value) -> Result<Self, Rejection> {
        let fields = value.as_object().ok_or_else(|| wrong("", "an object", value))?;
        Ok(Self { fields, taken: Vec::with_capacity(16) })
    }

    /// A field that is there and not null.
    fn take(&mut self, name: &'static str) -> Option<&'a Value> {
        self.taken.push(name);
        self.fields.get(name).filter(|value| !value.is_null())
    }

    fn required(&mut self, name: &'static str) -> Result<&'a Value, Rejection> {
        self.take(name).ok_or_else(|| {
            Rejection::new(Reason::Missing, format!("/{name}"), format!("`{name}` is required"))
        })
    }

    pub(super) fn text(&mut self, name: &'static str) -> Result<String, Rejection> {
        let value = self.required(name)?;
        text_of(value, &format!("/{name}"))
    }

    pub(super) fn optional_text(
        &mut self,
        name: &'static str,
    ) -> Result<Option<String>, Rejection> {
        self.take(name).map(|value| text_of(value, &format!("/{name}"))).transpose()
    }

    pub(super) fn integer(&mut self, name: &'static str) -> Result<i64, Rejection> {
        let value = self.required(name)?;
        integer_of(value, name)
    }

    pub(super) fn optional_integer(
        &mut self,
        name: &'static str,
    ) -> Result<Option<i64>, Rejection> {
        self.take(name).map(|value| integer_of(value, name)).transpose()
    }

    /// An integer of 32 bits.
    pub(super) fn small_integer(&mut self, name: &'static str) -> Result<i32, Rejection> {
        let value = self.integer(name)?;
        i32::try_from(value).map_err(|_| {
            Rejection::new(Reason::Range, format!("/{name}"), format!("{value} is too large"))
        })
    }

    pub(super) fn optional_number(&mut self, name: &'static str) -> Result<Option<f64>, Rejection> {
        let number = |value: &Value| {
            value.as_f64().ok_or_else(|| wrong(&format!("/{name}"), "a number", value))
        };
        self.take(name).map(number).transpose()
    }

    pub(super) fn texts(&mut self, name: &'static str) -> Result<Vec<String>, Rejection> {
        let value = self.required(name)?;
        let Value::Array(entries) = value else {
            return Err(wrong(&format!("/{name}"), "an array", value));
        };
        let text = |(index, entry)| text_of(entry, &format!("/{name}/{index}"));
        entries.iter().enumerate().map(text).collect()
    }

    /// An object of scalars, as text; empty when absent. Entries that are null are left out.
    pub(super) fn scalars(
        &mut self,
        name: &'static str,
    ) -> Result<BTreeMap<String, String>, Rejection> {
        let entries = match self.take(name) {
            None => return Ok(BTreeMap::new()),
            Some(Value::Object(entries)) => entries,
            Some(other) => return Err(wrong(&format!("/{name}"), "an object", other)),
        };
        let mut texts = BTreeMap::new();
        for (key, value) in entries {
            let text = match value {
                Value::Null => continue,
                Value::String(text) => text.clone(),
                Value::Bool(flag) => flag.to_string(),
                Value::Number(number) => number.to_string(),
                Value::Array(_) | Value::Object(_) => {
                    let pointer = format!("/{name}/{}", escaped(key));
                    return Err(wrong(&pointer, "a text, number or boolean", value));
                }
            };
            texts.insert(key.clone(), text);
        }
        Ok(texts)
    }

    /// Every field was expected.
    pub(super) fn nothing_left(&self) -> Result<(), Rejection> {
        let is_unknown = |name: &&String| !self.taken.contains(&name.as_str());
        match self.fields.keys().find(is_unknown) {
            None => Ok(()),
            Some(name) => {
                let known = self.taken.join(", ");
                let detail = format!("unknown field; known here are {known}");
                Err(Rejection::new(Reason::Format, format!("/{}", escaped(name)), detail))
            }
        }
    }
}

fn text_of(value: &Value, pointer: &str) -> Result<String, Rejection> {
    value.as_str().map(str::to_owned).ok_or_else(|| wrong(pointer, "a text", value))
}

fn integer_of(value: &Value, name: &str) -> Result<i64, Rejection> {
    value.as_i64().ok_or_else(|| wrong(&format!("/{name}"), "an integer", value))
}

fn wrong(pointer: &str, expected: &str, found: &Value) -> Rejection {
    let found = match found {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "another number",
        Value::String(_) => "a text",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    };
    Rejection::new(Reason::Format, pointer, format!("must be {expected}, is {found}"))
}
