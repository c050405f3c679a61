//! The dead letter of a valid event that came too late for its user's windows, and its way out.

use tracing::warn;
use upnext_common::position::{SOURCE_EPOCH, SOURCE_OFFSET, SOURCE_PARTITION, SOURCE_TOPIC};
use upnext_contract::letter::{self, CONNECT, DEAD, Origin};
use upnext_contract::{Reason, Rejection};
use upnext_kafka::{Delivery, KafkaError, Outgoing, Producer, Record};
use upnext_store::{Reader, Stage};

use crate::verify::patiently;

const PROCESSOR: &str = "upnext-features";

/// A dead letter, and where the valid record stands that it is of.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Letter {
    pub(crate) offset: i64,
    pub(crate) outgoing: Outgoing,
}

/// What the daemons of the generation that serves have told of. A flush of theirs has its letters acknowledged before
/// its watermark moves: what stands before the watermark is told, the rest may never be.
pub(crate) struct Told {
    reader: Reader,
}

impl Told {
    pub(crate) fn new(reader: Reader) -> Self {
        Self { reader }
    }

    /// The letters that nobody has told yet. They may be told twice then, as after a crash, but not never.
    pub(crate) async fn left(&self, partition: i32, letters: Vec<Letter>) -> Vec<Letter> {
        if letters.is_empty() {
            return letters;
        }
        let told = match patiently(|| self.reader.watermark(Stage::Users, partition)).await {
            Ok(watermark) => watermark.map_or(0, |watermark| watermark.next_offset),
            Err(error) => {
                warn!(partition, %error, "what was told is not known: late events are told again");
                0
            }
        };
        letters.into_iter().filter(|letter| letter.offset >= told).collect()
    }
}

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
        ![SOURCE_TOPIC, SOURCE_PARTITION, SOURCE_OFFSET, SOURCE_EPOCH].contains(&name.as_str())
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

/// Sends dead letters and waits until all are acknowledged, but for those that the broker refuses, perhaps only for
/// the company they had in their batch: these are given back.
///
/// # Errors
/// When one is not acknowledged.
pub(crate) async fn write(
    producer: &Producer,
    letters: Vec<Outgoing>,
) -> Result<Vec<Outgoing>, KafkaError> {
    let mut sent = Vec::with_capacity(letters.len());
    for letter in letters {
        let delivery = producer.send_when_room(&letter).await;
        sent.push((letter, delivery));
    }
    let mut refused = Vec::new();
    for (letter, delivery) in sent {
        match landed(delivery).await {
            Err(KafkaError::Refused { .. }) => refused.push(letter),
            landed => landed?,
        }
    }
    Ok(refused)
}

/// Sends a dead letter with less and less of the record until it is acknowledged: its headers say where the original
/// stands. `producer` puts nothing else into its batch.
///
/// # Errors
/// When it is not acknowledged, not even as its reason and position alone.
pub(crate) async fn write_alone(producer: &Producer, letter: Outgoing) -> Result<(), KafkaError> {
    let mut outcome = landed(producer.send_when_room(&letter).await).await;
    for less in lessened(letter) {
        let Err(KafkaError::Refused { cause, .. }) = &outcome else { return outcome };
        warn!(cause, "dead letter refused by the broker, sent with less of the record");
        outcome = landed(producer.send_when_room(&less).await).await;
    }
    outcome
}

/// At another time, since a topic may refuse old ones; without its value; then with what the rejection says alone; then
/// without its key.
fn lessened(letter: Outgoing) -> [Outgoing; 4] {
    let now = Outgoing { timestamp_ms: None, ..letter };
    let bare = Outgoing { value: None, ..now.clone() };
    let mut told = bare.clone();
    told.headers.retain(|(name, _)| name.starts_with(DEAD) || name.starts_with(CONNECT));
    let least = Outgoing { key: None, ..told.clone() };
    [now, bare, told, least]
}

async fn landed(sent: Result<Delivery, KafkaError>) -> Result<(), KafkaError> {
    sent?.await.map(drop)
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
            (SOURCE_EPOCH, "1"),
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
