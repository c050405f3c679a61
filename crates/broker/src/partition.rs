//! One partition: its log, what its producers did, and the fetches that wait for more. One lock.

mod lookup;
mod producers;
mod times;
mod waiters;

use std::io;
use std::path::Path;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use kafka_protocol::ResponseError;
use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::batch::{self, BatchHeader};
use crate::log::{Log, Read};

pub(crate) use lookup::Lookup;
pub(crate) use producers::AbortedTransaction;
use producers::{Producers, Sequence};
use waiters::Waiters;

pub(crate) struct Partition {
    inner: Mutex<Inner>,
    waiters: Waiters,
}

struct Inner {
    log: Log,
    producers: Producers,
    /// Records before it were deleted.
    start_offset: i64,
}

/// What a topic's settings say about appending.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AppendRules {
    pub batch_bytes_max: usize,
    /// The time to stamp, for topics that keep the time of appending.
    pub append_time_ms: Option<i64>,
}

/// Where appended records came to stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Appended {
    pub base_offset: i64,
    pub start_offset: i64,
}

/// From where to where a partition can be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Bounds {
    pub start_offset: i64,
    /// One past the last record of a transaction that is decided.
    pub stable_offset: i64,
    pub next_offset: i64,
}

/// What a fetch found.
pub(crate) struct Fetched {
    pub bounds: Bounds,
    pub records: Bytes,
    /// Transactions that a committed-only reader must leave out of `records`.
    pub aborted: Vec<AbortedTransaction>,
}

/// What a fetch asks of one partition.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ask {
    pub from: i64,
    pub bytes_max: usize,
    pub committed_only: bool,
}

impl Partition {
    /// Opens or makes the partition kept in `directory`.
    pub(crate) fn open(directory: &Path, start_offset: i64) -> io::Result<Self> {
        let mut producers = Producers::default();
        let log = Log::open(directory, |header, batch| producers.note(header, batch))?;
        let inner = Mutex::new(Inner { log, producers, start_offset });
        Ok(Self { inner, waiters: Waiters::default() })
    }

    /// Appends what a producer sent: one batch or several. A repeat is answered with the offset of the first time.
    pub(crate) fn append(
        &self,
        records: &Bytes,
        rules: AppendRules,
    ) -> Result<Appended, ResponseError> {
        let batches = checked_batches(records, rules)?;
        let mut inner = self.inner.lock();
        let mut base_offset = None;
        for (header, batch) in batches {
            let offset = match inner.producers.admit(&header)? {
                Sequence::Repeat { base_offset } => base_offset,
                Sequence::Next => {
                    let mut batch = BytesMut::from(batch);
                    if let Some(now_ms) = rules.append_time_ms {
                        batch::stamp_append_time(&mut batch, header.attributes, now_ms);
                    }
                    inner.write(batch).map_err(storage_error)?
                }
            };
            base_offset.get_or_insert(offset);
        }
        let start_offset = inner.start_offset;
        drop(inner);
        self.waiters.wake();
        base_offset
            .map(|base_offset| Appended { base_offset, start_offset })
            .ok_or(ResponseError::CorruptMessage)
    }

    /// Ends the producer's transaction here, and shuts out its earlier epochs.
    pub(crate) fn end_transaction(
        &self,
        producer_id: i64,
        epoch: i16,
        is_commit: bool,
        now_ms: i64,
    ) -> Result<(), ResponseError> {
        let marker = batch::end_marker(producer_id, epoch, is_commit, now_ms);
        self.inner.lock().write(marker).map_err(storage_error)?;
        self.waiters.wake();
        Ok(())
    }

    /// Producers with a transaction that has begun here and not ended, with their epochs.
    pub(crate) fn open_transactions(&self) -> Vec<(i64, i16)> {
        self.inner.lock().producers.open_transactions()
    }

