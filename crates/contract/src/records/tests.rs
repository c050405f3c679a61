//! What is written by hand is what the library reads with our schemas, and comes back equal.

use std::collections::BTreeMap;

use apache_avro::schema::{RecordField, Schema};
use apache_avro::types::Value;
use proptest::collection::{btree_map, vec};
use proptest::option::of;
use proptest::prelude::*;
use serde_json::{Value as Json, json};
use upnext_common::decision::{DecidedItem, Decision};
use upnext_common::event::{Device, Event, EventBody, EventType};
use upnext_common::item::Item;
use upnext_common::tier::{Reason as Why, Tier};

use super::artifact::ArtifactAnnounced;
use crate::encoder::Encoder;
use crate::framing::unframe;
use crate::schemas::{self, OwnSchema};
use crate::writer_schema::WriterSchema;

/// Decodes a framed value with one of our schemas, by the library.
fn decoded(own: OwnSchema, framed: &[u8]) -> Value {
    let schema = WriterSchema::parse(7, own.text, &[]).unwrap();
    let (id, content) = unframe(framed).unwrap();
    assert_eq!(id, 7);
    schema.decode(content).unwrap()
}

fn encoder() -> Encoder {
    Encoder::with_ids(|_| 7)
}

fn bodies() -> impl Strategy<Value = EventBody> {
    let item_id = || "[a-zé0-9]{0,12}";
    prop_oneof![
        item_id().prop_map(|item_id| EventBody::ItemViewed { item_id }),
        item_id().prop_map(|item_id| EventBody::ItemClicked { item_id }),
        (item_id(), any::<i64>())
            .prop_map(|(item_id, dwell_ms)| EventBody::ItemDwelled { item_id, dwell_ms }),
        item_id().prop_map(|item_id| EventBody::ItemLiked { item_id }),
        item_id().prop_map(|item_id| EventBody::ItemAddedToCart { item_id }),
        (item_id(), any::<i64>(), "[A-Z]{3}", any::<i32>()).prop_map(
            |(item_id, price_minor, currency, quantity)| EventBody::ItemPurchased {
                item_id,
                price_minor,
                currency,
                quantity
            }
        ),
        item_id().prop_map(|item_id| EventBody::ItemHidden { item_id }),
        vec(item_id(), 0..5).prop_map(|item_ids| EventBody::ItemsShown { item_ids }),
        ".{0,20}".prop_map(|query| EventBody::Searched { query }),
        Just(EventBody::UserErased),
    ]
}

fn texts() -> impl Strategy<Value = BTreeMap<String, String>> {
    btree_map("[a-z]{1,4}", ".{0,8}", 0..4)
}

pub(crate) fn events() -> impl Strategy<Value = Event> {
    let ids = (".{0,36}", of(".{0,9}"), of(".{0,9}"), of(".{0,9}"));
    let head = (any::<i64>(), ".{0,9}", ".{0,9}", prop::sample::select(Device::ALL.to_vec()));
    (ids, head, texts(), bodies()).prop_map(|(ids, head, props, body)| Event {
        event_id: ids.0,
        event_time_ms: head.0,
        user_id: ids.1,
        anonymous_id: ids.2,
        session_id: head.1,
        surface: head.2,
        decision_id: ids.3,
        device: head.3,
        props,
        body,
    })
}

proptest! {
    #[test]
    fn every_event_comes_back(event in events()) {
        let framed = encoder().event(&event).unwrap();
        let value = decoded(schemas::of_event(event.event_type()), &framed);
        prop_assert_eq!(super::event::read(event.event_type(), value), Ok(event));
    }

    #[test]
    fn every_item_comes_back(
        id in ".{0,9}", title in of(".{0,9}"), category in of(".{0,9}"), price in of(any::<f64>()),
        attributes in texts(), hidden: bool, deleted: bool,
    ) {
        let price = price.filter(|price| !price.is_nan());
        let item = Item { item_id: id, title, category, price, attributes, hidden, deleted };
        let value = decoded(schemas::ITEM, &encoder().item(&item).unwrap());
        prop_assert_eq!(super::item::read(value), Ok(item));
    }
}

