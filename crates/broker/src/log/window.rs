//! A stretch of a segment that stands and will not change: read without holding any lock.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};

use super::index::INDEX_EVERY_BYTES;
use crate::batch::{BatchHeader, HEADER_BYTES, whole_batches};

/// Read ahead while walking over whole batches.
const WALK_BYTES: usize = 256 << 10;

#[derive(Clone, Debug)]
pub(crate) struct Window {
    pub(super) file: Arc<File>,
    /// A batch begins here, unless it is the end.
    pub(super) position: u64,
    pub(super) end: u64,
}

/// Whole batches read from a log.
pub(crate) struct Read {
    pub records: Bytes,
    /// One past the last offset in `records`.
    pub end_offset: i64,
}

impl Window {
    /// Whole batches from the one that holds `from` up to, without, `until`: at most `bytes_max`, but at least one.
    pub(crate) fn read(&self, from: i64, until: i64, bytes_max: usize) -> io::Result<Read> {
        let ahead = bytes_max.saturating_add(INDEX_EVERY_BYTES);
        let bytes = self.read_at(self.position, ahead)?;
        let (mut start, mut end, mut end_offset) = (0, 0, from);
        for (header, batch) in whole_batches(&bytes) {
            if header.last_offset() < from {
                start += batch.len();
                end = start;
                continue;
            }
            if header.base_offset >= until || end - start + batch.len() > bytes_max {
                break;
            }
            end += batch.len();
            end_offset = header.last_offset() + 1;
        }
        if end > start {
            return Ok(Read { records: bytes.slice(start..end), end_offset });
        }
        self.read_one(self.position + start as u64, from, until)
    }

    /// The first batch from `position` on that reaches `from`, however large. What compaction left in front of it may
    /// be large too.
    fn read_one(&self, mut position: u64, from: i64, until: i64) -> io::Result<Read> {
        while let Some(header) = BatchHeader::read(&self.read_at(position, HEADER_BYTES)?) {
            if header.base_offset >= until {
                break;
            }
            if header.last_offset() >= from {
                let records = self.read_at(position, header.bytes)?;
                return Ok(Read { records, end_offset: header.last_offset() + 1 });
            }
            position += header.bytes as u64;
        }
        Ok(Read { records: Bytes::new(), end_offset: from })
    }

    /// The first batch at or after offset `from` that says to hold a record of `timestamp_ms` or later.
    pub(crate) fn batch_since(&self, timestamp_ms: i64, from: i64) -> io::Result<Option<Bytes>> {
        let mut position = self.position;
        while position < self.end {
            let head = self.read_at(position, HEADER_BYTES)?;
            let Some(header) = BatchHeader::read(&head) else { break };
            if header.last_offset() >= from && header.max_timestamp >= timestamp_ms {
                return self.read_at(position, header.bytes).map(Some);
            }
            position += header.bytes as u64;
        }
        Ok(None)
    }

    /// Shows every batch to `on_batch`, in order, until that fails.
    pub(crate) fn walk(
        &self,
        mut on_batch: impl FnMut(&BatchHeader, &Bytes) -> io::Result<()>,
    ) -> io::Result<()> {
        let mut position = self.position;
        while position < self.end {
            let bytes = self.read_at(position, WALK_BYTES)?;
            let mut walked = 0;
            for (header, batch) in whole_batches(&bytes) {
                on_batch(&header, &batch)?;
                walked += batch.len();
            }
            if walked == 0 {
                let batch = self.read_one(position, i64::MIN, i64::MAX)?.records;
                let header = BatchHeader::read(&batch)
                    .filter(|header| header.bytes == batch.len())
                    .ok_or_else(|| io::Error::from(io::ErrorKind::InvalidData))?;
                on_batch(&header, &batch)?;
                walked = batch.len();
            }
            position += walked as u64;
        }
        Ok(())
    }

    /// Brings the file it is of to disk.
    pub(crate) fn sync(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    fn read_at(&self, position: u64, bytes_max: usize) -> io::Result<Bytes> {
        let left = usize::try_from(self.end.saturating_sub(position)).unwrap_or(usize::MAX);
        let mut bytes = BytesMut::zeroed(left.min(bytes_max));
        self.file.read_exact_at(&mut bytes, position)?;
        Ok(bytes.freeze())
    }
}
