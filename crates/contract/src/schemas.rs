//! Our own schemas, embedded, and the subjects they stand under.

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
    use serde_json::Value;

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
    fn subjects_follow_topic_and_record_name() {
        assert_eq!(subject_of("t.v1", "a.B"), "t.v1-a.B");
    }
}
