//! The record batch (magic 2): its header, read and stamped in place; the records stay opaque.

mod records;
mod unpack;
mod sound;
mod thinned;

use bytes::{Buf, BufMut, Bytes, BytesMut};

pub(crate) use records::{Record, records, unpacked};
pub(crate) use sound::{Unsound, check};
pub(crate) use thinned::{Thinned, Thinning};

/// Bytes of a batch before its first record.
pub(crate) const HEADER_BYTES: usize = 61;
/// Bytes before the part that `batch length` counts.
pub(crate) const PREFIX_BYTES: usize = 12;
const LEADER_EPOCH_AT: usize = 12;
const MAGIC: i8 = 2;
const CRC_AT: usize = 17;
const CHECKED_FROM: usize = 21;
const MAX_TIMESTAMP_AT: usize = 35;
const LOG_APPEND_TIME: i16 = 0x08;
const TRANSACTIONAL: i16 = 0x10;
const CONTROL: i16 = 0x20;
/// The base timestamp says until when tombstones and markers are kept, not a record's time.
const DELETE_HORIZON: i16 = 0x40;

/// A batch header, read without touching the records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BatchHeader {
    pub base_offset: i64,
    /// Of the whole batch, header included.
    pub bytes: usize,
    pub crc: u32,
    pub attributes: i16,
    pub last_offset_delta: i32,
    pub base_timestamp: i64,
    pub max_timestamp: i64,
    pub producer_id: i64,
    pub producer_epoch: i16,
    pub base_sequence: i32,
    pub record_count: i32,
}

impl BatchHeader {
    /// Reads the header at the start of `bytes`; the records need not be there. `None` if it is no batch of magic 2.
    pub(crate) fn read(bytes: &[u8]) -> Option<Self> {
        if bytes.len() < HEADER_BYTES {
            return None;
        }
        let mut rest = bytes;
        let base_offset = rest.get_i64();
        let length = usize::try_from(rest.get_i32()).ok()?;
        let _leader_epoch = rest.get_i32();
        let magic = rest.get_i8();
        if magic != MAGIC || length + PREFIX_BYTES < HEADER_BYTES {
            return None;
        }
        Some(Self {
            base_offset,
            bytes: length + PREFIX_BYTES,
            crc: rest.get_u32(),
            attributes: rest.get_i16(),
            last_offset_delta: rest.get_i32(),
            base_timestamp: rest.get_i64(),
            max_timestamp: rest.get_i64(),
            producer_id: rest.get_i64(),
            producer_epoch: rest.get_i16(),
            base_sequence: rest.get_i32(),
            record_count: rest.get_i32(),
        })
    }

    /// Whether `batch`, all of it, is what was sealed.
    pub(crate) fn matches(&self, batch: &[u8]) -> bool {
        batch.len() == self.bytes && crc32c::crc32c(&batch[CHECKED_FROM..]) == self.crc
    }

    /// Whether a producer may send it: records counted without gaps, and no marker.
    pub(crate) fn is_from_a_producer(&self) -> bool {
        self.record_count >= 1
            && self.last_offset_delta == self.record_count - 1
            && !self.is_control()
    }

    /// Whether both come from one producer, and both or neither belong to a transaction.
    pub(crate) fn has_sender_of(&self, other: &Self) -> bool {
        let sender = |it: &Self| (it.producer_id, it.producer_epoch, it.is_transactional());
        sender(self) == sender(other)
    }

    pub(crate) fn last_offset(&self) -> i64 {
        self.base_offset + i64::from(self.last_offset_delta)
    }

    pub(crate) fn is_control(&self) -> bool {
        self.attributes & CONTROL != 0
    }

    pub(crate) fn is_transactional(&self) -> bool {
        self.attributes & TRANSACTIONAL != 0
    }

    /// Whether its records all have the time they were appended at, the batch's largest.
    pub(crate) fn has_append_time(&self) -> bool {
        self.attributes & LOG_APPEND_TIME != 0
    }

    /// When what is only kept for a while (tombstones, markers) may go, if compaction has decided that.
    pub(crate) fn delete_horizon_ms(&self) -> Option<i64> {
        (self.attributes & DELETE_HORIZON != 0).then_some(self.base_timestamp)
    }

