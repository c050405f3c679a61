//! TypeScript: interfaces of the JSON that `POST /v1/events` and `PUT /v1/items/{id}` take.

use std::fmt::Write as _;

use super::shape::{Definitions, Record, Shape};
use super::{Generated, NOTE, plain};

pub(super) fn write(definitions: &Definitions) -> Generated {
    let mut text = format!("// {NOTE}\n");
    for one in &definitions.enums {
        let symbols: Vec<String> =
            one.symbols.iter().map(|symbol| format!("\"{symbol}\"")).collect();
        let (doc, symbols) = (plain(&one.doc), symbols.join(" | "));
        write!(text, "\n/** {doc} */\nexport type {} = {symbols};\n", one.name).ok();
    }
    definitions.records.iter().for_each(|one| record(&mut text, one));
    let events = definitions.records.iter().filter(|one| one.is_event);
    let events: Vec<&str> = events.map(|one| one.name.as_str()).collect();
    if !events.is_empty() {
        write!(text, "\n/** Any event. */\nexport type UpnextEvent = {};\n", events.join(" | "))
            .ok();
    }
    Generated { path: "upnext-events.ts".to_owned(), text }
}

fn record(text: &mut String, one: &Record) {
    write!(text, "\n/** {} */\nexport interface {} {{\n", plain(&one.doc), one.name).ok();
    if one.is_event {
        writeln!(text, "  type: \"{}\";", one.name).ok();
    }
    for field in &one.fields {
        let mark = if field.default.is_some() { "?" } else { "" };
        let (doc, kind) = (plain(&field.doc), kind(&field.shape));
        write!(text, "  /** {doc} */\n  {}{mark}: {kind};\n", field.name).ok();
    }
    text.push_str("}\n");
}

fn kind(shape: &Shape) -> String {
    match shape {
        Shape::Flag => "boolean".to_owned(),
        Shape::Int | Shape::Long | Shape::Float | Shape::Double => "number".to_owned(),
        Shape::Bytes | Shape::Text => "string".to_owned(),
        Shape::Optional(inner) => format!("{} | null", kind(inner)),
        Shape::List(inner) => format!("Array<{}>", kind(inner)),
        Shape::Map(inner) => format!("Record<string, {}>", kind(inner)),
        Shape::Enum(name) | Shape::Record(name) => name.clone(),
    }
}
