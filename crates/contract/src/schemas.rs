//! Our own schemas, embedded, and the subjects they stand under.

use std::sync::OnceLock;

use serde_json::Value;
use upnext_common::event::EventType;
use upnext_common::topic::Topic;

/// Namespace of the event types.
pub const EVENTS_NAMESPACE: &str = "upnext.events.v1";

/// One of our schemas.
#[derive(Clone, Copy, Debug)]
pub struct OwnSchema {
    /// Full name of its record.
    pub full_name: &'static str,
    /// The file's text.
    pub text: &'static str,
}

macro_rules! own_schema {
    ($full_name:literal, $path:literal) => {
        OwnSchema {
            full_name: $full_name,
            text: include_str!(concat!("../../../schemas/", $path, ".avsc")),
        }
    };
}

const EVENTS: [OwnSchema; 10] = [
    own_schema!("upnext.events.v1.ItemViewed", "events/ItemViewed"),
    own_schema!("upnext.events.v1.ItemClicked", "events/ItemClicked"),
    own_schema!("upnext.events.v1.ItemDwelled", "events/ItemDwelled"),
    own_schema!("upnext.events.v1.ItemLiked", "events/ItemLiked"),
    own_schema!("upnext.events.v1.ItemAddedToCart", "events/ItemAddedToCart"),
    own_schema!("upnext.events.v1.ItemPurchased", "events/ItemPurchased"),
    own_schema!("upnext.events.v1.ItemHidden", "events/ItemHidden"),
    own_schema!("upnext.events.v1.ItemsShown", "events/ItemsShown"),
    own_schema!("upnext.events.v1.Searched", "events/Searched"),
    own_schema!("upnext.events.v1.UserErased", "events/UserErased"),
];
pub const ITEM: OwnSchema = own_schema!("upnext.items.v1.Item", "items/Item");
pub const DECISION: OwnSchema = own_schema!("upnext.decisions.v1.Decision", "decisions/Decision");
pub const ARTIFACT: OwnSchema =
    own_schema!("upnext.models.v1.ArtifactAnnounced", "models/ArtifactAnnounced");
pub const SIGNALS: OwnSchema = own_schema!("upnext.signals.v1.SignalBatch", "signals/SignalBatch");

/// The reader schema of an event type.
#[must_use]
pub fn of_event(kind: EventType) -> OwnSchema {
    EVENTS[usize::from(kind.code())]
}

/// The event type whose record has this full name.
#[must_use]
pub fn event_type_of(full_name: &str) -> Option<EventType> {
    let (namespace, name) = full_name.rsplit_once('.')?;
    if namespace == EVENTS_NAMESPACE { EventType::from_name(name) } else { None }
}

/// Whether a schema puts the same bytes on the wire as ours of that type. What only readers and people look at (docs,
/// defaults, aliases) may differ; anything spelt differently counts as another schema.
pub(crate) fn is_own(kind: EventType, schema: &Value) -> bool {
    static OWN: OnceLock<[Value; EventType::ALL.len()]> = OnceLock::new();
    let own = OWN.get_or_init(|| {
        EventType::ALL.map(|kind| {
            let parsed = serde_json::from_str(of_event(kind).text);
            on_the_wire(&parsed.expect("our schemas are parsed by the tests"))
        })
    });
    on_the_wire(schema) == own[usize::from(kind.code())]
}

fn on_the_wire(schema: &Value) -> Value {
    match schema {
        Value::Object(fields) => {
            let is_kept = |name: &str| !["doc", "default", "aliases", "order"].contains(&name);
            let kept = fields.iter().filter(|(name, _)| is_kept(name));
            kept.map(|(name, value)| (name.clone(), on_the_wire(value))).collect()
        }
        Value::Array(entries) => entries.iter().map(on_the_wire).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => schema.clone(),
    }
}

/// The subject of a record type on a topic (`TopicRecordNameStrategy`).
#[must_use]
pub fn subject_of(topic: &str, record_full_name: &str) -> String {
    format!("{topic}-{record_full_name}")
}

/// Every schema we register, with its topic.
#[must_use]
pub fn all() -> Vec<(Topic, OwnSchema)> {
    let events = EVENTS.into_iter().map(|schema| (Topic::Events, schema));
    let valid = EVENTS.into_iter().map(|schema| (Topic::Valid, schema));
    let others = [
        (Topic::Items, ITEM),
        (Topic::Decisions, DECISION),
        (Topic::Models, ARTIFACT),
        (Topic::Signals, SIGNALS),
    ];
    events.chain(valid).chain(others).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_schema_has_the_name_it_stands_under_and_documents_every_field() {
        for (_, schema) in all() {
            let parsed: Value = serde_json::from_str(schema.text).unwrap();
            let name = format!(
                "{}.{}",
                parsed["namespace"].as_str().unwrap(),
                parsed["name"].as_str().unwrap()
            );
            assert_eq!(name, schema.full_name);
            for field in parsed["fields"].as_array().unwrap() {
                assert!(field["doc"].as_str().is_some_and(|doc| doc.len() > 5), "{name}: {field}");
            }
        }
    }

    #[test]
    fn every_event_has_the_same_head() {
        let head = |kind: EventType| -> Vec<Value> {
            let parsed: Value = serde_json::from_str(of_event(kind).text).unwrap();
            parsed["fields"].as_array().unwrap()[..9].to_vec()
        };
        for kind in EventType::ALL {
            assert_eq!(event_type_of(of_event(kind).full_name), Some(kind));
            assert_eq!(head(kind), head(EventType::ItemViewed), "{kind:?}");
        }
        assert_eq!(event_type_of("other.ItemViewed"), None);
    }

    #[test]
    fn a_schema_is_ours_while_its_bytes_are() {
        for kind in EventType::ALL {
            let ours: Value = serde_json::from_str(of_event(kind).text).unwrap();
            assert!(is_own(kind, &ours));
            let mut retold = ours.clone();
            retold["doc"] = "told otherwise".into();
            retold["fields"][4].as_object_mut().unwrap().remove("default");
            assert!(is_own(kind, &retold));
            let mut turned = ours.clone();
            turned["fields"].as_array_mut().unwrap().swap(2, 3);
            assert!(!is_own(kind, &turned));
            let mut micros = ours;
            micros["fields"][1]["type"]["logicalType"] = "timestamp-micros".into();
            assert!(!is_own(kind, &micros));
        }
    }

    #[test]
    fn subjects_follow_topic_and_record_name() {
        assert_eq!(subject_of("t.v1", "a.B"), "t.v1-a.B");
    }
}
