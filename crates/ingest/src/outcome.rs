//! What becomes of a record: the valid event with its source position, or the dead letter with its reason.

use bytes::Bytes;
use upnext_common::event::Event;
use upnext_common::position::{SOURCE_OFFSET, SOURCE_PARTITION, SOURCE_TOPIC};
use upnext_common::topic::Topic;
use upnext_contract::letter::{self, Origin};
use upnext_contract::{Encoder, Rejection, SCHEMA_HEADER};
use upnext_kafka::{Header, Outgoing, Record};

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
        let origin = Origin {
            topic: &record.topic,
            partition: record.partition,
            offset: record.offset,
            timestamp_ms: record.timestamp_ms,
            processor: PROCESSOR,
        };
        let headers = letter::headers(&record.headers, rejection, &origin, now_ms);
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

fn text(name: &str, value: impl ToString) -> Header {
    (name.to_owned(), Some(Bytes::from(value.to_string())))
}

#[cfg(test)]
mod tests;
