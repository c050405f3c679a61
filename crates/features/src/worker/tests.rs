//! What a worker takes at once, and what it says of whom.

use std::sync::Arc;

use upnext_common::event::Subject;
use upnext_state::DecodeError;
use upnext_store::Keys;

use super::*;

/// A record of so many entries.
fn opened(entries: usize) -> Opened<()> {
    let record = Record {
        topic: Arc::from("t"),
        partition: 0,
        offset: 0,
        timestamp_ms: 0,
        key: None,
        value: None,
        headers: Vec::new(),
    };
    let units = (0..entries).map(|_| (String::new(), Unit { entry: (), source: None }));
    Opened { record, units: units.collect() }
}

#[track_caller]
fn check(entries: &[usize], room: usize, expected: usize) {
    let records: Vec<_> = entries.iter().map(|entries| opened(*entries)).collect();
    assert_eq!(slice_len(&records, room), expected, "{entries:?} {room}");
}

#[test]
fn no_more_is_loaded_at_once_than_a_flush_may_store() {
    check(&[2_000; 64], 1_200, 1);
    check(&[500, 500, 500, 500], 1_200, 3);
    check(&[500, 500, 500, 500], 1_000, 2);
    check(&[1, 1, 1], 1_200, 3);
    // What says nothing is looked at all the same.
    check(&[0, 0, 0, 0], 2, 2);
    check(&[7], 0, 1);
}

#[test]
fn no_id_stands_in_an_error() {
    let key = Keys::new("up:").user(Subject::User("alice@example.org"));
    let cause = DecodeError::Truncated;
    let troubles = [
        Trouble::State { key: KeyHash::of(&key), cause },
        Trouble::Unloaded { key: KeyHash::of(&key) },
    ];
    for trouble in troubles {
        let said = format!("{trouble} {trouble:?}");
        assert!(!said.contains("alice"), "{said}");
        assert!(said.contains("the key with hash "), "{said}");
    }
}