    /// Whether a marker of this epoch, or later work of the producer, stands already.
    pub(crate) fn has_ended(&self, producer_id: i64, epoch: i16) -> bool {
        self.inner.lock().producers.has_ended(producer_id, epoch)
    }

    pub(crate) fn fetch(&self, ask: Ask) -> Result<Fetched, ResponseError> {
        let inner = self.inner.lock();
        let bounds = inner.bounds();
        if ask.from < bounds.start_offset || ask.from > bounds.next_offset {
            return Err(ResponseError::OffsetOutOfRange);
        }
        let until = if ask.committed_only { bounds.stable_offset } else { bounds.next_offset };
        if ask.from >= until || ask.bytes_max == 0 {
            return Ok(Fetched { bounds, records: Bytes::new(), aborted: Vec::new() });
        }
        let Read { records, end_offset } =
            inner.log.read(ask.from, until, ask.bytes_max).map_err(storage_error)?;
        let aborted = if ask.committed_only {
            inner.producers.aborted_within(ask.from, end_offset)
        } else {
            Vec::new()
        };
        Ok(Fetched { bounds, records, aborted })
    }

    pub(crate) fn bounds(&self) -> Bounds {
        self.inner.lock().bounds()
    }

    /// Moves the start to `offset` (-1: to the end) and says where it is.
    pub(crate) fn delete_before(&self, offset: i64) -> Result<i64, ResponseError> {
        let mut inner = self.inner.lock();
        let next_offset = inner.log.next_offset();
        let offset = if offset == -1 { next_offset } else { offset };
        if !(0..=next_offset).contains(&offset) {
            return Err(ResponseError::OffsetOutOfRange);
        }
        inner.start_offset = inner.start_offset.max(offset);
        Ok(inner.start_offset)
    }

    /// Wakes `fetch` at the next append, once.
    pub(crate) fn wake_on_append(&self, fetch: &Arc<Notify>) {
        self.waiters.add(fetch);
    }

    /// Lets waiting fetches find out that the partition is gone.
    pub(crate) fn wake(&self) {
        self.waiters.wake();
    }

    pub(crate) fn sync(&self) -> io::Result<()> {
        self.inner.lock().log.sync()
    }
}

impl Inner {
    fn bounds(&self) -> Bounds {
        let next_offset = self.log.next_offset();
        let stable_offset = self.producers.first_open_offset().unwrap_or(next_offset);
        Bounds { start_offset: self.start_offset, stable_offset, next_offset }
    }

    fn write(&mut self, mut batch: BytesMut) -> io::Result<i64> {
        let base_offset = self.log.next_offset();
        batch::stamp_offset(&mut batch, base_offset);
        let header = BatchHeader::read(&batch)
            .ok_or_else(|| io::Error::other("a checked batch has a header"))?;
        self.log.append(&header, &batch)?;
        self.producers.note(&header, &batch);
        Ok(base_offset)
    }
}

/// Splits a produced record set, refusing all of it if any part is wrong.
fn checked_batches(
    records: &Bytes,
    rules: AppendRules,
) -> Result<Vec<(BatchHeader, Bytes)>, ResponseError> {
    let batches: Vec<_> = batch::whole_batches(records).collect();
    let whole_bytes: usize = batches.iter().map(|(header, _)| header.bytes).sum();
    if whole_bytes != records.len() || batches.is_empty() {
        return Err(ResponseError::CorruptMessage);
    }
    for (header, batch) in &batches {
        if header.bytes > rules.batch_bytes_max {
            return Err(ResponseError::MessageTooLarge);
        }
        if !header.matches(batch) {
            return Err(ResponseError::CorruptMessage);
        }
        if !header.is_from_a_producer() {
            return Err(ResponseError::InvalidRecord);
        }
    }
    Ok(batches)
}

fn storage_error(error: io::Error) -> ResponseError {
    tracing::error!(%error, "cannot use a log file");
    ResponseError::KafkaStorageError
}

#[cfg(test)]
mod tests;
