//! Reading a log file back after a start: batch after batch, until the first that is not whole.

use std::fs::File;
use std::io::{self, BufReader, Read};

use crate::batch::{BatchHeader, HEADER_BYTES};

const BUFFER_BYTES: usize = 256 << 10;

pub(super) struct Batches<'a> {
    reader: BufReader<&'a File>,
    bytes_left: u64,
    batch: Vec<u8>,
}

impl<'a> Batches<'a> {
    pub(super) fn new(file: &'a File, file_bytes: u64) -> Self {
        let reader = BufReader::with_capacity(BUFFER_BYTES, file);
        Self { reader, bytes_left: file_bytes, batch: Vec::new() }
    }

    /// The next batch, if it is whole, sealed and begins at `next_offset` or later.
    pub(super) fn next_whole(
        &mut self,
        next_offset: i64,
    ) -> io::Result<Option<(BatchHeader, &[u8])>> {
        if self.bytes_left < HEADER_BYTES as u64 {
            return Ok(None);
        }
        self.batch.resize(HEADER_BYTES, 0);
        self.reader.read_exact(&mut self.batch)?;
        let Some(header) = BatchHeader::read(&self.batch) else { return Ok(None) };
        if header.bytes as u64 > self.bytes_left || header.base_offset < next_offset {
            return Ok(None);
        }
        self.batch.resize(header.bytes, 0);
        self.reader.read_exact(&mut self.batch[HEADER_BYTES..])?;
        if !header.matches(&self.batch) || header.last_offset_delta < 0 {
            return Ok(None);
        }
        self.bytes_left -= header.bytes as u64;
        Ok(Some((header, &self.batch)))
    }
}
