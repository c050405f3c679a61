//! Java: one record a file, with the map of values by their Avro names.

use std::fmt::Write as _;

use super::shape::{Definitions, Enumeration, Record, Shape};
use super::{Generated, NOTE, plain};

pub(super) fn write(definitions: &Definitions) -> Vec<Generated> {
    let enums =
        definitions.enums.iter().map(|one| file(&one.namespace, &one.name, enumeration(one)));
    let records =
        definitions.records.iter().map(|one| file(&one.namespace, &one.name, record(one)));
    enums.chain(records).collect()
}

fn file(namespace: &str, name: &str, body: String) -> Generated {
    let path = format!("{}/{name}.java", namespace.replace('.', "/"));
    Generated { path, text: format!("// {NOTE}\npackage {namespace};\n\n{body}") }
}

fn enumeration(one: &Enumeration) -> String {
    let symbols: Vec<String> = one
        .symbols
        .iter()
        .map(|symbol| format!("    {}(\"{symbol}\")", symbol.to_uppercase()))
        .collect();
    let (name, doc) = (&one.name, plain(&one.doc));
    let default = one.default.as_ref().map(|symbol| {
        format!("\n    /** What readers see of symbols they do not know. */\n    public static final {name} DEFAULT = {};\n", symbol.to_uppercase())
    });
    format!(
        "/** {doc} */\npublic enum {name} {{\n{};\n{}\n    private final String symbol;\n\n    \
         {name}(String symbol) {{\n        this.symbol = symbol;\n    }}\n\n    \
         /** The symbol as Avro writes it. */\n    public String symbol() {{\n        return symbol;\n    }}\n}}\n",
        symbols.join(",\n"),
        default.unwrap_or_default(),
    )
}

fn record(one: &Record) -> String {
    let name = &one.name;
    let mut text = format!("/**\n * {}\n", plain(&one.doc));
    for field in &one.fields {
        writeln!(text, " *\n * @param {} {}", camel(&field.name), plain(&field.doc)).ok();
    }
    let components: Vec<String> = one
        .fields
        .iter()
        .map(|field| format!("        {} {}", kind(&field.shape), camel(&field.name)))
        .collect();
    write!(text, " */\npublic record {name}(\n{}) {{\n\n", components.join(",\n")).ok();
    text.push_str("    /** Every value by its Avro name. */\n");
    text.push_str("    public java.util.Map<String, Object> toAvro() {\n");
    text.push_str(
        "        java.util.Map<String, Object> values = new java.util.LinkedHashMap<>();\n",
    );
    for field in &one.fields {
        let value = value(&field.shape, &camel(&field.name));
        writeln!(text, "        values.put(\"{}\", {value});", field.name).ok();
    }
    text.push_str("        return values;\n    }\n}\n");
    text
}

fn kind(shape: &Shape) -> String {
    match shape {
        Shape::Flag => "boolean".to_owned(),
        Shape::Int => "int".to_owned(),
        Shape::Long => "long".to_owned(),
        Shape::Float => "float".to_owned(),
        Shape::Double => "double".to_owned(),
        Shape::Optional(inner) => boxed(inner),
        Shape::Bytes
        | Shape::Text
        | Shape::List(_)
        | Shape::Map(_)
        | Shape::Enum(_)
        | Shape::Record(_) => boxed(shape),
    }
}

fn boxed(shape: &Shape) -> String {
    match shape {
        Shape::Flag => "Boolean".to_owned(),
        Shape::Int => "Integer".to_owned(),
        Shape::Long => "Long".to_owned(),
        Shape::Float => "Float".to_owned(),
        Shape::Double => "Double".to_owned(),
        Shape::Bytes => "byte[]".to_owned(),
        Shape::Text => "String".to_owned(),
        Shape::Optional(inner) => boxed(inner),
        Shape::List(inner) => format!("java.util.List<{}>", boxed(inner)),
        Shape::Map(inner) => format!("java.util.Map<String, {}>", boxed(inner)),
        Shape::Enum(name) | Shape::Record(name) => name.clone(),
    }
}

fn value(shape: &Shape, name: &str) -> String {
    match shape {
        Shape::Enum(_) => format!("{name}.symbol()"),
        Shape::Record(_) => format!("{name}.toAvro()"),
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

/// `event_time` → `eventTime`
fn camel(name: &str) -> String {
    let mut text = String::new();
    let mut is_start = false;
    for letter in name.chars() {
        if letter == '_' {
            is_start = true;
        } else if is_start {
            text.extend(letter.to_uppercase());
            is_start = false;
        } else {
            text.push(letter);
        }
    }
    text
}
