//! Python: dataclasses that give the dictionary an Avro serializer takes, and the JSON of `POST /v1/events`.

use std::fmt::Write as _;

use serde_json::Value;

use super::shape::{Definitions, Enumeration, Field, Record, Shape};
use super::{Generated, NOTE, plain};

pub(super) fn write(definitions: &Definitions) -> Generated {
    let mut text = format!(
        "\"\"\"{NOTE}\"\"\"\nfrom __future__ import annotations\n\nimport enum\n\
         from dataclasses import dataclass, field\nfrom typing import Any, Optional\n"
    );
    definitions.enums.iter().for_each(|one| enumeration(&mut text, one));
    definitions.records.iter().for_each(|one| record(&mut text, one));
    Generated { path: "upnext_events.py".to_owned(), text }
}

fn enumeration(text: &mut String, one: &Enumeration) {
    write!(
        text,
        "\n\nclass {}(str, enum.Enum):\n    \"\"\"{}\"\"\"\n\n",
        one.name,
        plain(&one.doc)
    )
    .ok();
    for symbol in &one.symbols {
        writeln!(text, "    {} = \"{symbol}\"", symbol.to_uppercase()).ok();
    }
}

fn record(text: &mut String, one: &Record) {
    write!(
        text,
        "\n\n@dataclass(kw_only=True)\nclass {}:\n    \"\"\"{}\"\"\"\n\n",
        one.name,
        plain(&one.doc)
    )
    .ok();
    for field in &one.fields {
        let default = field.default.as_ref().map(|json| format!(" = {}", default(field, json)));
        writeln!(text, "    {}: {}{}", field.name, kind(&field.shape), default.unwrap_or_default())
            .ok();
        writeln!(text, "    \"\"\"{}\"\"\"", plain(&field.doc)).ok();
    }
    text.push_str("\n    def to_avro(self) -> dict[str, Any]:\n");
    text.push_str("        \"\"\"Every field by its name, as an Avro serializer takes it.\"\"\"\n        return {\n");
    for field in &one.fields {
        let value = value(&field.shape, &format!("self.{}", field.name));
        writeln!(text, "            \"{}\": {value},", field.name).ok();
    }
    text.push_str("        }\n\n    def to_json(self) -> dict[str, Any]:\n");
    text.push_str(
        "        \"\"\"The form that is sent over HTTP; what is None is left out.\"\"\"\n",
    );
    text.push_str("        given = {name: value for name, value in self.to_avro().items() if value is not None}\n");
    if one.is_event {
        writeln!(text, "        return {{\"type\": \"{}\", **given}}", one.name).ok();
    } else {
        text.push_str("        return given\n");
    }
}

fn kind(shape: &Shape) -> String {
    match shape {
        Shape::Flag => "bool".to_owned(),
        Shape::Int | Shape::Long => "int".to_owned(),
        Shape::Float | Shape::Double => "float".to_owned(),
        Shape::Bytes => "bytes".to_owned(),
        Shape::Text => "str".to_owned(),
        Shape::Optional(inner) => format!("Optional[{}]", kind(inner)),
        Shape::List(inner) => format!("list[{}]", kind(inner)),
        Shape::Map(inner) => format!("dict[str, {}]", kind(inner)),
        Shape::Enum(name) | Shape::Record(name) => name.clone(),
    }
}

fn default(field: &Field, json: &Value) -> String {
    match (&field.shape, json) {
        (_, Value::Null) => "None".to_owned(),
        (Shape::Enum(name), Value::String(symbol)) => format!("{name}.{}", symbol.to_uppercase()),
        (_, Value::Bool(flag)) => if *flag { "True" } else { "False" }.to_owned(),
        (_, Value::Array(_)) => "field(default_factory=list)".to_owned(),
        (_, Value::Object(_)) => "field(default_factory=dict)".to_owned(),
        (_, Value::Number(_) | Value::String(_)) => json.to_string(),
    }
}

/// The value as an Avro serializer takes it.
fn value(shape: &Shape, name: &str) -> String {
    match shape {
        Shape::Enum(_) => format!("{name}.value"),
        Shape::Record(_) => format!("{name}.to_avro()"),
        Shape::List(inner) if is_rich(inner) => {
            format!("[{} for one in {name}]", value(inner, "one"))
        }
        Shape::Map(inner) if is_rich(inner) => {
            format!("{{key: {} for key, one in {name}.items()}}", value(inner, "one"))
        }
        Shape::Optional(inner) if is_rich(inner) => {
            format!("None if {name} is None else {}", value(inner, name))
        }
        Shape::Flag
        | Shape::Int
        | Shape::Long
        | Shape::Float
        | Shape::Double
        | Shape::Bytes
        | Shape::Text
        | Shape::Optional(_)
        | Shape::List(_)
        | Shape::Map(_) => name.to_owned(),
    }
}

fn is_rich(shape: &Shape) -> bool {
    match shape {
        Shape::Enum(_) | Shape::Record(_) => true,
        Shape::Optional(inner) | Shape::List(inner) | Shape::Map(inner) => is_rich(inner),
        Shape::Flag
        | Shape::Int
        | Shape::Long
        | Shape::Float
        | Shape::Double
        | Shape::Bytes
        | Shape::Text => false,
    }
}
