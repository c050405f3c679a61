//! The log of one partition on disk: whole batches one after the other, found again through a sparse index.
//!
//! A batch is written in one piece and counts once it is whole. Opening reads the file from the start and cuts it after
//! the last batch that is whole, sealed and in order; what a crash left half-written is gone, nothing that was
//! acknowledged is.

mod index;
mod recovery;

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use bytes::{Bytes, BytesMut};

use crate::batch::{BatchHeader, HEADER_BYTES, whole_batches};

pub(crate) use index::INDEX_EVERY_BYTES;
use index::Index;

/// The file name carries the offset it starts at, so that a log may come to have several.
const FILE_NAME: &str = "00000000000000000000.log";

pub(crate) struct Log {
    file: File,
    bytes: u64,
    next_offset: i64,
    index: Index,
    /// Set when a failed write could not be undone: nothing more is accepted.
    is_broken: bool,
}

/// Whole batches read from a log.
pub(crate) struct Read {
    pub records: Bytes,
    /// One past the last offset in `records`.
    pub end_offset: i64,
}

impl Log {
    /// Opens or makes the log in `directory`, and shows every batch that stands to `on_batch`.
    pub(crate) fn open(
        directory: &Path,
        mut on_batch: impl FnMut(&BatchHeader, &[u8]),
    ) -> io::Result<Self> {
        std::fs::create_dir_all(directory)?;
        let path = directory.join(FILE_NAME);
        let file =
            File::options().read(true).write(true).create(true).truncate(false).open(&path)?;
        let mut log =
            Self { file, bytes: 0, next_offset: 0, index: Index::default(), is_broken: false };
        let file_bytes = log.file.metadata()?.len();
        let mut batches = recovery::Batches::new(&log.file, file_bytes);
        while let Some((header, batch)) = batches.next_whole(log.next_offset)? {
            on_batch(&header, batch);
            log.index.note(&header, log.bytes);
            log.bytes += header.bytes as u64;
            log.next_offset = header.last_offset() + 1;
        }
        if log.bytes < file_bytes {
            let torn_bytes = file_bytes - log.bytes;
            tracing::warn!(path = %path.display(), torn_bytes, "log ends in a torn write, cutting it");
            log.file.set_len(log.bytes)?;
        }
        Ok(log)
    }

    pub(crate) fn next_offset(&self) -> i64 {
        self.next_offset
    }

    /// Appends one batch whose offset is stamped. Either all of it stands afterwards or none.
    pub(crate) fn append(&mut self, header: &BatchHeader, batch: &[u8]) -> io::Result<()> {
        debug_assert_eq!(header.base_offset, self.next_offset, "offsets have no gaps");
        if self.is_broken {
            return Err(io::Error::other("an earlier write could not be undone"));
        }
        if let Err(error) = self.file.write_all_at(batch, self.bytes) {
            self.is_broken = self.file.set_len(self.bytes).is_err();
            return Err(error);
        }
        self.index.note(header, self.bytes);
        self.bytes += batch.len() as u64;
        self.next_offset = header.last_offset() + 1;
        Ok(())
    }

    /// Whole batches from the one that holds `from` up to, without, `until`: at most `bytes_max`, but at least one.
    pub(crate) fn read(&self, from: i64, until: i64, bytes_max: usize) -> io::Result<Read> {
        let position = self.index.position_of(from);
        let window = bytes_max.saturating_add(INDEX_EVERY_BYTES);
        let bytes = self.read_at(position, window)?;
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
        self.read_one(position + start as u64, from, until)
    }

    /// The one batch at `position`, however large.
    fn read_one(&self, position: u64, from: i64, until: i64) -> io::Result<Read> {
        let head = self.read_at(position, HEADER_BYTES)?;
        match BatchHeader::read(&head) {
            Some(header) if header.base_offset < until => Ok(Read {
                records: self.read_at(position, header.bytes)?,
                end_offset: header.last_offset() + 1,
            }),
            Some(_) | None => Ok(Read { records: Bytes::new(), end_offset: from }),
        }
    }

    /// The first batch at or after offset `from` that holds a record of `timestamp_ms` or later.
    pub(crate) fn batch_since(&self, timestamp_ms: i64, from: i64) -> io::Result<Option<Bytes>> {
        let mut position =
            self.index.position_since(timestamp_ms).max(self.index.position_of(from));
        while position < self.bytes {
            let head = self.read_at(position, HEADER_BYTES)?;
            let Some(header) = BatchHeader::read(&head) else { break };
            if header.last_offset() >= from && header.max_timestamp >= timestamp_ms {
                return self.read_at(position, header.bytes).map(Some);
            }
            position += header.bytes as u64;
        }
        Ok(None)
    }

    /// The largest timestamp in the log; `None` while it is empty.
    pub(crate) fn max_timestamp(&self) -> Option<i64> {
        self.index.max_timestamp()
    }

    pub(crate) fn sync(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    fn read_at(&self, position: u64, bytes_max: usize) -> io::Result<Bytes> {
        let left = usize::try_from(self.bytes.saturating_sub(position)).unwrap_or(usize::MAX);
        let mut bytes = BytesMut::zeroed(left.min(bytes_max));
        self.file.read_exact_at(&mut bytes, position)?;
        Ok(bytes.freeze())
    }
}

#[cfg(test)]
mod tests;
