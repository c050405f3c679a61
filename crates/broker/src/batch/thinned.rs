//! A batch with fewer records, for compaction: offsets, times, producer and sequence stay what they were.

use bytes::{BufMut, Bytes, BytesMut};

use super::records::{CODEC, Record, pack, put_varint, records, unpacked};
use super::{
    BatchHeader, CHECKED_FROM, DELETE_HORIZON, HEADER_BYTES, MAX_TIMESTAMP_AT, PREFIX_BYTES, seal,
};

const LENGTH_AT: usize = 8;
const BASE_TIMESTAMP_AT: usize = 27;
const RECORD_COUNT_AT: usize = 57;

/// What is left of a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Thinned {
    /// All of it.
    Whole,
    Part(Bytes),
    Nothing,
}

/// What to do with a batch.
pub(crate) struct Thinning<K> {
    /// Whether a record stays.
    pub keep: K,
    /// Until when its tombstones, or the markers of a control batch, are kept, if it does not say so already.
    pub horizon_ms: i64,
    /// Whether the batch stays even without records, for its offsets and its producer's sequence.
    pub keep_empty: bool,
}

impl<K: FnMut(&Record<'_>) -> bool> Thinning<K> {
    /// Thins a whole batch out. One that cannot be looked into stays as it is.
    pub(crate) fn apply(mut self, header: &BatchHeader, batch: &Bytes) -> Thinned {
        let Some(unpacked) = unpacked(header, batch) else { return Thinned::Whole };
        let Some(all) = records(header, &unpacked).collect::<Option<Vec<Record<'_>>>>() else {
            return Thinned::Whole;
        };
        let kept: Vec<&Record<'_>> = all.iter().filter(|record| (self.keep)(record)).collect();
        let is_temporary =
            !kept.is_empty() && (header.is_control() || kept.iter().any(|it| !it.has_value));
        let horizon = match (is_temporary, header.delete_horizon_ms()) {
            (true, None) => Horizon::Set(self.horizon_ms),
            // Left standing, it would call for another pass in every round.
            (false, Some(_)) => Horizon::Clear,
            (true, Some(_)) | (false, None) => Horizon::Leave,
        };
        if kept.is_empty() && !self.keep_empty {
            return Thinned::Nothing;
        }
        if kept.len() == all.len() && horizon == Horizon::Leave {
            return Thinned::Whole;
        }
        rebuilt(header, batch, &kept, horizon).map_or(Thinned::Whole, Thinned::Part)
    }
}

/// What becomes of the time until which a batch keeps what it keeps for a while only.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Horizon {
    Leave,
    Set(i64),
    /// Nothing is left that it is about. Records go on counting their times from it.
    Clear,
}

impl Horizon {
    fn set_to(self) -> Option<i64> {
        match self {
            Self::Set(horizon_ms) => Some(horizon_ms),
            Self::Leave | Self::Clear => None,
        }
    }
}

fn rebuilt(
    header: &BatchHeader,
    batch: &[u8],
    kept: &[&Record<'_>],
    horizon: Horizon,
) -> Option<Bytes> {
    let horizon_ms = horizon.set_to();
    let mut inner = Vec::new();
    for record in kept {
        match horizon_ms {
            Some(horizon_ms) => put_relative_to(horizon_ms, header, record, &mut inner),
            None => inner.extend_from_slice(record.bytes),
        }
    }
    let mut out = BytesMut::with_capacity(HEADER_BYTES + inner.len());
    out.put_slice(&batch[..HEADER_BYTES]);
    if !kept.is_empty() {
        pack(header.attributes, &inner, &mut out)?;
    }
    let length = i32::try_from(out.len() - PREFIX_BYTES).ok()?;
    out[LENGTH_AT..LENGTH_AT + 4].copy_from_slice(&length.to_be_bytes());
    let attributes = attributes_of(header, kept.is_empty(), horizon);
    out[CHECKED_FROM..CHECKED_FROM + 2].copy_from_slice(&attributes.to_be_bytes());
    if let Some(horizon_ms) = horizon_ms {
        out[BASE_TIMESTAMP_AT..BASE_TIMESTAMP_AT + 8].copy_from_slice(&horizon_ms.to_be_bytes());
    }
    let latest = kept.iter().map(|record| record.timestamp_ms).max();
    let latest = latest.unwrap_or(header.max_timestamp);
    out[MAX_TIMESTAMP_AT..MAX_TIMESTAMP_AT + 8].copy_from_slice(&latest.to_be_bytes());
    let count = i32::try_from(kept.len()).ok()?;
    out[RECORD_COUNT_AT..RECORD_COUNT_AT + 4].copy_from_slice(&count.to_be_bytes());
    seal(&mut out);
    Some(out.freeze())
}

/// Nothing is not compressed.
fn attributes_of(header: &BatchHeader, is_empty: bool, horizon: Horizon) -> i16 {
    let codec_gone = if is_empty { header.attributes & !CODEC } else { header.attributes };
    match horizon {
        Horizon::Leave => codec_gone,
        Horizon::Set(_) => codec_gone | DELETE_HORIZON,
        Horizon::Clear => codec_gone & !DELETE_HORIZON,
    }
}

/// A record whose time is told as the difference to `base_ms`.
fn put_relative_to(base_ms: i64, header: &BatchHeader, record: &Record<'_>, out: &mut Vec<u8>) {
    let timestamp_ms = if header.has_append_time() { base_ms } else { record.timestamp_ms };
    let mut difference = Vec::with_capacity(10);
    put_varint(timestamp_ms.wrapping_sub(base_ms), &mut difference);
    let length = 1 + difference.len() + record.after_timestamp.len();
    put_varint(i64::try_from(length).unwrap_or(i64::MAX), out);
    out.push(record.attributes);
    out.extend_from_slice(&difference);
    out.extend_from_slice(record.after_timestamp);
}

#[cfg(test)]
mod tests;
