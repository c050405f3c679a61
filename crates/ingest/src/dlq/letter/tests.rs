//! What a dead letter says, and what it says when its headers are wrong.

use std::sync::Arc;

use super::*;

/// A dead letter with these headers below `upnext.dlq.`.
pub(crate) fn letter(offset: i64, said: &[(&str, &str)]) -> Letter {
    let header = |(name, value): &(&str, &str)| {
        let name = if name.contains('.') || *name == "producer" {
            (*name).to_owned()
        } else {
            format!("upnext.dlq.{name}")
        };
        (name, Some(Bytes::copy_from_slice(value.as_bytes())))
    };
    Letter::of(Record {
        topic: Arc::from("t.events.dlq.v1"),
        partition: 0,
        offset,
        timestamp_ms: 1_700_000_000_000 + offset,
        key: Some(Bytes::from_static(b"u1")),
        value: Some(Bytes::from_static(b"\x00bad")),
        headers: said.iter().map(header).collect(),
    })
}

#[test]
fn a_letter_is_read_and_shown() {
    let said = [
        ("reason", "range"),
        ("stage", "contract"),
        ("pointer", "/dwell_ms"),
        ("detail", "too small"),
        ("topic", "t.events.v1"),
        ("partition", "3"),
        ("offset", "41"),
        ("schema_id", "7"),
        ("attempt", "5"),
        ("first_failed_at", "12"),
    ];
    let letter = letter(9, &said);
    let text = letter.text();
    assert_eq!(
        text,
        "0/9 2023-11-14T22:13:20.009Z range at t.events.v1[3]@41 key=u1 attempt 5 parked \
         /dwell_ms: too small\n  \\x00bad"
    );
    let json = letter.json();
    assert_eq!(json["source"], json!({"topic": "t.events.v1", "partition": 3, "offset": 41}));
    assert_eq!((&json["parked"], &json["producer"]), (&json!(true), &json!("schema 7")));
    assert_eq!(json["headers"]["upnext.dlq.reason"], "range");
    assert_eq!(letter.hour(), "2023-11-14T22:00Z");
    assert_eq!(letter.known_reason(), Some(Reason::Range));
}

#[test]
fn a_letter_with_wrong_headers_is_shown_all_the_same() {
    let letter = letter(1, &[("reason", "unheard"), ("partition", "x"), ("attempt", "-3")]);
    assert_eq!((letter.source.clone(), letter.attempt), (None, 1));
    assert_eq!((letter.known_reason(), letter.producer()), (None, "unknown".to_owned()));
    assert!(letter.text().contains("unheard at ?"), "{}", letter.text());
}

#[test]
fn a_producer_that_says_who_it_is_is_believed() {
    let names = [("producer", "b"), ("upnext.producer", "a"), ("schema_id", "7")];
    assert_eq!(letter(1, &names).producer(), "a");
    assert_eq!(letter(1, &names[..1]).producer(), "b");
}

#[test]
fn long_values_are_cut_and_absent_ones_said() {
    let mut long = letter(1, &[("reason", "range")]);
    long.record.value = Some(Bytes::from(vec![b'a'; 3_000]));
    let short = Letter::of(long.record).shortened();
    assert_eq!(short.record.value.as_ref().map(Bytes::len), Some(KEPT_BYTES_MAX));
    let text = short.text();
    assert!(text.ends_with("… (3000 bytes)") && text.len() < 500, "{text}");
    assert_eq!(short.json()["value_bytes"], 3_000);
    assert_eq!(preview(None, None), "null");
}

#[test]
fn moments_are_written_as_dates() {
    for (ms, text) in [
        (0, "1970-01-01T00:00:00.000Z"),
        (951_827_696_789, "2000-02-29T12:34:56.789Z"),
        (1_798_761_599_999, "2026-12-31T23:59:59.999Z"),
        (-1, "1969-12-31T23:59:59.999Z"),
    ] {
        assert_eq!(stamp(ms), text);
    }
}
