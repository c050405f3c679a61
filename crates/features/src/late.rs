//! The dead letter of a valid event that came too late for its user's windows.

use upnext_common::position::{SOURCE_OFFSET, SOURCE_PARTITION, SOURCE_TOPIC};
use upnext_contract::letter::{self, Origin};
use upnext_contract::{Reason, Rejection};
use upnext_kafka::{Outgoing, Record};

const PROCESSOR: &str = "upnext-features";

/// The valid record as it came, with the position of the raw record it was made from: a repeat after a crash carries
/// the same. `behind_ms` is how far it lies before its user's newest event.
pub(crate) fn letter(topic: &str, record: &Record, behind_ms: i64, now_ms: i64) -> Outgoing {
    let detail = format!(
        "{} s before the user's newest event: no window holds it and it is not among the last events",
        behind_ms / 1_000
    );
    let rejection = Rejection::new(Reason::Late, "/event_time", detail);
    let text = |name| std::str::from_utf8(record.header(name)?).ok();
    let source = || {
        let partition = text(SOURCE_PARTITION)?.parse().ok()?;
        Some((text(SOURCE_TOPIC)?, partition, text(SOURCE_OFFSET)?.parse().ok()?))
    };
    // A valid record that ingest did not write stands for itself.
    let own = (record.topic.as_ref(), record.partition, record.offset);
    let (source_topic, partition, offset) = source().unwrap_or(own);
    let timestamp_ms = record.timestamp_ms;
    let origin =
        Origin { topic: source_topic, partition, offset, timestamp_ms, processor: PROCESSOR };
    let mut headers = letter::headers(&record.headers, &rejection, &origin, now_ms);
    headers.retain(|(name, _)| {
        ![SOURCE_TOPIC, SOURCE_PARTITION, SOURCE_OFFSET].contains(&name.as_str())
    });
    Outgoing {
        topic: topic.to_owned(),
        partition: None,
        key: record.key.clone(),
        value: record.value.clone(),
        headers,
        timestamp_ms: Some(timestamp_ms),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use bytes::Bytes;
    use upnext_contract::letter::said;

    use super::*;

    fn record(headers: &[(&str, &'static str)]) -> Record {
        let header = |(name, text): &(&str, &'static str)| {
            ((*name).to_owned(), Some(Bytes::from_static(text.as_bytes())))
        };
        Record {
            topic: Arc::from("t.events.valid.v1"),
            partition: 2,
            offset: 9,
            timestamp_ms: 5_000,
            key: Some(Bytes::from_static(b"u")),
            value: Some(Bytes::from_static(b"v")),
            headers: headers.iter().map(header).collect(),
        }
    }

    #[test]
    fn it_names_the_raw_record_and_counts_attempts() {
        let stamped = [
            ("trace", "x"),
            (SOURCE_TOPIC, "t.events.v1"),
            (SOURCE_PARTITION, "1"),
            (SOURCE_OFFSET, "41"),
            ("upnext.dlq.attempt", "1"),
        ];
        let found = letter("t.events.dlq.v1", &record(&stamped), 90_000_000, 7);
        let says = |name| said(&found.headers, name).unwrap();
        assert_eq!((says("reason"), says("stage")), ("late", "stream"));
        assert_eq!((says("topic"), says("partition"), says("offset")), ("t.events.v1", "1", "41"));
        assert_eq!((says("attempt"), says("processor")), ("2", "upnext-features"));
        assert!(says("detail").starts_with("90000 s before"), "{}", says("detail"));
        assert_eq!(found.headers.iter().filter(|(name, _)| name == "trace").count(), 1);
        assert!(!found.headers.iter().any(|(name, _)| name.starts_with("upnext.source.")));
        assert_eq!((found.timestamp_ms, found.partition), (Some(5_000), None));
    }

    #[test]
    fn one_that_was_not_stamped_stands_for_itself() {
        let found = letter("t.events.dlq.v1", &record(&[]), 0, 7);
        let says = |name| said(&found.headers, name).unwrap();
        assert_eq!((says("topic"), says("offset")), ("t.events.valid.v1", "9"));
    }
}
