//! Rust: structs with serde, whose JSON is the Avro record's.

use std::fmt::Write as _;

use serde_json::Value;

use super::shape::{Definitions, Enumeration, Field, Record, Shape};
use super::{Generated, NOTE, plain};

const DERIVES: &str = "#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]";

pub(super) fn write(definitions: &Definitions) -> Generated {
    let mut text = format!("// {NOTE}\n");
    definitions.enums.iter().for_each(|one| enumeration(&mut text, one));
    definitions.records.iter().for_each(|one| record(&mut text, one));
    Generated { path: "upnext_events.rs".to_owned(), text }
}

fn enumeration(text: &mut String, one: &Enumeration) {
    let doc = plain(&one.doc);
    write!(text, "\n/// {doc}\n{DERIVES}\npub enum {} {{\n", one.name).ok();
    for symbol in &one.symbols {
        writeln!(text, "    #[serde(rename = \"{symbol}\")]\n    {},", pascal(symbol)).ok();
    }
    text.push_str("}\n");
}

fn record(text: &mut String, one: &Record) {
    let doc = plain(&one.doc);
    write!(text, "\n/// {doc}\n{DERIVES}\npub struct {} {{\n", one.name).ok();
    let mut defaults = String::new();
    for field in &one.fields {
        writeln!(text, "    /// {}", plain(&field.doc)).ok();
        if let Some(json) = &field.default {
            let function = format!("{}_{}", snake(&one.name), field.name);
            writeln!(text, "    #[serde(default = \"{function}\")]").ok();
            let (kind, value) = (kind(&field.shape), default(field, json));
            write!(defaults, "\nfn {function}() -> {kind} {{\n    {value}\n}}\n").ok();
        }
        writeln!(text, "    pub {}: {},", field.name, kind(&field.shape)).ok();
    }
    text.push_str("}\n");
    text.push_str(&defaults);
}

fn kind(shape: &Shape) -> String {
    match shape {
        Shape::Flag => "bool".to_owned(),
        Shape::Int => "i32".to_owned(),
        Shape::Long => "i64".to_owned(),
        Shape::Float => "f32".to_owned(),
        Shape::Double => "f64".to_owned(),
        Shape::Bytes => "Vec<u8>".to_owned(),
        Shape::Text => "String".to_owned(),
        Shape::Optional(inner) => format!("Option<{}>", kind(inner)),
        Shape::List(inner) => format!("Vec<{}>", kind(inner)),
        Shape::Map(inner) => format!("std::collections::BTreeMap<String, {}>", kind(inner)),
        Shape::Enum(name) | Shape::Record(name) => name.clone(),
    }
}

fn default(field: &Field, json: &Value) -> String {
    match (&field.shape, json) {
        (Shape::Enum(name), Value::String(symbol)) => format!("{name}::{}", pascal(symbol)),
        (_, Value::Null) => "None".to_owned(),
        (Shape::Optional(_), Value::String(text)) => format!("Some({text:?}.to_owned())"),
        (Shape::Optional(_), _) => format!("Some({json})"),
        (_, Value::String(text)) if text.is_empty() => "String::new()".to_owned(),
        (_, Value::String(text)) => format!("{text:?}.to_owned()"),
        (Shape::Map(_), Value::Object(_)) => "std::collections::BTreeMap::new()".to_owned(),
        (_, Value::Array(_) | Value::Object(_)) => "Vec::new()".to_owned(),
        (Shape::Float | Shape::Double, Value::Number(number)) => {
            format!("{:?}", number.as_f64().unwrap_or_default())
        }
        (_, Value::Bool(_) | Value::Number(_)) => json.to_string(),
    }
}

/// `desktop_app` → `DesktopApp`
fn pascal(word: &str) -> String {
    let part = |part: &str| {
        let (first, rest) = part.split_at(part.chars().next().map_or(0, char::len_utf8));
        format!("{}{}", first.to_uppercase(), rest.to_lowercase())
    };
    word.split('_').map(part).collect()
}

/// `ItemViewed` → `item_viewed`
fn snake(name: &str) -> String {
    let mut text = String::new();
    for letter in name.chars() {
        if letter.is_uppercase() && !text.is_empty() {
            text.push('_');
        }
        text.extend(letter.to_lowercase());
    }
    text
}
