//! What is found clean without making an event of it, the whole way accepts: never the other way round.

use proptest::prelude::*;

use super::*;
use crate::quick::tests::{Edits, edited, edits};
use crate::records::tests::events;
use crate::writer_schema::Standing;

fn judge() -> Judge {
    Judge::new(Limits::default(), TOPIC)
}

fn schema(kind: EventType, subject: &str) -> WriterSchema {
    let schema = WriterSchema::parse(OWN_ID, schemas::of_event(kind).text, &[]).unwrap();
    let subjects = Some(vec![subject.to_owned()]);
    schema.note_standing(Standing { subjects, asked_at: None });
    schema
}

fn own(kind: EventType) -> WriterSchema {
    schema(kind, &subject_of(TOPIC, schemas::of_event(kind).full_name))
}

/// Whether the event is clean after the edits, and the verdict on it.
fn both(event: &Event, how: Edits, ahead_ms: i64) -> (bool, Verdict) {
    let value = edited(encoded(event)[5..].to_vec(), how);
    let key = event.key().map(str::as_bytes);
    let timestamp_ms = event.event_time_ms.saturating_sub(ahead_ms);
    let raw = Raw { key, value: Some(&value), schema_header: None, timestamp_ms };
    let (judge, schema) = (judge(), own(event.event_type()));
    let verdict = judge.verdict(&schema, &value, raw);
    assert!(judge.clears(&schema));
    (judge.is_clean(&Cleared(Arc::new(schema)), &value, raw), verdict)
}

proptest! {
    #[test]
    fn what_is_clean_is_accepted(event in events(), how in edits(), ahead_ms in -100_000_000..100_000_000_i64) {
        let (is_clean, verdict) = both(&event, how, ahead_ms);
        prop_assert!(!is_clean || verdict.rejection().is_none(), "{verdict:?}");
    }
}

#[test]
fn a_good_event_of_every_type_is_clean() {
    for kind in EventType::ALL {
        let (is_clean, verdict) = both(&sample(kind), Vec::new(), 0);
        assert!(is_clean && verdict.rejection().is_none(), "{kind:?}: {verdict:?}");
    }
}

#[test]
fn what_speaks_against_an_event_is_left_to_the_whole_way() {
    let event = sample(EventType::ItemViewed);
    let content = encoded(&event)[5..].to_vec();
    let good = Raw { timestamp_ms: event.event_time_ms, ..raw(&content) };
    let (judge, ours) = (judge(), Cleared(Arc::new(own(EventType::ItemViewed))));
    assert!(judge.is_clean(&ours, &content, good));
    assert!(!judge.is_clean(&ours, &content, Raw { key: Some(b"u-18"), ..good }));
    assert!(!judge.is_clean(&ours, &content, Raw { timestamp_ms: 0, ..good }));
    assert!(!judge.is_clean(&ours, &content[1..], good));
    let elsewhere = schema(EventType::ItemViewed, "other-upnext.events.v1.ItemViewed");
    assert!(!judge.clears(&elsewhere));
    let unasked = WriterSchema::parse(OWN_ID, schemas::of_event(EventType::ItemViewed).text, &[]);
    assert!(!judge.clears(&unasked.unwrap()));
}

#[test]
fn an_event_that_is_warned_of_is_counted_by_the_whole_way() {
    let rules = crate::rules::Rules::embedded();
    let warning = rules.all().iter().find(|rule| rule.severity == crate::rules::Severity::Warn);
    let rule = warning.expect("a rule that warns");
    assert_eq!(rule.id, "surface.word", "the event below breaks this one");
    let event = Event { surface: "No Word".to_owned(), ..sample(EventType::ItemViewed) };
    let (is_clean, verdict) = both(&event, Vec::new(), 0);
    assert!(!is_clean && verdict.rejection().is_none(), "{verdict:?}");
}
