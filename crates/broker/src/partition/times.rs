//! The offsets and times of a batch's records, without looking at what they hold.
//!
//! A walk of our own: the codec's decoder makes room for as many records and headers as a batch says it has, which
//! a batch may say of more than there is memory for.

use bytes::Bytes;
use kafka_protocol::compression::{Decompressor, Gzip, Lz4, Snappy, Zstd};

use super::Lookup;
use crate::batch::{BatchHeader, HEADER_BYTES};

const CODEC: i16 = 0x07;

/// The records of a whole batch, in order; `None` if it holds something else.
pub(super) fn times(header: &BatchHeader, batch: &Bytes) -> Option<Vec<Lookup>> {
    let records = decompress(header.attributes & CODEC, batch.slice(HEADER_BYTES..))?;
    let mut rest = &records[..];
    let mut times = Vec::new();
    for _ in 0..header.record_count {
        let bytes = usize::try_from(varint(&mut rest)?).ok()?;
        let (mut record, after) = rest.split_at_checked(bytes)?;
        rest = after;
        let (_attributes, after) = record.split_first()?;
        record = after;
        let timestamp_ms = header.base_timestamp.wrapping_add(varint(&mut record)?);
        let offset = header.base_offset.wrapping_add(varint(&mut record)?);
        let timestamp_ms =
            if header.has_append_time() { header.max_timestamp } else { timestamp_ms };
        times.push(Lookup { offset, timestamp_ms });
    }
    Some(times)
}

fn decompress(codec: i16, mut records: Bytes) -> Option<Bytes> {
    let take = |records: &mut Bytes| Ok(std::mem::take(records));
    match codec {
        0 => Some(records),
        1 => Gzip::decompress(&mut records, take).ok(),
        2 => Snappy::decompress(&mut records, take).ok(),
        3 => Lz4::decompress(&mut records, take).ok(),
        4 => Zstd::decompress(&mut records, take).ok(),
        _ => None,
    }
}

/// The next number, sign in its lowest bit, seven bits a byte.
fn varint(bytes: &mut &[u8]) -> Option<i64> {
    let mut number = 0_u64;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = bytes.split_first()?;
        *bytes = rest;
        number |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some((number >> 1).cast_signed() ^ -(number & 1).cast_signed());
        }
    }
    None
}