/// Writer schemas of a viewed item that an older or newer producer may use.
pub(crate) fn evolved() -> Vec<Schema> {
    let own: Json = serde_json::from_str(schemas::of_event(EventType::ItemViewed).text).unwrap();
    let change = |name: &str, kind: Option<Json>| {
        let mut schema = own.clone();
        let fields = schema["fields"].as_array_mut().unwrap();
        let place = fields.iter().position(|field| field["name"] == name).unwrap();
        match kind {
            None => drop(fields.remove(place)),
            Some(kind) => {
                fields[place]["type"] = kind;
                fields[place].as_object_mut().unwrap().remove("default");
            }
        }
        schema
    };
    let mut turned = own.clone();
    turned["fields"].as_array_mut().unwrap().reverse();
    let devices =
        json!({ "type": "enum", "name": "Device", "symbols": ["tv", "unknown", "watch"] });
    let schemas = [
        own.clone(),
        turned,
        change("props", None),
        change("user_id", None),
        change("device", None),
        change("surface", None),
        change("user_id", Some(json!("string"))),
        change("user_id", Some(json!(["string", "null"]))),
        change("session_id", Some(json!(["null", "string"]))),
        change("session_id", Some(json!("bytes"))),
        change("device", Some(devices)),
        change("event_time", Some(json!("int"))),
        change("event_time", Some(json!("long"))),
    ];
    schemas.iter().map(|schema| Schema::parse(schema).unwrap()).collect()
}

/// Some value of a writer's schema.
#[expect(clippy::wildcard_enum_match_arm, reason = "the library's list of schemas")]
pub(crate) fn some_value(schema: &Schema, salt: usize) -> Value {
    match schema {
        Schema::Record(record) => {
            let fields = record.fields.iter().enumerate();
            let value = |(index, field): (usize, &RecordField)| {
                (field.name.clone(), some_value(&field.schema, salt + index))
            };
            Value::Record(fields.map(value).collect())
        }
        Schema::Union(union) => {
            let branch = salt % union.variants().len();
            let value = some_value(&union.variants()[branch], salt);
            Value::Union(u32::try_from(branch).unwrap(), Box::new(value))
        }
        Schema::Enum(kind) => {
            let index = salt % kind.symbols.len();
            Value::Enum(u32::try_from(index).unwrap(), kind.symbols[index].clone())
        }
        Schema::Map(map) => Value::Map([("k".to_owned(), some_value(&map.types, salt))].into()),
        Schema::Null => Value::Null,
        Schema::Int => Value::Int(i32::try_from(salt).unwrap()),
        Schema::Long => Value::Long(i64::try_from(salt).unwrap()),
        Schema::TimestampMillis => Value::TimestampMillis(i64::try_from(salt).unwrap()),
        Schema::TimestampMicros => Value::TimestampMicros(i64::try_from(salt).unwrap()),
        Schema::Boolean => Value::Boolean(salt.is_multiple_of(2)),
        Schema::Float => Value::Float(0.5),
        Schema::Double => Value::Double(0.25),
        Schema::Fixed(fixed) => Value::Fixed(fixed.size, vec![7; fixed.size]),
        Schema::Array(list) => {
            Value::Array((0..salt % 3).map(|n| some_value(&list.items, n)).collect())
        }
        Schema::Bytes => Value::Bytes(format!("b{salt}").into_bytes()),
        Schema::String => Value::String(format!("s{salt}")),
        other => panic!("not in our schemas: {other:?}"),
    }
}

#[test]
fn our_resolution_is_the_librarys() {
    let kind = EventType::ItemViewed;
    let reader = Schema::parse_str(schemas::of_event(kind).text).unwrap();
    let mut resolved = 0;
    for (place, writer) in evolved().iter().enumerate() {
        for salt in 0..30 {
            let written = some_value(writer, salt);
            let by_library = written.clone().resolve(&reader);
            let ours = super::event::read(kind, written);
            match by_library {
                Ok(value) => {
                    assert_eq!(
                        ours,
                        super::event::read(kind, value),
                        "schema {place}, salt {salt}"
                    );
                    assert!(ours.is_ok(), "schema {place}, salt {salt}: {ours:?}");
                    resolved += 1;
                }
                Err(error) => assert!(ours.is_err(), "schema {place}, salt {salt}: {error}"),
            }
        }
    }
    assert!(resolved > 300, "{resolved}");
}

