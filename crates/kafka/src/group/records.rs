//! The queue between the reader's thread and a partition's owner: bounded in records and in bytes.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TryRecvError;

use crate::Record;

/// The records of one assignment, in offset order. Ends when the assignment ends, after what was queued before.
#[derive(Debug)]
pub struct Records {
    receiver: mpsc::Receiver<Record>,
    bytes: Arc<AtomicUsize>,
}

/// The reader's end of it.
pub(super) struct Sender {
    sender: mpsc::Sender<Record>,
    bytes: Arc<AtomicUsize>,
    bytes_max: usize,
}

/// What became of a record that was offered.
pub(super) enum Offered {
    Taken,
    /// No room, for the number of records or for their bytes.
    Full(Record),
    /// The owner has left.
    Closed,
}

/// A queue of at most `records_max` records. One more record is taken as long as less than `bytes_max` wait.
pub(super) fn queue(records_max: usize, bytes_max: usize) -> (Sender, Records) {
    let (sender, receiver) = mpsc::channel(records_max.max(1));
    let bytes = Arc::new(AtomicUsize::new(0));
    let records = Records { receiver, bytes: Arc::clone(&bytes) };
    (Sender { sender, bytes, bytes_max: bytes_max.max(1) }, records)
}

impl Records {
    /// The next record. `None` once the assignment has ended. Cancel safe.
    pub async fn recv(&mut self) -> Option<Record> {
        let record = self.receiver.recv().await?;
        self.let_go(&record);
        Some(record)
    }

    /// Adds to `batch` what waits, at most `max` records, waiting for the first. 0 once the assignment has ended.
    /// Cancel safe.
    pub async fn recv_many(&mut self, batch: &mut Vec<Record>, max: usize) -> usize {
        let count = self.receiver.recv_many(batch, max).await;
        for record in batch.iter().rev().take(count) {
            self.let_go(record);
        }
        count
    }

    /// The next record if one waits.
    pub fn try_next(&mut self) -> Option<Record> {
        match self.receiver.try_recv() {
            Ok(record) => {
                self.let_go(&record);
                Some(record)
            }
            Err(TryRecvError::Empty | TryRecvError::Disconnected) => None,
        }
    }

    /// Whether nothing waits just now.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.receiver.is_empty()
    }

    fn let_go(&self, record: &Record) {
        self.bytes.fetch_sub(record.size(), Ordering::AcqRel);
    }
}

impl Sender {
    pub(super) fn offer(&self, record: Record) -> Offered {
        if self.bytes.load(Ordering::Acquire) >= self.bytes_max {
            return Offered::Full(record);
        }
        let size = record.size();
        // Counted before it is sent, since the owner may take it at once.
        self.bytes.fetch_add(size, Ordering::AcqRel);
        let refused = match self.sender.try_send(record) {
            Ok(()) => return Offered::Taken,
            Err(refused) => refused,
        };
        self.bytes.fetch_sub(size, Ordering::AcqRel);
        match refused {
            mpsc::error::TrySendError::Full(record) => Offered::Full(record),
            mpsc::error::TrySendError::Closed(_) => Offered::Closed,
        }
    }

    /// Whether half of the queue is free, in records and in bytes.
    pub(super) fn has_room(&self) -> bool {
        self.sender.capacity() >= self.sender.max_capacity().div_ceil(2)
            && self.bytes.load(Ordering::Acquire) <= self.bytes_max / 2
    }

    pub(super) fn is_closed(&self) -> bool {
        self.sender.is_closed()
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn record(offset: i64, bytes: usize) -> Record {
        Record {
            topic: Arc::from("t"),
            partition: 0,
            offset,
            timestamp_ms: 0,
            key: None,
            value: Some(Bytes::from(vec![0; bytes])),
            headers: Vec::new(),
        }
    }

    fn is_taken(offered: Offered) -> bool {
        matches!(offered, Offered::Taken)
    }

    #[tokio::test]
    async fn bytes_bound_the_queue_where_records_do_not() {
        let (sender, mut records) = queue(100, 10_000);
        let size = record(0, 4_000).size();
        for offset in 0..3 {
            assert!(is_taken(sender.offer(record(offset, 4_000))));
        }
        assert!(3 * size > 10_000 && !sender.has_room());
        assert!(matches!(sender.offer(record(3, 1)), Offered::Full(_)));
        assert_eq!(records.recv().await.unwrap().offset, 0);
        assert!(is_taken(sender.offer(record(3, 1))));
        let mut batch = Vec::new();
        assert_eq!(records.recv_many(&mut batch, 10).await, 3);
        assert!(sender.has_room() && records.is_empty());
        assert_eq!(sender.bytes.load(Ordering::Acquire), 0);
    }

    #[test]
    fn records_bound_the_queue_and_an_owner_may_leave() {
        let (sender, mut records) = queue(2, 1 << 20);
        assert!(is_taken(sender.offer(record(0, 1))) && is_taken(sender.offer(record(1, 1))));
        assert!(matches!(sender.offer(record(2, 1)), Offered::Full(_)));
        assert_eq!(records.try_next().unwrap().offset, 0);
        assert!(!records.is_empty());
        drop(records);
        assert!(sender.is_closed());
        assert!(matches!(sender.offer(record(2, 1)), Offered::Closed));
    }
}
