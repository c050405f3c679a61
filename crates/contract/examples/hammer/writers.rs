//! Schemas of writers who mean no good: ours with pieces exchanged, types made up, texts that are no schema.

use serde_json::{Value, json};
use upnext_common::event::EventType;
use upnext_contract::schemas;

use crate::dice::Dice;

const DEPTH_MAX: usize = 6;

/// The text of a schema that a registry might give.
pub(crate) fn schema(dice: &mut Dice) -> String {
    let kind = *dice.one_of(&EventType::ALL);
    match dice.below(8) {
        0 => scratched(dice, schemas::of_event(kind).text),
        1 => some_type(dice, 0).to_string(),
        2 => String::from_utf8_lossy(&dice.bytes(80)).into_owned(),
        3..=5 => exchanged(dice, kind).to_string(),
        _ => record(dice, kind.name(), 0).to_string(),
    }
}

/// Bytes that look like Avro: small lengths, sensible counts, now and then a huge one.
pub(crate) fn content(dice: &mut Dice) -> Vec<u8> {
    let mut content = Vec::new();
    for _ in 0..dice.below(40) {
        match dice.below(8) {
            0 => content.extend_from_slice(&[0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x01]),
            1 => content.extend_from_slice(&dice.bytes(9)),
            2 => content.extend_from_slice(b"\x08text"),
            3 => content.extend_from_slice(&[0xff; 10]),
            _ => content.push(dice.byte() & 0x0f),
        }
    }
    content
}

/// What an event type has beside the head.
pub(crate) fn body_of(kind: EventType) -> Vec<(&'static str, Value)> {
    let item_id = ("item_id", json!("sku-1"));
    match kind {
        EventType::ItemViewed
        | EventType::ItemClicked
        | EventType::ItemLiked
        | EventType::ItemAddedToCart
        | EventType::ItemHidden => vec![item_id],
        EventType::ItemDwelled => vec![item_id, ("dwell_ms", json!(5))],
        EventType::ItemPurchased => vec![
            item_id,
            ("price_minor", json!(5)),
            ("currency", json!("EUR")),
            ("quantity", json!(1)),
        ],
        EventType::ItemsShown => vec![("item_ids", json!(["a", "b"]))],
        EventType::Searched => vec![("query", json!("q"))],
        EventType::UserErased => Vec::new(),
    }
}

/// The text with a few characters changed.
fn scratched(dice: &mut Dice, text: &str) -> String {
    let mut bytes = text.as_bytes().to_vec();
    for _ in 0..dice.below(4) {
        let place = dice.below(bytes.len());
        bytes[place] = *dice.one_of(b"\"[]{}:,0n ");
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Our schema with fields dropped, doubled, renamed, or of another type.
fn exchanged(dice: &mut Dice, kind: EventType) -> Value {
    let parsed = serde_json::from_str(schemas::of_event(kind).text);
    let mut schema: Value = parsed.expect("our schemas are JSON");
    let Some(fields) = schema["fields"].as_array_mut() else { return schema };
    for _ in 0..=dice.below(3) {
        let place = dice.below(fields.len());
        match dice.below(4) {
            0 if fields.len() > 1 => drop(fields.remove(place)),
            1 => fields[place]["name"] = format!("f{place}").into(),
            2 => fields.push(json!({ "name": format!("g{place}"), "type": some_type(dice, 1) })),
            _ => fields[place]["type"] = some_type(dice, 1),
        }
    }
    schema
}

fn record(dice: &mut Dice, name: &str, depth: usize) -> Value {
    let fields = (0..dice.below(5))
        .map(|place| json!({ "name": format!("f{place}"), "type": some_type(dice, depth + 1) }));
    let fields: Vec<Value> = fields.collect();
    json!({ "type": "record", "name": name, "namespace": "upnext.events.v1", "fields": fields })
}

fn some_type(dice: &mut Dice, depth: usize) -> Value {
    const PRIMITIVES: [&str; 9] =
        ["null", "boolean", "int", "long", "float", "double", "bytes", "string", "ItemViewed"];
    const LOGICAL: [&str; 9] = [
        "timestamp-millis",
        "timestamp-micros",
        "timestamp-nanos",
        "local-timestamp-millis",
        "time-micros",
        "date",
        "decimal",
        "uuid",
        "made-up",
    ];
    let end = if depth < DEPTH_MAX { 11 } else { 5 };
    let name = format!("N{}", dice.below(1_000));
    match dice.below(end) {
        0 => {
            let size = *dice.one_of(&[0_u64, 2, 12, 16, 1 << 40]);
            json!({ "type": "fixed", "name": name, "size": size, "logicalType": dice.one_of(&LOGICAL) })
        }
        1 => json!({ "type": "enum", "name": name, "symbols": ["unknown", "a", "tv"] }),
        2 => json!({
            "type": dice.one_of(&PRIMITIVES), "logicalType": dice.one_of(&LOGICAL),
            "precision": dice.below(40), "scale": dice.below(40)
        }),
        3 | 4 => json!(dice.one_of(&PRIMITIVES)),
        5 => json!({ "type": "array", "items": some_type(dice, depth + 1) }),
        6 => json!({ "type": "map", "values": some_type(dice, depth + 1) }),
        7 | 8 => record(dice, &name, depth),
        9 => json!(["null", some_type(dice, depth + 1)]),
        _ => (0..dice.below(4)).map(|_| some_type(dice, depth + 1)).collect(),
    }
}
