//! Which offset a time stands for. The only place that looks into batches, and so decompresses.

use kafka_protocol::ResponseError;

use super::times::times;
use super::{Partition, storage_error};
use crate::batch::BatchHeader;

/// A record found by its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Lookup {
    pub offset: i64,
    pub timestamp_ms: i64,
}

impl Partition {
    /// The first record of `timestamp_ms` or later; `None` if there is none.
    pub(crate) fn first_since(&self, timestamp_ms: i64) -> Result<Option<Lookup>, ResponseError> {
        let mut from = self.bounds().start_offset;
        loop {
            let batch = self.inner.lock().log.batch_since(timestamp_ms, from);
            let Some(batch) = batch.map_err(storage_error)? else { return Ok(None) };
            let header = BatchHeader::read(&batch).ok_or(ResponseError::CorruptMessage)?;
            let records = times(&header, &batch).ok_or_else(|| {
                tracing::warn!(offset = header.base_offset, "cannot look into a batch");
                ResponseError::CorruptMessage
            })?;
            let is_late = |it: &&Lookup| it.offset >= from && it.timestamp_ms >= timestamp_ms;
            if let Some(found) = records.iter().find(is_late) {
                return Ok(Some(*found));
            }
            // What made the batch late was deleted, or its header promised too much.
            from = header.last_offset() + 1;
        }
    }

    /// The record with the largest timestamp; `None` while there is none.
    pub(crate) fn latest(&self) -> Result<Option<Lookup>, ResponseError> {
        let max_timestamp = self.inner.lock().log.max_timestamp();
        max_timestamp.map_or(Ok(None), |timestamp_ms| self.first_since(timestamp_ms))
    }
}
