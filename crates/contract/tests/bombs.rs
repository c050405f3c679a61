//! The inputs that stop a bare decoder, or fool it, each by name: through the whole way from bytes to a verdict.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says so")]

use serde_json::{Value, json};
use upnext_common::event::EventType;
use upnext_contract::framing::frame;
use upnext_contract::json::{Defaults, read_event};
use upnext_contract::{Encoder, Judge, Limits, Raw, Reason, Rejection, WriterSchema, schemas};

const NOW_MS: i64 = 1_790_000_000_000;
const RSS_MB_MAX: u64 = 200;

/// A schema that calls itself a viewed item, with one more field in front.
fn with_field(kind: &Value) -> String {
    let own = schemas::of_event(EventType::ItemViewed).text;
    let mut schema: Value = serde_json::from_str(own).unwrap();
    let fields = schema["fields"].as_array_mut().unwrap();
    fields.insert(0, json!({ "name": "bomb", "type": kind }));
    schema.to_string()
}

fn content() -> Vec<u8> {
    let form = json!({
        "type": "ItemViewed", "user_id": "u", "item_id": "i", "event_time": NOW_MS,
        "decision_id": "0190a6e1-7f4e-7c3a-9a51-0242ac120003",
    });
    let event = read_event(&form, Defaults { now_ms: NOW_MS }).unwrap();
    Encoder::with_ids(|_| 1).event(&event).unwrap()[5..].to_vec()
}

/// The verdict on content under a schema, as ingest comes to it.
fn rejection(schema: &str, content: &[u8]) -> Rejection {
    let value = frame(1, content);
    let raw =
        Raw { key: Some(b"u"), value: Some(&value), schema_header: None, timestamp_ms: NOW_MS };
    let schema = match WriterSchema::parse(1, schema, &[]) {
        Ok(schema) => schema,
        Err(flaw) => return Rejection::new(flaw.reason(), "", flaw.to_string()),
    };
    let judge = Judge::new(Limits::default(), "events");
    let (_, content) = judge.unframed(raw).unwrap();
    judge.verdict(&schema, content, raw).rejection().unwrap().clone()
}

#[track_caller]
fn check(schema: &str, content: &[u8], reason: Reason, part: &str) {
    let found = rejection(schema, content);
    assert_eq!(found.reason, reason, "{found}");
    assert!(found.detail.contains(part), "{found}");
    let peak = peak_mb();
    assert!(peak < RSS_MB_MAX, "{peak} MB were held");
}

/// The most memory this process ever held.
fn peak_mb() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok()).unwrap_or(0) / 1_024
}

/// A number as Avro writes it.
fn long(value: i64) -> Vec<u8> {
    let mut zigzag = (value << 1).cast_unsigned() ^ (value >> 63).cast_unsigned();
    let mut bytes = Vec::new();
    while zigzag > 0x7f {
        bytes.push(zigzag.to_le_bytes()[0] | 0x80);
        zigzag >>= 7;
    }
    bytes.push(zigzag.to_le_bytes()[0]);
    bytes
}

#[test]
fn a_hundred_and_two_bytes_do_not_become_ten_gigabytes() {
    // One block of arrays, each of which claims a million nulls and takes four bytes for it.
    let bomb = json!({ "type": "array", "items": { "type": "array", "items": "null" } });
    let inner = [long(1_000_000), long(0)].concat();
    let mut content = [long(20), inner.repeat(20)].concat();
    content.resize(102, 0);
    check(&with_field(&bomb), &content, Reason::SchemaLint, "takes no bytes");
}

#[test]
fn arrays_that_claim_what_they_do_not_hold_are_given_up_at_once() {
    let bomb = json!({ "type": "array", "items": { "type": "array", "items": "long" } });
    let schema = with_field(&bomb);
    let claim = [long(500), long(18_000)].concat();
    check(&schema, &claim, Reason::AvroTruncated, "needs more");
    let claim = long(i64::MAX);
    check(&schema, &claim, Reason::LimitExceeded, "");
    // A negative count is followed by the size of the block in bytes.
    let claim = [long(-1 << 40), long(1 << 40)].concat();
    check(&schema, &claim, Reason::LimitExceeded, "");
}

#[test]
fn a_schema_that_contains_itself_does_not_overflow_the_stack() {
    let bomb = json!(["null", "upnext.events.v1.ItemViewed"]);
    check(&with_field(&bomb), &vec![2; 10_000], Reason::SchemaLint, "contains itself");
    let around = json!({
        "type": "record", "name": "A", "fields": [
            { "name": "b", "type": { "type": "map", "values": "ItemViewed" } }]
    });
    check(&with_field(&around), &vec![2; 10_000], Reason::SchemaLint, "contains itself");
}

#[test]
fn items_of_no_width_are_refused_in_every_disguise() {
    for items in [
        json!("null"),
        json!({ "type": "fixed", "name": "Z", "size": 0 }),
        json!({ "type": "record", "name": "Z", "fields": [] }),
    ] {
        let bomb = json!({ "type": "array", "items": items });
        check(&with_field(&bomb), &long(1 << 50), Reason::SchemaLint, "takes no bytes");
    }
}

#[test]
fn a_text_that_may_be_null_and_is_cut_off_is_not_null() {
    let own = schemas::of_event(EventType::ItemViewed).text;
    let whole = content();
    for end in 1..whole.len() {
        check(own, &whole[..end], Reason::AvroTruncated, "needs more");
    }
}

#[test]
fn bytes_after_the_value_are_noticed() {
    let own = schemas::of_event(EventType::ItemViewed).text;
    let content = [content(), vec![0]].concat();
    check(own, &content, Reason::TrailingBytes, "1 bytes left");
}

#[test]
fn nanoseconds_in_a_field_of_milliseconds_are_named() {
    let own = schemas::of_event(EventType::ItemViewed).text;
    let whole = content();
    let (millis, nanos) = (long(NOW_MS), long(NOW_MS * 1_000_000));
    let place = whole.windows(millis.len()).position(|part| part == millis).unwrap();
    let content = [&whole[..place], &nanos[..], &whole[place + millis.len()..]].concat();
    check(own, &content, Reason::TsUnitSuspectNs, "looks like nanoseconds");
}
