//! Where in a segment an offset or a time begins: one entry for every 16 KiB. In memory, and beside sealed segments on
//! disk, so that opening need not read them.

use bytes::{Buf, BufMut};

use crate::batch::BatchHeader;

/// How much log may lie between two entries, and so how much a lookup may have to skip.
pub(crate) const INDEX_EVERY_BYTES: usize = 16 << 10;
const ENTRY_BYTES: usize = 24;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Index {
    entries: Vec<Entry>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Entry {
    base_offset: i64,
    position: u64,
    /// The largest timestamp from the start of the segment to the end of this entry's stretch.
    max_timestamp: i64,
}

impl Index {
    /// Takes notice of a batch written at `position`, the end of the segment so far.
    pub(super) fn note(&mut self, header: &BatchHeader, position: u64) {
        let max_timestamp = self.max_timestamp().unwrap_or(i64::MIN).max(header.max_timestamp);
        match self.entries.last_mut() {
            Some(last) if position - last.position < INDEX_EVERY_BYTES as u64 => {
                last.max_timestamp = max_timestamp;
            }
            Some(_) | None => {
                let base_offset = header.base_offset;
                self.entries.push(Entry { base_offset, position, max_timestamp });
            }
        }
    }

    /// A batch boundary at or before the batch that holds `offset`, less than one stretch away.
    pub(super) fn position_of(&self, offset: i64) -> u64 {
        let after = self.entries.partition_point(|entry| entry.base_offset <= offset);
        after.checked_sub(1).map_or(0, |at| self.entries[at].position)
    }

    /// A batch boundary before which nothing is as late as `timestamp_ms`; the end of the last stretch if nothing is.
    pub(super) fn position_since(&self, timestamp_ms: i64) -> u64 {
        let at = self.entries.partition_point(|entry| entry.max_timestamp < timestamp_ms);
        self.entries.get(at).map_or(u64::MAX, |entry| entry.position)
    }

    pub(super) fn max_timestamp(&self) -> Option<i64> {
        self.entries.last().map(|entry| entry.max_timestamp)
    }

    pub(super) fn encode(&self, bytes: &mut impl BufMut) {
        for entry in &self.entries {
            bytes.put_i64(entry.base_offset);
            bytes.put_u64(entry.position);
            bytes.put_i64(entry.max_timestamp);
        }
    }

    /// The index that `bytes` are, all of them; `None` if it is cut.
    pub(super) fn decode(mut bytes: &[u8]) -> Option<Self> {
        if !bytes.len().is_multiple_of(ENTRY_BYTES) {
            return None;
        }
        let mut entries = Vec::with_capacity(bytes.len() / ENTRY_BYTES);
        while bytes.has_remaining() {
            let (base_offset, position) = (bytes.get_i64(), bytes.get_u64());
            entries.push(Entry { base_offset, position, max_timestamp: bytes.get_i64() });
        }
        Some(Self { entries })
    }
}