    /// Whether the producer numbers its batches.
    pub(crate) fn is_idempotent(&self) -> bool {
        self.producer_id >= 0 && self.base_sequence >= 0
    }

    /// Sequences wrap to 0 after the largest `i32`.
    pub(crate) fn last_sequence(&self) -> i32 {
        self.base_sequence.wrapping_add(self.last_offset_delta) & i32::MAX
    }
}

/// Writes what the broker decides: the offset of the first record, and leader epoch 0. Neither is under the checksum.
pub(crate) fn stamp_offset(batch: &mut [u8], base_offset: i64) {
    batch[..8].copy_from_slice(&base_offset.to_be_bytes());
    batch[LEADER_EPOCH_AT..LEADER_EPOCH_AT + 4].fill(0);
}

/// Writes the time of appending over the producer's, for topics that want it so, and seals the batch again.
pub(crate) fn stamp_append_time(batch: &mut [u8], attributes: i16, now_ms: i64) {
    let attributes = attributes | LOG_APPEND_TIME;
    batch[CHECKED_FROM..CHECKED_FROM + 2].copy_from_slice(&attributes.to_be_bytes());
    batch[MAX_TIMESTAMP_AT..MAX_TIMESTAMP_AT + 8].copy_from_slice(&now_ms.to_be_bytes());
    seal(batch);
}

/// The control batch that ends a transaction on one partition; its offset is still to be stamped.
pub(crate) fn end_marker(producer_id: i64, epoch: i16, is_commit: bool, now_ms: i64) -> BytesMut {
    let mut batch = BytesMut::with_capacity(HEADER_BYTES + MARKER_RECORD_BYTES);
    batch.put_i64(0);
    batch.put_i32(MARKER_LENGTH);
    batch.put_i32(0);
    batch.put_i8(MAGIC);
    batch.put_u32(0);
    batch.put_i16(TRANSACTIONAL | CONTROL);
    batch.put_i32(0);
    batch.put_i64(now_ms);
    batch.put_i64(now_ms);
    batch.put_i64(producer_id);
    batch.put_i16(epoch);
    batch.put_i32(-1);
    batch.put_i32(1);
    // One record: length 16, no attributes, deltas 0, then key (version, type) and value (version, coordinator).
    batch.put_slice(&[32, 0, 0, 0, 8, 0, 0, 0, u8::from(is_commit), 12, 0, 0, 0, 0, 0, 0, 0]);
    seal(&mut batch);
    batch
}

/// Whether a control batch commits. Only this broker writes them, so that the place of the key's end is known: the
/// record is followed by nothing, and its value and headers take eight bytes.
pub(crate) fn is_commit(control_batch: &[u8]) -> bool {
    let type_at = control_batch.len().checked_sub(MARKER_TAIL_BYTES + 1);
    type_at.and_then(|at| control_batch.get(at)) == Some(&1)
}

const MARKER_RECORD_BYTES: usize = 17;
const MARKER_LENGTH: i32 = 49 + 17;
/// Of the value with its length, and the number of headers.
const MARKER_TAIL_BYTES: usize = 8;
/// The longest a marker's batch can be: with a time told relative to a horizon.
pub(crate) const CONTROL_BATCH_BYTES: usize = HEADER_BYTES + MARKER_RECORD_BYTES + 10;

pub(crate) fn seal(batch: &mut [u8]) {
    let crc = crc32c::crc32c(&batch[CHECKED_FROM..]);
    batch[CRC_AT..CRC_AT + 4].copy_from_slice(&crc.to_be_bytes());
}

/// The whole batches at the start of `bytes`, one by one; stops at the first that is cut.
pub(crate) fn whole_batches(bytes: &Bytes) -> impl Iterator<Item = (BatchHeader, Bytes)> {
    let mut at = 0;
    std::iter::from_fn(move || {
        let header = BatchHeader::read(bytes.get(at..)?)?;
        let end = at + header.bytes;
        if end > bytes.len() {
            return None;
        }
        let batch = bytes.slice(at..end);
        at = end;
        Some((header, batch))
    })
}

#[cfg(test)]
pub(crate) mod tests;