fn decision() -> Decision {
    let item = |rank| DecidedItem {
        item_id: format!("item-{rank}"),
        rank,
        score: 0.25,
        source: "covisit".to_owned(),
        propensity: 1.0,
        row: vec![0, 0, 128, 63],
    };
    Decision {
        decision_id: "0190a6e1-7f4e-7c3a-9a51-0242ac120002".to_owned(),
        decided_at_ms: 1_790_000_000_000,
        user_id: Some("u".to_owned()),
        anonymous_id: None,
        session_id: Some("s".to_owned()),
        surface: "home".to_owned(),
        query: "{\"k\":2}".to_owned(),
        tier: Tier::Session,
        reasons: vec![Why::Deadline, Why::ColdUser],
        model: Some("m-1".to_owned()),
        feature_spec: "abc".to_owned(),
        features_as_of_ms: Some(-5),
        user_state: vec![1, 2, 3],
        took_us: 900,
        candidates: vec![item(1), item(0)],
    }
}

#[test]
fn decisions_come_back_full_and_bare() {
    let full = decision();
    let bare = Decision {
        user_id: None,
        reasons: Vec::new(),
        model: None,
        features_as_of_ms: None,
        user_state: Vec::new(),
        candidates: Vec::new(),
        ..decision()
    };
    for decision in [full, bare] {
        let value = decoded(schemas::DECISION, &encoder().decision(&decision).unwrap());
        assert_eq!(super::decision::read(value), Ok(decision));
    }
}

#[test]
fn a_decision_of_a_tier_we_do_not_know_is_refused() {
    let framed = encoder().decision(&decision()).unwrap();
    let Value::Record(mut fields) = decoded(schemas::DECISION, &framed) else {
        panic!("a decision is a record");
    };
    for (name, value) in &mut fields {
        if name == "tier" {
            *value = Value::String("golden".to_owned());
        }
    }
    let refused = super::decision::read(Value::Record(fields)).unwrap_err();
    assert_eq!((refused.pointer.as_str(), refused.reason.code()), ("/tier", "enum"));
}

#[test]
fn announcements_come_back() {
    let artifact = ArtifactAnnounced {
        artifact_id: "m-1".to_owned(),
        path: "artifacts/m-1".to_owned(),
        manifest_sha256: "00ff".to_owned(),
        created_at_ms: 5,
    };
    let value = decoded(schemas::ARTIFACT, &encoder().artifact(&artifact).unwrap());
    assert_eq!(super::artifact::read(value), Ok(artifact));
}

#[test]
fn the_signals_schema_is_one_we_would_decode() {
    let schema = WriterSchema::parse(1, schemas::SIGNALS.text, &[]).unwrap();
    assert_eq!(schema.full_name(), schemas::SIGNALS.full_name);
    // Partition 3; one entry: offset 1, index 0, item -1, time 2, a pair with 9, distance 1, backward; epoch 0.
    let content = [6, 2, 2, 0, 1, 4, 2, 18, 2, 1, 0, 0];
    assert!(schema.decode(&content).is_ok());
}

#[test]
fn what_is_too_large_is_not_written() {
    let query = "q".repeat(crate::encoder::VALUE_BYTES_MAX);
    let erased = Event { body: EventBody::Searched { query }, ..sample(EventType::Searched) };
    assert!(encoder().event(&erased).is_err());
    assert!(encoder().signals(&[0; 10]).is_ok());
}

/// A valid event of a type, for the tests of the whole crate.
pub(crate) fn sample(kind: EventType) -> Event {
    let item_id = "sku-1".to_owned();
    let body = match kind {
        EventType::ItemViewed => EventBody::ItemViewed { item_id },
        EventType::ItemClicked => EventBody::ItemClicked { item_id },
        EventType::ItemDwelled => EventBody::ItemDwelled { item_id, dwell_ms: 5_400 },
        EventType::ItemLiked => EventBody::ItemLiked { item_id },
        EventType::ItemAddedToCart => EventBody::ItemAddedToCart { item_id },
        EventType::ItemPurchased => EventBody::ItemPurchased {
            item_id,
            price_minor: 1_999,
            currency: "EUR".to_owned(),
            quantity: 2,
        },
        EventType::ItemHidden => EventBody::ItemHidden { item_id },
        EventType::ItemsShown => EventBody::ItemsShown { item_ids: vec![item_id] },
        EventType::Searched => EventBody::Searched { query: "shoes".to_owned() },
        EventType::UserErased => EventBody::UserErased,
    };
    Event {
        event_id: "0190a6e1-7f4e-7c3a-9a51-0242ac120002".to_owned(),
        event_time_ms: 1_790_000_000_000,
        user_id: Some("u-17".to_owned()),
        anonymous_id: None,
        session_id: "s-1".to_owned(),
        surface: "home".to_owned(),
        decision_id: None,
        device: Device::Mobile,
        props: BTreeMap::new(),
        body,
    }
}
