//! Records as they are read and as they are to be written.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use bytes::Bytes;
use rdkafka::message::{BorrowedMessage, Headers, Message};
use tracing::warn;

/// A header: its name, and its value unless that is null.
pub type Header = (String, Option<Bytes>);

/// What a record takes beside its content while it waits.
const RECORD_OVERHEAD_BYTES: usize = 160;
/// The head of a batch, and a record's own lengths and numbers at their longest.
const BATCH_OVERHEAD_BYTES: usize = 61 + 40;
/// Two lengths at their longest.
const HEADER_OVERHEAD_BYTES: usize = 10;

/// One record as it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    pub topic: Arc<str>,
    pub partition: i32,
    pub offset: i64,
    /// The record's timestamp; 0 where the log keeps none.
    pub timestamp_ms: i64,
    pub key: Option<Bytes>,
    pub value: Option<Bytes>,
    pub headers: Vec<Header>,
}

impl Record {
    /// The value of the last header of this name; `None` when there is none or its value is null.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&[u8]> {
        let (_, value) = self.headers.iter().rev().find(|(found, _)| found == name)?;
        value.as_deref()
    }

    /// Bytes it holds, about: what bounds queues.
    #[must_use]
    pub fn size(&self) -> usize {
        RECORD_OVERHEAD_BYTES + sized(self.key.as_ref(), self.value.as_ref(), &self.headers)
    }

    /// Copies what librdkafka lends.
    pub(crate) fn copy(topic: &Arc<str>, message: &BorrowedMessage<'_>) -> Self {
        Self {
            topic: Arc::clone(topic),
            partition: message.partition(),
            offset: message.offset(),
            timestamp_ms: message.timestamp().to_millis().unwrap_or(0),
            key: message.key().map(Bytes::copy_from_slice),
            value: message.payload().map(Bytes::copy_from_slice),
            headers: message.headers().map(copy_headers).unwrap_or_default(),
        }
    }
}

/// One record to be written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outgoing {
    pub topic: String,
    /// `None`: by the hash of the key, at random without a key.
    pub partition: Option<i32>,
    pub key: Option<Bytes>,
    pub value: Option<Bytes>,
    pub headers: Vec<Header>,
    /// `None`: when it is sent.
    pub timestamp_ms: Option<i64>,
}

impl Outgoing {
    /// Bytes it takes in a batch, never too few: what a topic's limit is compared with.
    #[must_use]
    pub fn size(&self) -> usize {
        BATCH_OVERHEAD_BYTES + sized(self.key.as_ref(), self.value.as_ref(), &self.headers)
    }
}

fn sized(key: Option<&Bytes>, value: Option<&Bytes>, headers: &[Header]) -> usize {
    let length = |bytes: Option<&Bytes>| bytes.map_or(0, Bytes::len);
    let header =
        |(name, value): &Header| HEADER_OVERHEAD_BYTES + name.len() + length(value.as_ref());
    length(key) + length(value) + headers.iter().map(header).sum::<usize>()
}

/// Header names that are not UTF-8 make rdkafka panic, and must not stop a partition: such a header is left out.
fn copy_headers(headers: &impl Headers) -> Vec<Header> {
    let read = |at| {
        let header = headers.try_get(at)?;
        Some((header.key.to_owned(), header.value.map(Bytes::copy_from_slice)))
    };
    (0..headers.count())
        .filter_map(|at| match catch_unwind(AssertUnwindSafe(|| read(at))) {
            Ok(header) => header,
            Err(_) => {
                warn!("left out a record header whose name is not text");
                None
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_header_of_a_name_counts() {
        let headers = vec![
            ("a".to_owned(), Some(Bytes::from_static(b"1"))),
            ("a".to_owned(), Some(Bytes::from_static(b"2"))),
            ("null".to_owned(), None),
        ];
        let record = Record {
            topic: Arc::from("t"),
            partition: 0,
            offset: 0,
            timestamp_ms: 0,
            key: None,
            value: None,
            headers,
        };
        assert_eq!(record.header("a"), Some(&b"2"[..]));
        assert_eq!(record.header("null"), None);
        assert_eq!(record.header("b"), None);
    }
}
