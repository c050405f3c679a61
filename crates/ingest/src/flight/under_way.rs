//! What is sent and not yet acknowledged: in order, bounded in records and in bytes.

use std::collections::VecDeque;

use upnext_common::config;
use upnext_common::metrics::EventLabels;
use upnext_common::topic::Topic;
use upnext_kafka::Delivery;

use super::LABEL_ACCEPTED;

/// One record on its way out.
pub(super) struct Launched {
    pub(super) offset: i64,
    pub(super) timestamp_ms: i64,
    pub(super) delivery: Delivery,
    pub(super) label: EventLabels,
    /// Key, value and headers, about.
    pub(super) bytes: usize,
}

impl Launched {
    /// Where it goes.
    pub(super) fn topic(&self) -> Topic {
        if self.label == LABEL_ACCEPTED { Topic::Valid } else { Topic::DeadLetters }
    }
}

/// Oldest first. The producer's own queue is bounded too, but counts no headers.
pub(super) struct UnderWay {
    launched: VecDeque<Launched>,
    bytes: usize,
    records_max: usize,
    bytes_max: usize,
}

impl UnderWay {
    pub(super) fn new(ingest: &config::Ingest) -> Self {
        Self {
            launched: VecDeque::new(),
            bytes: 0,
            records_max: ingest.batch_records_max.max(1),
            bytes_max: ingest.partition_queue_bytes_max.max(1),
        }
    }

    /// Whether there is room for one more, of whatever size.
    pub(super) fn has_room(&self) -> bool {
        self.launched.len() < self.records_max && self.bytes < self.bytes_max
    }

    pub(super) fn is_empty(&self) -> bool {
        self.launched.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.launched.len()
    }

    pub(super) fn push(&mut self, launched: Launched) {
        self.bytes += launched.bytes;
        self.launched.push_back(launched);
    }

    pub(super) fn oldest(&mut self) -> Option<&mut Launched> {
        self.launched.front_mut()
    }

    pub(super) fn pop(&mut self) -> Option<Launched> {
        let launched = self.launched.pop_front()?;
        self.bytes -= launched.bytes;
        Some(launched)
    }

    pub(super) fn take(&mut self) -> VecDeque<Launched> {
        self.bytes = 0;
        std::mem::take(&mut self.launched)
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use upnext_kafka::{Outgoing, Producer, ProducerSettings};

    use super::*;

    #[test]
    fn large_headers_fill_it_as_large_values_do() {
        // Nobody listens there: nothing is ever acknowledged.
        let producer = Producer::new("127.0.0.1:1", ProducerSettings::default()).unwrap();
        let ingest = config::Ingest::default();
        let mut under_way = UnderWay::new(&ingest);
        let large = Some(Bytes::from(vec![b'x'; ingest.partition_queue_bytes_max / 4]));
        let headers = vec![("large".to_owned(), large)];
        let record = Outgoing { topic: "t".to_owned(), headers, ..Outgoing::default() };
        let mut count = 0;
        while under_way.has_room() {
            let (delivery, bytes) = (producer.send(&record).unwrap(), record.size());
            let (offset, label) = (count, LABEL_ACCEPTED);
            under_way.push(Launched { offset, timestamp_ms: 0, delivery, label, bytes });
            count += 1;
            assert!(count <= 4, "{count} are under way");
        }
        assert_eq!((count, under_way.oldest().map(|oldest| oldest.offset)), (4, Some(0)));
        under_way.pop();
        assert!(under_way.has_room());
        under_way.take();
        assert_eq!((under_way.bytes, under_way.len()), (0, 0));
    }
}
