//! Catalogue files: one JSON object per line, whatever its fields are called.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Map, Value};
use upnext_common::item::Item;

use super::{DatasetError, Lines};

/// Reads a file of items (`{"item_id", "title"?, "category"?, "price"?, "attributes"{}?, …}` per line).
///
/// # Errors
/// When the file cannot be read or a line is no item.
pub fn read_items(path: &Path) -> Result<Vec<Item>, DatasetError> {
    let mut lines = Lines::open(path)?;
    let mut items = Vec::new();
    while let Some(read) = lines.next_line() {
        let (line, text) = read?;
        let item = read_item(&text).map_err(|message| DatasetError::BadRow { line, message })?;
        items.push(item);
    }
    Ok(items)
}

/// One item from its JSON text. `price_usd`, `price_gbp` … are read as `price`; every other scalar and list of
/// scalars becomes an attribute (lists joined by `|`).
///
/// # Errors
/// What is wrong with it, as a message.
pub fn read_item(text: &str) -> Result<Item, String> {
    let fields = serde_json::from_str::<Map<String, Value>>(text).map_err(|e| e.to_string())?;
    let mut item = Item::default();
    for (name, value) in fields {
        match (name.as_str(), value) {
            (_, Value::Null) => {}
            ("item_id", value) => item.item_id = scalar(&value).ok_or("item_id is no text")?,
            ("title", value) => item.title = scalar(&value),
            ("category", value) => item.category = scalar(&value),
            ("attributes", Value::Object(inner)) => add_all(&mut item.attributes, inner),
            (_, Value::Number(price)) if is_price(&name) => item.price = price.as_f64(),
            (_, value) => add(&mut item.attributes, name, &value),
        }
    }
    if item.item_id.is_empty() {
        return Err("item_id is missing".to_owned());
    }
    Ok(item)
}

fn is_price(name: &str) -> bool {
    name == "price" || (name.len() == 9 && name.starts_with("price_"))
}

fn add_all(attributes: &mut BTreeMap<String, String>, fields: Map<String, Value>) {
    for (name, value) in fields {
        add(attributes, name, &value);
    }
}

fn add(attributes: &mut BTreeMap<String, String>, name: String, value: &Value) {
    let text = match value {
        Value::Array(values) => {
            Some(values.iter().filter_map(scalar).collect::<Vec<_>>().join("|"))
        }
        Value::Null | Value::Object(_) => None,
        Value::Bool(_) | Value::Number(_) | Value::String(_) => scalar(value),
    };
    if let Some(text) = text {
        attributes.insert(name, text);
    }
}

fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(flag) => Some(flag.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}
