//! One partition: its log, what its producers did, and the fetches that wait for more. One lock, which is held while a
//! batch is written and while a place is looked up, never while records are read or compacted.

mod cleaning;
mod compaction;
mod lookup;
mod producers;
mod waiters;

use std::io;
use std::path::Path;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use kafka_protocol::ResponseError;
use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::batch::{self, BatchHeader, Unsound};
use crate::log::{Log, Opened, Read, Story};

pub(crate) use cleaning::Round;
pub(crate) use lookup::Lookup;
pub(crate) use producers::AbortedTransaction;
use producers::{Producers, Sequence};
use waiters::Waiters;

pub(crate) struct Partition {
    inner: Mutex<Inner>,
    /// Held while files are sealed, deleted or compacted; taken before the other.
    cleaning: Mutex<()>,
    waiters: Waiters,
}

struct Inner {
    log: Log,
    producers: Producers,
    /// Records before it were deleted.
    start_offset: i64,
    /// When the oldest batch of the active segment was written, as far as that is known.
    active_since_ms: Option<i64>,
    /// What producers had done before an offset, to be written to disk.
    unkept: Option<(i64, Vec<u8>)>,
    /// Before it, everything in the active segment is on disk.
    flushed_until: i64,
    /// Set when the topic is deleted: its files are somebody else's.
    is_closed: bool,
}

/// What a topic's settings say about appending.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AppendRules {
    pub batch_bytes_max: usize,
    /// Whether records get the time of appending instead of their own.
    pub is_append_time: bool,
    /// Whether records without a key are refused.
    pub needs_keys: bool,
    /// When another segment begins.
    pub segment_bytes: u64,
    pub segment_ms: i64,
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
        let Opened { log, story: mut producers, before_active } =
            Log::open::<Producers>(directory)?;
        let start_offset = start_offset.max(log.base_offset());
        let active = log.active();
        // What was aborted in the compacted part is gone, and so may be the marker that readers would wait for.
        let first_unclean = log.sealed().iter().find(|segment| !segment.is_clean);
        let clean_until = first_unclean.map_or(active.base_offset, |segment| segment.base_offset);
        producers.forget_aborted_before(clean_until);
        producers.forget_aborted_unless(|marker| log.may_hold_marker(marker))?;
        let active_since_ms = if active.is_empty() { None } else { active.modified_ms() };
        let unkept = before_active.map(|kept| (active.base_offset, kept));
        let inner = Inner {
            log,
            producers,
            start_offset,
            active_since_ms,
            unkept,
            flushed_until: 0,
            is_closed: false,
        };
        let (inner, cleaning) = (Mutex::new(inner), Mutex::new(()));
        Ok(Self { inner, cleaning, waiters: Waiters::default() })
    }

    /// Appends what a producer sent: one batch or several. A repeat is answered with the offset of the first time.
    pub(crate) fn append(
        &self,
        records: &Bytes,
        rules: AppendRules,
        now_ms: i64,
    ) -> Result<Appended, ResponseError> {
        let batches = checked_batches(records, rules)?;
        let mut inner = self.inner.lock();
        let mut base_offset = None;
        for (header, batch) in batches {
            let offset = match inner.producers.admit(&header)? {
                Sequence::Repeat { base_offset } => base_offset,
                Sequence::Next => {
                    let mut batch = BytesMut::from(batch);
                    if rules.is_append_time {
                        batch::stamp_append_time(&mut batch, header.attributes, now_ms);
                    }
                    inner.roll_before(&batch, rules).map_err(storage_error)?;
                    inner.write(batch, now_ms).map_err(storage_error)?
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
        self.inner.lock().write(marker, now_ms).map_err(storage_error)?;
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

    /// Records from an offset on; those of one segment at most. Read without the lock: what stands does not change.
    pub(crate) fn fetch(&self, ask: Ask) -> Result<Fetched, ResponseError> {
        let (bounds, until, window, mut aborted) = {
            let inner = self.inner.lock();
            let bounds = inner.bounds();
            if ask.from < bounds.start_offset || ask.from > bounds.next_offset {
                return Err(ResponseError::OffsetOutOfRange);
            }
            let until = if ask.committed_only { bounds.stable_offset } else { bounds.next_offset };
            let is_anything = ask.from < until && ask.bytes_max > 0;
            let window = is_anything.then(|| inner.log.window(ask.from)).flatten();
            // Taken together with the window: what is compacted meanwhile still stands in it.
            let aborted = if ask.committed_only && window.is_some() {
                inner.producers.aborted_within(ask.from, until)
            } else {
                Vec::new()
            };
            (bounds, until, window, aborted)
        };
        let Some(window) = window else {
            return Ok(Fetched { bounds, records: Bytes::new(), aborted: Vec::new() });
        };
        let Read { records, end_offset } =
            window.read(ask.from, until, ask.bytes_max).map_err(storage_error)?;
        aborted.retain(|aborted| aborted.first_offset < end_offset);
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

    /// Ends all work on the files, waits for what is at it (a topic of the same name may be made in the same place),
    /// and lets waiting fetches find out that the partition is gone.
    pub(crate) fn close(&self) {
        self.inner.lock().is_closed = true;
        drop(self.cleaning.lock());
        self.waiters.wake();
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.inner.lock().is_closed
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

    /// Begins another segment if the active one is full, or too old for this batch.
    fn roll_before(&mut self, batch: &[u8], rules: AppendRules) -> io::Result<()> {
        let active = self.log.active();
        let is_full = active.bytes + batch.len() as u64 > rules.segment_bytes;
        let age_ms = BatchHeader::read(batch)
            .zip(active.first_timestamp)
            .map(|(header, first)| header.max_timestamp.saturating_sub(first));
        if is_full || age_ms.is_some_and(|age_ms| age_ms > rules.segment_ms) {
            self.roll()?;
        }
        Ok(())
    }

    fn roll(&mut self) -> io::Result<()> {
        if self.log.active().is_empty() {
            return Ok(());
        }
        self.log.roll()?;
        self.active_since_ms = None;
        self.unkept = Some((self.log.next_offset(), self.producers.encode()));
        Ok(())
    }

    fn write(&mut self, mut batch: BytesMut, now_ms: i64) -> io::Result<i64> {
        if self.is_closed {
            return Err(io::Error::other("the topic was deleted"));
        }
        let base_offset = self.log.next_offset();
        batch::stamp_offset(&mut batch, base_offset);
        let header = BatchHeader::read(&batch)
            .ok_or_else(|| io::Error::other("a checked batch has a header"))?;
        self.log.append(&header, &batch)?;
        self.producers.note(&header, &batch);
        self.active_since_ms.get_or_insert(now_ms);
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
        // One look decided who writes here, and whether in a transaction.
        let is_welcome = header.is_from_a_producer()
            && header.delete_horizon_ms().is_none()
            && header.has_sender_of(&batches[0].0);
        if !is_welcome {
            return Err(ResponseError::InvalidRecord);
        }
        batch::check(header, batch, rules.needs_keys).map_err(|unsound| match unsound {
            Unsound::TooLarge => ResponseError::MessageTooLarge,
            Unsound::Malformed | Unsound::Keyless => ResponseError::InvalidRecord,
        })?;
    }
    Ok(batches)
}

fn storage_error(error: io::Error) -> ResponseError {
    tracing::error!(%error, "cannot use a log file");
    ResponseError::KafkaStorageError
}

#[cfg(test)]
pub(crate) mod tests;
