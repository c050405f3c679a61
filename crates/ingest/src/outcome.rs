//! What becomes of a record: the valid event with its source position, or the dead letter with its reason.

use bytes::Bytes;
use upnext_common::event::Event;
use upnext_common::position::{SOURCE_OFFSET, SOURCE_PARTITION, SOURCE_TOPIC};
use upnext_common::topic::Topic;
use upnext_contract::{Encoder, Rejection, SCHEMA_HEADER};
use upnext_kafka::{Header, Outgoing, Record};

/// Prefix of the headers that say why a record is a dead letter.
const DEAD: &str = "upnext.dlq.";
/// Prefix of the headers that Kafka Connect's tools read.
const CONNECT: &str = "__connect.errors.";
const PROCESSOR: &str = "upnext-ingest";

/// Makes outgoing records.
pub(crate) struct Stamp {
    valid: String,
    dead_letters: String,
    encoder: Encoder,
}

impl Stamp {
    pub(crate) fn new(topic_prefix: &str, encoder: Encoder) -> Self {
        Self {
            valid: Topic::Valid.name(topic_prefix),
            dead_letters: Topic::DeadLetters.name(topic_prefix),
            encoder,
        }
    }

    /// The event in our reader schema, under its original key and timestamp, with where it was read. `None` when
    /// it does not fit a record.
    pub(crate) fn valid(&self, record: &Record, event: &Event) -> Option<Outgoing> {
        let value = self.encoder.event(event).ok()?;
        // The value is framed anew: a header that names its schema would speak of the original.
        let is_kept =
            |(name, _): &&Header| !name.starts_with("upnext.source.") && name != SCHEMA_HEADER;
        let mut headers: Vec<Header> = record.headers.iter().filter(is_kept).cloned().collect();
        headers.push(text(SOURCE_TOPIC, &record.topic));
        headers.push(text(SOURCE_PARTITION, record.partition));
        headers.push(text(SOURCE_OFFSET, record.offset));
        Some(Outgoing {
            topic: self.valid.clone(),
            partition: None,
            key: record.key.clone(),
            value: Some(value),
            headers,
            timestamp_ms: Some(record.timestamp_ms),
        })
    }

    /// The record as it came, with why it was rejected.
    pub(crate) fn dead(&self, record: &Record, rejection: &Rejection, now_ms: i64) -> Outgoing {
        let mut headers = earlier(record);
        headers.extend(why(record, rejection, now_ms));
        Outgoing {
            topic: self.dead_letters.clone(),
            partition: None,
            key: record.key.clone(),
            value: record.value.clone(),
            headers,
            timestamp_ms: Some(record.timestamp_ms),
        }
    }
}

/// The record's own headers, without what an earlier rejection said.
fn earlier(record: &Record) -> Vec<Header> {
    let is_ours = |name: &str| name.starts_with(DEAD) || name.starts_with(CONNECT);
    record.headers.iter().filter(|(name, _)| !is_ours(name)).cloned().collect()
}

fn why(record: &Record, rejection: &Rejection, now_ms: i64) -> Vec<Header> {
    let dead = |name: &str, value: &str| text(&format!("{DEAD}{name}"), value);
    let connect = |name: &str, value: &str| text(&format!("{CONNECT}{name}"), value);
    let number = |value: i64| value.to_string();
    let (reason, stage) = (rejection.reason.code(), rejection.stage.name());
    let (partition, offset) = (number(record.partition.into()), number(record.offset));
    let schema_id = rejection.schema_id.map(|id| id.to_string()).unwrap_or_default();
    let exception = format!("upnext.contract.{reason}");
    vec![
        dead("reason", reason),
        dead("pointer", &rejection.pointer),
        dead("detail", &rejection.detail),
        dead("stage", stage),
        dead("topic", &record.topic),
        dead("partition", &partition),
        dead("offset", &offset),
        dead("timestamp", &number(record.timestamp_ms)),
        dead("schema_id", &schema_id),
        dead("attempt", &number(attempt(record))),
        dead("processor", PROCESSOR),
        dead("version", env!("CARGO_PKG_VERSION")),
        dead("first_failed_at", &first_failed_at(record, now_ms)),
        connect("topic", &record.topic),
        connect("partition", &partition),
        connect("offset", &offset),
        connect("stage", stage),
        connect("exception.class.name", &exception),
        connect("exception.message", &rejection.detail),
    ]
}

/// Which attempt this was: one more than the record's headers tell.
fn attempt(record: &Record) -> i64 {
    let before = said(record, "attempt").and_then(|text| text.parse::<i64>().ok()).unwrap_or(0);
    before.saturating_add(1)
}

fn first_failed_at(record: &Record, now_ms: i64) -> String {
    said(record, "first_failed_at").map_or_else(|| now_ms.to_string(), ToOwned::to_owned)
}

fn said<'a>(record: &'a Record, name: &str) -> Option<&'a str> {
    std::str::from_utf8(record.header(&format!("{DEAD}{name}"))?).ok()
}

fn text(name: &str, value: impl ToString) -> Header {
    (name.to_owned(), Some(Bytes::from(value.to_string())))
}

#[cfg(test)]
mod tests;
