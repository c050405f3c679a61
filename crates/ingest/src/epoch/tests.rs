//! By what a raw log is known, and what valid events tell of it.

use std::sync::Arc;

use bytes::Bytes;

use super::*;

/// Read up to offset 49, of time 2000; the first was offset 3, of time 1000.
#[track_caller]
fn check((start, end): (i64, i64), timestamps_ms: [Option<i64>; 2], expected: Log) {
    let marks = Some(Marks { first: (3, 1_000), last_ms: 2_000 });
    let known = Known { epoch: 0, offset: 49, marks };
    let found = Glance { start, end, timestamps_ms: timestamps_ms.to_vec() };
    assert_eq!(verdict(&known, &found, 50), expected, "{found:?}");
}

#[test]
fn a_raw_log_is_known_by_its_records() {
    check((0, 50), [Some(2_000), Some(1_000)], Log::Same);
    // Made anew: shorter, or grown past.
    check((0, 0), [None, None], Log::Anew);
    check((0, 20), [None, Some(7)], Log::Anew);
    check((0, 90), [Some(7), Some(8)], Log::Anew);
    // The same, but its end is gone, and perhaps written anew.
    check((0, 40), [None, Some(1_000)], Log::Shortened);
    check((0, 90), [Some(7), Some(1_000)], Log::Shortened);
    // Retention has removed what was read, or more.
    check((30, 90), [Some(2_000), None], Log::Same);
    check((70, 90), [None, None], Log::Same);
    check((30, 40), [None, None], Log::Shortened);
}

#[test]
fn a_reader_that_is_ahead_of_the_log_tells_without_marks() {
    let known = Known { epoch: 0, offset: 39, marks: None };
    let found = |end| Glance { start: 0, end, timestamps_ms: Vec::new() };
    assert_eq!(verdict(&known, &found(40), 40), Log::Same);
    assert_eq!(verdict(&known, &found(39), 40), Log::Shortened);
    assert_eq!(verdict(&known, &found(45), 50), Log::Shortened);
}

#[test]
fn one_record_alone_tells_all() {
    let marks = Some(Marks { first: (0, 1_000), last_ms: 1_000 });
    let known = Known { epoch: 0, offset: 0, marks };
    let found = |at_ms| Glance { start: 0, end: 9, timestamps_ms: vec![Some(at_ms); 2] };
    assert_eq!(verdict(&known, &found(1_000), 1), Log::Same);
    assert_eq!(verdict(&known, &found(7), 1), Log::Anew);
}

fn valid(topic: &str, partition: i32, offset: i64, epoch: Option<u32>) -> Record {
    let text = |name: &str, value: String| (name.to_owned(), Some(Bytes::from(value)));
    let mut headers = vec![
        text(SOURCE_TOPIC, topic.to_owned()),
        text(SOURCE_PARTITION, partition.to_string()),
        text(SOURCE_OFFSET, offset.to_string()),
    ];
    headers.extend(epoch.map(|epoch| text(SOURCE_EPOCH, epoch.to_string())));
    Record {
        topic: Arc::from("valid"),
        partition: 0,
        offset: 0,
        timestamp_ms: 100 + offset,
        key: None,
        value: None,
        headers,
    }
}

#[test]
fn the_newest_event_of_the_newest_epoch_tells() {
    let mut seen = Seen::of(1, i64::MAX);
    for record in [
        valid("raw", 1, 50, None),
        valid("raw", 1, 7, Some(2)),
        valid("raw", 1, 51, None),
        valid("raw", 1, 5, Some(2)),
        valid("raw", 1, 9, Some(2)),
        valid("raw", 0, 99, Some(3)),
        valid("other", 1, 99, Some(9)),
    ] {
        seen.note(&record, "raw");
    }
    let marks = Some(Marks { first: (5, 105), last_ms: 109 });
    assert_eq!(seen.known(), Known { epoch: 2, offset: 9, marks });
    let mut seen = Seen::of(1, 51);
    assert_eq!((seen.known(), seen.newest), (Known::nothing(0), None));
    seen.note(&valid("raw", 0, 40, Some(3)), "raw");
    let of_another = Place { partition: 0, epoch: 3, offset: 40, at_ms: 140 };
    assert_eq!((seen.known(), seen.newest), (Known::nothing(0), Some(of_another)));
    for offset in 40..60 {
        seen.note(&valid("raw", 1, offset, None), "raw");
    }
    assert_eq!(seen.known().offset, 50);
}
