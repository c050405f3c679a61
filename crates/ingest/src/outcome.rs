//! What becomes of a record: the valid event with its source position, or the dead letter with its reason.

use bytes::Bytes;
use upnext_common::event::{Event, EventType};
use upnext_common::position::{SOURCE_EPOCH, SOURCE_OFFSET, SOURCE_PARTITION, SOURCE_TOPIC};
use upnext_common::topic::Topic;
use upnext_contract::letter::{self, Origin};
use upnext_contract::{Encoder, Rejection, SCHEMA_HEADER, VALUE_BYTES_MAX};
use upnext_kafka::{Header, Outgoing, Record};

const PROCESSOR: &str = "upnext-ingest";
/// Headers that say where a record was read.
const SOURCE_HEADERS: usize = 3;

/// Makes outgoing records.
pub(crate) struct Stamp {
    /// Name of the topic that is read.
    raw: Bytes,
    valid: String,
    dead_letters: String,
    encoder: Encoder,
}

impl Stamp {
    pub(crate) fn new(topic_prefix: &str, encoder: Encoder) -> Self {
        Self {
            raw: Bytes::from(Topic::Events.name(topic_prefix)),
            valid: Topic::Valid.name(topic_prefix),
            dead_letters: Topic::DeadLetters.name(topic_prefix),
            encoder,
        }
    }

    /// The event in our schema, under its original key and timestamp, with where it was read, in that epoch.
    /// `None` when it does not fit a record.
    pub(crate) fn valid(&self, record: &Record, event: &Event, epoch: u32) -> Option<Outgoing> {
        let value = self.value(record, event)?;
        let kept = record.headers.iter().filter(|header| is_kept(header));
        let mut headers: Vec<Header> = kept.cloned().collect();
        add_source(&mut headers, self.source_topic(record), record.partition, record.offset);
        add_epoch(&mut headers, epoch);
        Some(Outgoing {
            topic: self.valid.clone(),
            partition: None,
            key: record.key.clone(),
            value: Some(value),
            headers,
            timestamp_ms: Some(record.timestamp_ms),
        })
    }

    /// A record whose value stands in our schema and is accepted as it is, with where it was read.
    pub(crate) fn as_written(&self, record: Record, epoch: u32) -> Outgoing {
        let source_topic = self.source_topic(&record);
        let mut headers = record.headers;
        headers.retain(is_kept);
        headers.reserve_exact(SOURCE_HEADERS);
        add_source(&mut headers, source_topic, record.partition, record.offset);
        add_epoch(&mut headers, epoch);
        Outgoing {
            topic: self.valid.clone(),
            partition: None,
            key: record.key,
            value: record.value,
            headers,
            timestamp_ms: Some(record.timestamp_ms),
        }
    }

    pub(crate) fn dead_letters(&self) -> &str {
        &self.dead_letters
    }

    /// The event type whose values we write under this id.
    pub(crate) fn event_type_of(&self, schema_id: u32) -> Option<EventType> {
        self.encoder.event_type_of(schema_id)
    }

    /// As it came, where it stands in our schema already; else written in it.
    fn value(&self, record: &Record, event: &Event) -> Option<Bytes> {
        match &record.value {
            Some(value)
                if record.header(SCHEMA_HEADER).is_none()
                    && value.len() <= VALUE_BYTES_MAX
                    && self.encoder.is_ours(value, event.event_type()) =>
            {
                Some(value.clone())
            }
            Some(_) | None => self.encoder.event(event).ok(),
        }
    }

    fn source_topic(&self, record: &Record) -> Bytes {
        if self.raw == record.topic.as_bytes() {
            self.raw.clone()
        } else {
            Bytes::copy_from_slice(record.topic.as_bytes())
        }
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

/// The value names its schema itself: a header that does would speak of the original.
fn is_kept((name, _): &Header) -> bool {
    !name.starts_with("upnext.source.") && name != SCHEMA_HEADER
}

fn add_source(headers: &mut Vec<Header>, topic: Bytes, partition: i32, offset: i64) {
    headers.push((SOURCE_TOPIC.to_owned(), Some(topic)));
    headers.push(text(SOURCE_PARTITION, partition));
    headers.push(text(SOURCE_OFFSET, offset));
}

/// Nearly every topic is in its first epoch, which needs no header.
fn add_epoch(headers: &mut Vec<Header>, epoch: u32) {
    if epoch > 0 {
        headers.push(text(SOURCE_EPOCH, epoch));
    }
}

fn text(name: &str, value: impl ToString) -> Header {
    (name.to_owned(), Some(Bytes::from(value.to_string())))
}

#[cfg(test)]
mod tests;
