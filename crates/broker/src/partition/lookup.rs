//! Which offset a time stands for. Looks into batches, and so decompresses.

use bytes::Bytes;
use kafka_protocol::ResponseError;

use super::{Partition, storage_error};
use crate::batch::{self, BatchHeader};
use crate::log::Window;

/// A record found by its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Lookup {
    pub offset: i64,
    pub timestamp_ms: i64,
}

impl Partition {
    /// The first record of `timestamp_ms` or later; `None` if there is none.
    pub(crate) fn first_since(&self, timestamp_ms: i64) -> Result<Option<Lookup>, ResponseError> {
        let (from, windows) = {
            let inner = self.inner.lock();
            (inner.start_offset, inner.log.windows_since(timestamp_ms, inner.start_offset))
        };
        for window in windows {
            if let Some(found) = first_within(&window, timestamp_ms, from)? {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    /// The first record with the largest timestamp; `None` while there is none.
    pub(crate) fn latest(&self) -> Result<Option<Lookup>, ResponseError> {
        let mut max_timestamp = self.inner.lock().log.max_timestamp();
        while let Some(timestamp_ms) = max_timestamp {
            if let Some(found) = self.first_since(timestamp_ms)? {
                return Ok(Some(found));
            }
            // Compaction or deletion left nothing of what was so late: the next best.
            max_timestamp = self.latest_before(timestamp_ms)?;
        }
        Ok(None)
    }

    /// The largest timestamp below `timestamp_ms` that a batch with records says to have.
    fn latest_before(&self, timestamp_ms: i64) -> Result<Option<i64>, ResponseError> {
        let (from, windows) = {
            let inner = self.inner.lock();
            (inner.start_offset, inner.log.windows_since(i64::MIN, inner.start_offset))
        };
        let mut latest: Option<i64> = None;
        for window in windows {
            let looked_at = window.walk(|header, _| {
                let is_asked = header.record_count > 0
                    && header.last_offset() >= from
                    && header.max_timestamp < timestamp_ms;
                if is_asked {
                    latest = latest.max(Some(header.max_timestamp));
                }
                Ok(())
            });
            looked_at.map_err(storage_error)?;
        }
        Ok(latest)
    }
}

fn first_within(
    window: &Window,
    timestamp_ms: i64,
    mut from: i64,
) -> Result<Option<Lookup>, ResponseError> {
    loop {
        let batch = window.batch_since(timestamp_ms, from).map_err(storage_error)?;
        let Some(batch) = batch else { return Ok(None) };
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

/// The offsets and times of a whole batch, in order; `None` if it holds something else than records.
fn times(header: &BatchHeader, batch: &Bytes) -> Option<Vec<Lookup>> {
    let unpacked = batch::unpacked(header, batch)?;
    let time = |record: batch::Record<'_>| Lookup {
        offset: record.offset,
        timestamp_ms: record.timestamp_ms,
    };
    batch::records(header, &unpacked).map(|record| record.map(time)).collect()
}
