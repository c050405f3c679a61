//! What stands in the headers of valid events and dead letters.

use std::collections::BTreeMap;
use std::sync::Arc;

use upnext_common::event::{Device, EventBody};
use upnext_contract::Reason;

use super::*;

fn stamp() -> Stamp {
    Stamp::new("t.", Encoder::with_ids(|_| 7))
}

fn record(headers: Vec<Header>) -> Record {
    Record {
        topic: Arc::from("t.events.v1"),
        partition: 3,
        offset: 41,
        timestamp_ms: 1_700_000_000_000,
        key: Some(Bytes::from_static(b"u1")),
        value: Some(Bytes::from_static(b"raw")),
        headers,
    }
}

fn event() -> Event {
    Event {
        event_id: "6f1b3f0e-6c49-4c1b-9d0c-0a4a3f1c2b5d".to_owned(),
        event_time_ms: 1_700_000_000_000,
        user_id: Some("u1".to_owned()),
        anonymous_id: None,
        session_id: "s".to_owned(),
        surface: "home".to_owned(),
        decision_id: None,
        device: Device::Unknown,
        props: BTreeMap::new(),
        body: EventBody::ItemClicked { item_id: "i1".to_owned() },
    }
}

fn read(outgoing: &Outgoing) -> BTreeMap<&str, String> {
    let shown = |value: &Option<Bytes>| {
        String::from_utf8(value.clone().unwrap_or_default().to_vec()).unwrap()
    };
    outgoing.headers.iter().map(|(name, value)| (name.as_str(), shown(value))).collect()
}

#[test]
fn a_valid_event_says_where_it_was_read() {
    let mine = ("trace".to_owned(), Some(Bytes::from_static(b"x")));
    let forged = (SOURCE_OFFSET.to_owned(), Some(Bytes::from_static(b"1")));
    let named = (SCHEMA_HEADER.to_owned(), Some(Bytes::from_static(&[1; 17])));
    let outgoing = stamp().valid(&record(vec![mine, forged, named]), &event(), 0).unwrap();
    let headers = read(&outgoing);
    assert_eq!(outgoing.topic, "t.events.valid.v1");
    assert_eq!(outgoing.timestamp_ms, Some(1_700_000_000_000));
    assert_eq!(outgoing.headers.len(), 4, "a forged position does not stand beside the true one");
    assert_eq!(headers["trace"], "x");
    assert_eq!(headers[SOURCE_TOPIC], "t.events.v1");
    assert_eq!(headers[SOURCE_PARTITION], "3");
    assert_eq!(headers[SOURCE_OFFSET], "41");
    assert_eq!(outgoing.value.unwrap()[..5], [0, 0, 0, 0, 7]);
}

#[test]
fn a_record_that_needs_no_change_goes_on_as_one_that_was_read() {
    let stamp = stamp();
    let mine = ("trace".to_owned(), Some(Bytes::from_static(b"x")));
    let forged = (SOURCE_OFFSET.to_owned(), Some(Bytes::from_static(b"1")));
    let value = Encoder::with_ids(|_| 7).event(&event()).ok();
    let record = Record { value, ..record(vec![mine, forged]) };
    let expected = stamp.valid(&record, &event(), 0).unwrap();
    assert_eq!(stamp.as_written(record, 0), expected);
    assert_eq!(stamp.event_type_of(8), None);
}

#[test]
fn a_dead_letter_keeps_the_record_and_says_why() {
    let rejection = Rejection::new(Reason::Range, "/dwell_ms", "is below 0").with_schema(9);
    let mine = ("trace".to_owned(), None);
    let outgoing = stamp().dead(&record(vec![mine.clone()]), &rejection, 1_234);
    let headers = read(&outgoing);
    assert_eq!(outgoing.topic, "t.events.dlq.v1");
    assert_eq!(outgoing.key.as_deref(), Some(&b"u1"[..]));
    assert_eq!(outgoing.value.as_deref(), Some(&b"raw"[..]));
    assert_eq!(outgoing.headers[0], mine);
    for (name, expected) in [
        ("upnext.dlq.reason", "range"),
        ("upnext.dlq.pointer", "/dwell_ms"),
        ("upnext.dlq.detail", "is below 0"),
        ("upnext.dlq.stage", "contract"),
        ("upnext.dlq.topic", "t.events.v1"),
        ("upnext.dlq.partition", "3"),
        ("upnext.dlq.offset", "41"),
        ("upnext.dlq.timestamp", "1700000000000"),
        ("upnext.dlq.schema_id", "9"),
        ("upnext.dlq.attempt", "1"),
        ("upnext.dlq.processor", "upnext-ingest"),
        ("upnext.dlq.version", env!("CARGO_PKG_VERSION")),
        ("upnext.dlq.first_failed_at", "1234"),
        ("__connect.errors.topic", "t.events.v1"),
        ("__connect.errors.partition", "3"),
        ("__connect.errors.offset", "41"),
        ("__connect.errors.stage", "contract"),
        ("__connect.errors.exception.class.name", "upnext.contract.range"),
        ("__connect.errors.exception.message", "is below 0"),
    ] {
        assert_eq!(headers[name], expected, "{name}");
    }
}

#[test]
fn a_second_rejection_counts_on_and_keeps_the_first_moment() {
    let rejection = Rejection::new(Reason::BadMagic, "", "starts with 1");
    let first = stamp().dead(&record(vec![]), &rejection, 1_000);
    let second = stamp().dead(&record(first.headers.clone()), &rejection, 2_000);
    let headers = read(&second);
    assert_eq!(second.headers.len(), first.headers.len());
    assert_eq!(headers["upnext.dlq.attempt"], "2");
    assert_eq!(headers["upnext.dlq.first_failed_at"], "1000");
    assert_eq!(headers["upnext.dlq.schema_id"], "");
}

#[test]
fn a_value_under_our_schema_goes_on_as_it_came_and_another_is_written_anew() {
    let ours = Bytes::from_static(&[0, 0, 0, 0, 7, 1, 2, 3]);
    let theirs = Bytes::from_static(&[0, 0, 0, 0, 8, 1, 2, 3]);
    let under = |value: &Bytes, headers| Record { value: Some(value.clone()), ..record(headers) };
    let written = Encoder::with_ids(|_| 7).event(&event()).unwrap();
    let valid = |record: &Record| stamp().valid(record, &event(), 0).unwrap().value.unwrap();
    assert_eq!(valid(&under(&ours, vec![])), ours);
    assert_eq!(valid(&under(&theirs, vec![])), written);
    let named = (SCHEMA_HEADER.to_owned(), Some(Bytes::from_static(&[1; 17])));
    assert_eq!(valid(&under(&ours, vec![named])), written, "the bytes are bare then");
}
