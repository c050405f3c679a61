//! A value decoded as far as it goes, for people: what could be read, and where it broke.
//!
//! Never part of a verdict. It reads the schema as JSON, value by value, so that everything before the broken place is
//! shown; sizes are bounded, so that a hostile value is as cheap to look at as any other.

use std::collections::HashMap;

use serde_json::{Map, Number, Value, json};

use super::WriterSchema;

/// Values shown at most; what follows is left out.
const VALUES_MAX: usize = 5_000;
/// Characters of a text, and bytes of a byte string, that are shown.
const TEXT_MAX: usize = 1_000;
const DEPTH_MAX: usize = 32;

/// What a value says as far as it can be read.
#[derive(Clone, Debug, PartialEq)]
pub struct Attempt {
    /// Everything before the broken place; the broken value itself is null.
    pub value: Value,
    /// `None`: the value is a whole one of its schema.
    pub broken: Option<Broken>,
}

/// Where a value broke.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broken {
    /// RFC 6901 pointer into the value.
    pub pointer: String,
    /// From the start of the content, which is after the frame.
    pub byte: usize,
    pub why: String,
}

impl WriterSchema {
    /// Decodes as far as it goes.
    #[must_use]
    pub fn attempt(&self, content: &[u8]) -> Attempt {
        let text = serde_json::to_value(&self.schema).unwrap_or(Value::Null);
        let mut names = HashMap::new();
        collect(&text, "", &mut names, 0);
        let mut walk =
            Walk { names: &names, content, at: 0, pointer: Vec::new(), values: 0, broken: None };
        let value = walk.value(&text, 0).unwrap_or(Value::Null);
        if walk.broken.is_none() && walk.at < content.len() {
            walk.fail::<()>(&format!("{} bytes are left after the value", content.len() - walk.at));
        }
        Attempt { value, broken: walk.broken }
    }
}

