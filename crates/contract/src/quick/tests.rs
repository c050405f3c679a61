//! The short way and the long way read the same, or the short way leaves it.

use apache_avro::schema::Schema;
use apache_avro::writer::datum::GenericDatumWriter;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;
use serde_json::{Value, json};

use super::*;
use crate::encoder::Encoder;
use crate::framing::unframe;
use crate::records::event;
use crate::records::tests::{events, evolved, some_value};
use crate::schemas;
use crate::verdict::Rejection;
use crate::writer_schema::WriterSchema;

fn own(kind: EventType) -> WriterSchema {
    WriterSchema::parse(1, schemas::of_event(kind).text, &[]).unwrap()
}

fn long_way(schema: &WriterSchema, content: &[u8]) -> Result<Event, Rejection> {
    event::read(schema.event_type().unwrap(), schema.decode(content)?)
}

/// Bytes set, inserted, or cut off.
pub(crate) type Edits = Vec<(Index, u8, u8)>;

pub(crate) fn edits() -> impl Strategy<Value = Edits> {
    vec((any::<Index>(), any::<u8>(), 0..4_u8), 0..4)
}

pub(crate) fn edited(mut content: Vec<u8>, edits: Edits) -> Vec<u8> {
    for (place, byte, how) in edits {
        let place = place.index(content.len() + 1);
        match how {
            0 => content.insert(place, byte),
            1 => content.truncate(place),
            2 => content.insert(place, byte & 3),
            _ => {
                if let Some(found) = content.get_mut(place) {
                    *found = byte;
                }
            }
        }
    }
    content
}

/// Our schema of a viewed item with a field of every type that is passed over.
fn wide() -> String {
    let mut schema: Value =
        serde_json::from_str(schemas::of_event(EventType::ItemViewed).text).unwrap();
    let more = [
        json!("boolean"),
        json!("int"),
        json!(["null", "double"]),
        json!({ "type": "array", "items": { "type": "map", "values": "float" } }),
        json!({ "type": "fixed", "name": "F", "size": 3 }),
        json!({ "type": "enum", "name": "E", "symbols": ["a", "b"] }),
        json!({ "type": "long", "logicalType": "timestamp-micros" }),
        json!({ "type": "record", "name": "R", "fields": [{ "name": "x", "type": "bytes" }] }),
    ];
    let fields = schema["fields"].as_array_mut().unwrap();
    for (place, kind) in more.into_iter().enumerate() {
        fields.insert(place * 2, json!({ "name": format!("more{place}"), "type": kind }));
    }
    schema.to_string()
}

fn written(schema: &Schema, salt: usize) -> Vec<u8> {
    let writer = GenericDatumWriter::builder(schema).build().unwrap();
    writer.write_value_to_vec(some_value(schema, salt)).unwrap()
}

proptest! {
    #[test]
    fn events_of_our_own_schemas_take_the_short_way(event in events()) {
        let framed = Encoder::with_ids(|_| 1).event(&event).unwrap();
        let (_, content) = unframe(&framed).unwrap();
        prop_assert_eq!(own(event.event_type()).quick_event(content), Some(event));
    }

    #[test]
    fn what_the_short_way_reads_the_long_way_reads(event in events(), edits in edits()) {
        let schema = own(event.event_type());
        let framed = Encoder::with_ids(|_| 1).event(&event).unwrap();
        let content = edited(unframe(&framed).unwrap().1.to_vec(), edits);
        if let Some(quick) = schema.quick_event(&content) {
            prop_assert_eq!(long_way(&schema, &content), Ok(quick));
        }
    }

    #[test]
    fn fields_that_are_passed_over_are_held_to_their_types(salt in 0..50_usize, edits in edits()) {
        let text = wide();
        let schema = WriterSchema::parse(1, &text, &[]).unwrap();
        let content = written(&Schema::parse_str(&text).unwrap(), salt);
        prop_assert_eq!(schema.quick_event(&content), long_way(&schema, &content).ok());
        let content = edited(content, edits);
        if let Some(quick) = schema.quick_event(&content) {
            prop_assert_eq!(long_way(&schema, &content), Ok(quick));
        }
    }
}

#[test]
fn producers_ahead_and_behind_are_read_as_by_the_long_way() {
    let mut quick = 0;
    for schema in evolved() {
        let text = serde_json::to_string(&schema).unwrap();
        let parsed = WriterSchema::parse(1, &text, &[]).unwrap();
        for salt in 0..30 {
            let content = written(&schema, salt);
            if let Some(event) = parsed.quick_event(&content) {
                assert_eq!(long_way(&parsed, &content), Ok(event), "{text}");
                quick += 1;
            }
        }
    }
    assert!(quick > 200, "{quick}");
}

#[test]
fn what_is_out_of_the_ordinary_is_left_to_the_long_way() {
    let kind = EventType::ItemsShown;
    let schema = own(kind);
    let shown = |ids: usize| {
        let form = json!({
            "type": "ItemsShown", "user_id": "u", "item_ids": vec!["i"; ids], "event_time": 1,
        });
        let event = crate::json::read_event(&form, crate::json::Defaults { now_ms: 1 }).unwrap();
        unframe(&Encoder::with_ids(|_| 1).event(&event).unwrap()).unwrap().1.to_vec()
    };
    assert!(schema.quick_event(&shown(1_000)).is_some());
    assert_eq!(schema.quick_event(&shown(1_001)), None);
    assert_eq!(schema.quick_event(&vec![0; CONTENT_BYTES_MAX + 1]), None);
    let bare = schemas::of_event(kind).text.replace("timestamp-millis", "timestamp-micros");
    let schema = WriterSchema::parse(1, &bare, &[]).unwrap();
    assert_eq!(schema.quick_event(&shown(1)), None);
}
