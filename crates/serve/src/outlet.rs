//! What serve writes to the log: events as they were accepted, catalogue records. Acknowledged or not at all.

use std::time::Duration;

use bytes::Bytes;
use futures::future::try_join_all;
use thiserror::Error;
use upnext_common::event::Event;
use upnext_common::fault::Fault;
use upnext_common::item::Item;
use upnext_common::topic::Topic;
use upnext_contract::{EncodeError, Encoder};
use upnext_http::Problem;
use upnext_http::axum::http::StatusCode;
use upnext_kafka::{Delivery, KafkaError, Outgoing, Producer};

/// Longest wait for the log's acknowledgement. Afterwards the outcome is unknown: the caller may send the same
/// event ids again, they are counted once.
const ACKNOWLEDGED_WITHIN: Duration = Duration::from_secs(5);

/// Where a record was written.
pub(crate) type Written = (i32, i64);

/// Writes events and items.
#[derive(Clone)]
pub(crate) struct Outlet {
    producer: Producer,
    encoder: Encoder,
    events_topic: String,
    items_topic: String,
}

/// Why something was not written, as far as we know.
#[derive(Debug, Error)]
pub(crate) enum OutletError {
    #[error("it cannot be written: {0}")]
    TooLarge(#[from] EncodeError),
    #[error("the log does not take it: {0}")]
    Log(#[from] KafkaError),
    #[error("the log has not acknowledged it within {} s", ACKNOWLEDGED_WITHIN.as_secs())]
    Unacknowledged,
}

impl OutletError {
    pub(crate) fn fault(&self) -> Fault {
        match self {
            Self::TooLarge(_) => Fault::CALLER,
            Self::Log(cause) => cause.fault(),
            Self::Unacknowledged => Fault::UPSTREAM,
        }
    }

    /// The response for it: 413 for what is too large, else 503.
    pub(crate) fn into_problem(self) -> Problem {
        let detail = self.to_string();
        if self.fault() == Fault::CALLER {
            return Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "record_too_large", detail);
        }
        Problem::new(StatusCode::SERVICE_UNAVAILABLE, "log_unavailable", detail)
    }
}

impl Outlet {
    pub(crate) fn new(producer: Producer, encoder: Encoder, topic_prefix: &str) -> Self {
        Self {
            producer,
            encoder,
            events_topic: Topic::Events.name(topic_prefix),
            items_topic: Topic::Items.name(topic_prefix),
        }
    }

    /// Appends events in this order with the record timestamp `stamp_ms`; answers where each stands.
    ///
    /// # Errors
    /// When the log did not acknowledge all of them; some may have been written.
    pub(crate) async fn events(
        &self,
        events: &[Event],
        stamp_ms: i64,
    ) -> Result<Vec<Written>, OutletError> {
        let mut records = Vec::with_capacity(events.len());
        for event in events {
            records.push(Outgoing {
                topic: self.events_topic.clone(),
                key: event.key().map(|key| Bytes::copy_from_slice(key.as_bytes())),
                value: Some(self.encoder.event(event)?),
                timestamp_ms: Some(stamp_ms),
                ..Outgoing::default()
            });
        }
        self.write(&records).await
    }

    /// Appends catalogue records in this order; answers the offset of each.
    ///
    /// # Errors
    /// When the log did not acknowledge all of them; some may have been written.
    pub(crate) async fn items(&self, items: &[Item]) -> Result<Vec<i64>, OutletError> {
        let mut records = Vec::with_capacity(items.len());
        for item in items {
            records.push(Outgoing {
                topic: self.items_topic.clone(),
                key: Some(Bytes::copy_from_slice(item.item_id.as_bytes())),
                value: Some(self.encoder.item(item)?),
                ..Outgoing::default()
            });
        }
        let written = self.write(&records).await?;
        Ok(written.into_iter().map(|(_, offset)| offset).collect())
    }

    /// Waits for what is under way, when the daemon stops.
    pub(crate) async fn flush(&self, within: Duration) -> Result<(), KafkaError> {
        self.producer.flush(within).await
    }

    async fn write(&self, records: &[Outgoing]) -> Result<Vec<Written>, OutletError> {
        let sent: Result<Vec<Delivery>, KafkaError> =
            records.iter().map(|record| self.producer.send(record)).collect();
        match tokio::time::timeout(ACKNOWLEDGED_WITHIN, try_join_all(sent?)).await {
            Ok(delivered) => Ok(delivered?),
            Err(_) => Err(OutletError::Unacknowledged),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(error: OutletError, status: u16, code: &str) {
        let problem = error.into_problem();
        assert_eq!((problem.status.as_u16(), problem.code), (status, code));
    }

    #[test]
    fn an_error_says_whether_to_send_it_again() {
        check(OutletError::Unacknowledged, 503, "log_unavailable");
        check(OutletError::Log(KafkaError::QueueFull), 503, "log_unavailable");
        check(OutletError::TooLarge(EncodeError::TooLarge { bytes: 9 }), 413, "record_too_large");
    }
}