/// Every named type, by its full name.
fn collect<'a>(
    schema: &'a Value,
    outer: &str,
    names: &mut HashMap<String, &'a Value>,
    depth: usize,
) {
    if depth > DEPTH_MAX {
        return;
    }
    match schema {
        Value::Array(branches) => {
            branches.iter().for_each(|branch| collect(branch, outer, names, depth + 1));
        }
        Value::Object(object) => {
            let text = |key: &str| object.get(key).and_then(Value::as_str);
            let mut namespace = text("namespace").unwrap_or(outer).to_owned();
            if let Some(name) = text("name") {
                let full = if name.contains('.') || namespace.is_empty() {
                    name.to_owned()
                } else {
                    format!("{namespace}.{name}")
                };
                if let Some((of, _)) = full.rsplit_once('.') {
                    of.clone_into(&mut namespace);
                }
                names.insert(full, schema);
            }
            for field in object.get("fields").and_then(Value::as_array).into_iter().flatten() {
                collect(&field["type"], &namespace, names, depth + 1);
            }
            for key in ["type", "items", "values"] {
                if let Some(inner) = object.get(key) {
                    collect(inner, &namespace, names, depth + 1);
                }
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

struct Walk<'a> {
    names: &'a HashMap<String, &'a Value>,
    content: &'a [u8],
    at: usize,
    pointer: Vec<String>,
    values: usize,
    broken: Option<Broken>,
}

impl<'a> Walk<'a> {
    /// `None` once it has broken.
    fn value(&mut self, schema: &'a Value, depth: usize) -> Option<Value> {
        self.values += 1;
        if self.values > VALUES_MAX || depth > DEPTH_MAX {
            return self
                .fail(&format!("more than {VALUES_MAX} values, or nested too deep, to show"));
        }
        match schema {
            Value::String(name) => self.named(name, depth),
            Value::Array(branches) => {
                let branch = self.long()?;
                match usize::try_from(branch).ok().and_then(|branch| branches.get(branch)) {
                    Some(branch) => self.value(branch, depth + 1),
                    None => self.fail(&format!("branch {branch} of a union of {}", branches.len())),
                }
            }
            Value::Object(object) => self.complex(object, depth),
            Value::Null | Value::Bool(_) | Value::Number(_) => self.fail("the schema is no schema"),
        }
    }

    fn named(&mut self, name: &str, depth: usize) -> Option<Value> {
        Some(match name {
            "null" => Value::Null,
            "boolean" => match self.take(1)? {
                [0] => Value::Bool(false),
                [1] => Value::Bool(true),
                other => return self.fail(&format!("{other:?} is no boolean")),
            },
            "int" | "long" => self.long()?.into(),
            "float" => {
                let bytes = self.take(4)?.try_into().ok()?;
                number(f32::from_le_bytes(bytes).into())
            }
            "double" => number(f64::from_le_bytes(self.take(8)?.try_into().ok()?)),
            "bytes" => shown_bytes(self.sized()?),
            "string" => {
                let before = self.at;
                let bytes = self.sized()?;
                match std::str::from_utf8(bytes) {
                    Ok(text) => text.chars().take(TEXT_MAX).collect::<String>().into(),
                    Err(_) => {
                        self.at = before;
                        return self.fail("a text that is not UTF-8");
                    }
                }
            }
            _ => match self.names.get(name).copied() {
                Some(schema) => return self.value(schema, depth + 1),
                None => {
                    return self
                        .fail(&format!("the schema names `{name}` and does not say what it is"));
                }
            },
        })
    }

    fn complex(&mut self, object: &'a Map<String, Value>, depth: usize) -> Option<Value> {
        let kind = object.get("type").unwrap_or(&Value::Null);
        match kind.as_str() {
            Some("record" | "error") => self.record(object, depth),
            Some("enum") => {
                let place = self.long()?;
                let symbols = object.get("symbols").and_then(Value::as_array);
                let found = usize::try_from(place).ok().and_then(|at| symbols?.get(at)).cloned();
                found.or_else(|| {
                    self.fail(&format!("symbol {place} of {} symbols", symbols.map_or(0, Vec::len)))
                })
            }
            Some("fixed") => {
                let size = object.get("size").and_then(Value::as_u64).unwrap_or(0);
                Some(shown_bytes(self.take(usize::try_from(size).unwrap_or(usize::MAX))?))
            }
            Some("array") => self.blocks(object.get("items")?, false, depth),
            Some("map") => self.blocks(object.get("values")?, true, depth),
            Some(_) | None => self.value(kind, depth + 1),
        }
    }

    fn record(&mut self, object: &'a Map<String, Value>, depth: usize) -> Option<Value> {
        let mut found = Map::new();
        for field in object.get("fields").and_then(Value::as_array).into_iter().flatten() {
            let name = field["name"].as_str().unwrap_or_default().to_owned();
            self.pointer.push(name.clone());
            let value = self.value(&field["type"], depth + 1);
            found.insert(name, value.unwrap_or(Value::Null));
            if self.broken.is_some() {
                break;
            }
            self.pointer.pop();
        }
        Some(Value::Object(found))
    }

    /// An array, or a map with its keys.
    fn blocks(&mut self, inner: &'a Value, is_map: bool, depth: usize) -> Option<Value> {
        let (mut list, mut map) = (Vec::new(), Map::new());
        while self.broken.is_none() {
            let Some(mut count) = self.long() else { break };
            if count == 0 {
                break;
            }
            if count < 0 {
                self.long();
                count = count.saturating_neg();
            }
            for _ in 0..count {
                let key =
                    if is_map { self.named("string", depth) } else { Some(list.len().into()) };
                let Some(key) = key else { break };
                let key = key.as_str().map_or_else(|| key.to_string(), ToOwned::to_owned);
                self.pointer.push(key.clone());
                let value = self.value(inner, depth + 1);
                if is_map {
                    map.insert(key, value.unwrap_or(Value::Null));
                } else {
                    list.push(value.unwrap_or(Value::Null));
                }
                if self.broken.is_some() {
                    break;
                }
                self.pointer.pop();
            }
        }
        Some(if is_map { Value::Object(map) } else { Value::Array(list) })
    }

    /// A zig-zag number of at most ten bytes.
    fn long(&mut self) -> Option<i64> {
        let start = self.at;
        let mut bits = 0_u64;
        for shift in (0..70).step_by(7) {
            let byte = *self.take(1)?.first()?;
            bits |= u64::from(byte & 0x7f).checked_shl(shift).unwrap_or(0);
            if byte & 0x80 == 0 {
                return Some((bits >> 1).cast_signed() ^ -(bits & 1).cast_signed());
            }
        }
        self.at = start;
        self.fail("a number of more than ten bytes")
    }

    fn sized(&mut self) -> Option<&'a [u8]> {
        let start = self.at;
        let length = self.long()?;
        let Ok(bytes) = usize::try_from(length) else {
            self.at = start;
            return self.fail(&format!("a length of {length}"));
        };
        self.take(bytes)
    }

    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let left = self.content.len() - self.at;
        if count > left {
            return self.fail(&format!("{count} bytes are needed and {left} are left"));
        }
        let taken = &self.content[self.at..self.at + count];
        self.at += count;
        Some(taken)
    }

    fn fail<T>(&mut self, why: &str) -> Option<T> {
        if self.broken.is_none() {
            let escaped =
                |name: &String| format!("/{}", name.replace('~', "~0").replace('/', "~1"));
            let pointer = self.pointer.iter().map(escaped).collect();
            self.broken = Some(Broken { pointer, byte: self.at, why: why.to_owned() });
        }
        None
    }
}

fn number(value: f64) -> Value {
    Number::from_f64(value).map_or_else(|| json!(value.to_string()), Value::Number)
}

fn shown_bytes(bytes: &[u8]) -> Value {
    let shown = bytes.iter().take(TEXT_MAX).map(|byte| format!("{byte:02x}"));
    Value::String(format!("0x{}", shown.collect::<String>()))
}

#[cfg(test)]
mod tests;
