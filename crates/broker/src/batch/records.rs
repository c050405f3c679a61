//! The records of a batch, one after the other, without copying what they hold.
//!
//! A walk of our own: the codec's decoder makes room for as many records and headers as a batch says it has, which
//! a batch may say of more than there is memory for.

use bytes::{BufMut, Bytes, BytesMut};
use kafka_protocol::compression::{Compressor, Gzip, Lz4, Snappy, Zstd};

use super::unpack::unpack;
use super::{BatchHeader, HEADER_BYTES};

/// Which codec the records are compressed with.
pub(super) const CODEC: i16 = 0x07;

/// One record where it lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Record<'a> {
    pub offset: i64,
    pub timestamp_ms: i64,
    pub key: Option<&'a [u8]>,
    /// One without a value is a tombstone.
    pub has_value: bool,
    /// All of it, its length included.
    pub(super) bytes: &'a [u8],
    pub(super) attributes: u8,
    /// What follows the difference of its time.
    pub(super) after_timestamp: &'a [u8],
}

/// The records of a whole batch, decompressed and one after the other; `None` if it holds something else, or more than
/// anybody means.
pub(crate) fn unpacked(header: &BatchHeader, batch: &Bytes) -> Option<Bytes> {
    unpack(header.attributes & CODEC, &batch.slice(HEADER_BYTES..)).ok()
}

/// The opposite of [`unpacked`], with the codec of `attributes`, at the end of `batch`.
pub(super) fn pack(attributes: i16, records: &[u8], batch: &mut BytesMut) -> Option<()> {
    let put = |out: &mut BytesMut| {
        out.put_slice(records);
        Ok(())
    };
    match attributes & CODEC {
        0 => batch.put_slice(records),
        1 => Gzip::compress(batch, put).ok()?,
        2 => Snappy::compress(batch, put).ok()?,
        3 => Lz4::compress(batch, put).ok()?,
        4 => Zstd::compress(batch, put).ok()?,
        _ => return None,
    }
    Some(())
}

/// As many records as the header says; ends with a `None` inside at the first that is none.
pub(crate) fn records<'a>(
    header: &'a BatchHeader,
    unpacked: &'a [u8],
) -> impl Iterator<Item = Option<Record<'a>>> {
    let mut rest = unpacked;
    let mut left = header.record_count;
    std::iter::from_fn(move || {
        if left <= 0 {
            return None;
        }
        let record = first_record(header, &mut rest);
        left = if record.is_some() { left - 1 } else { 0 };
        Some(record)
    })
}

fn first_record<'a>(header: &BatchHeader, rest: &mut &'a [u8]) -> Option<Record<'a>> {
    let all = *rest;
    let mut inner = all;
    let length = usize::try_from(varint(&mut inner)?).ok()?;
    let (body, after) = inner.split_at_checked(length)?;
    let bytes = &all[..all.len() - after.len()];
    *rest = after;
    let (attributes, mut body) = body.split_first()?;
    let timestamp_ms = header.base_timestamp.wrapping_add(varint(&mut body)?);
    let after_timestamp = body;
    let offset = header.base_offset.wrapping_add(varint(&mut body)?);
    let key = field(&mut body)?;
    let has_value = varint(&mut body)? >= 0;
    let timestamp_ms = if header.has_append_time() { header.max_timestamp } else { timestamp_ms };
    let attributes = *attributes;
    Some(Record { offset, timestamp_ms, key, has_value, bytes, attributes, after_timestamp })
}

/// A field with its length before it; a negative length stands for none.
fn field<'a>(bytes: &mut &'a [u8]) -> Option<Option<&'a [u8]>> {
    let Ok(length) = usize::try_from(varint(bytes)?) else { return Some(None) };
    let (field, rest) = bytes.split_at_checked(length)?;
    *bytes = rest;
    Some(Some(field))
}

/// The next number, sign in its lowest bit, seven bits a byte.
pub(super) fn varint(bytes: &mut &[u8]) -> Option<i64> {
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

/// Writes a number as [`varint`] reads it.
pub(super) fn put_varint(number: i64, out: &mut Vec<u8>) {
    let mut rest = ((number << 1) ^ (number >> 63)).cast_unsigned();
    while rest >= 0x80 {
        out.push(u8::try_from(rest & 0x7f).unwrap_or(0) | 0x80);
        rest >>= 7;
    }
    out.push(u8::try_from(rest).unwrap_or(0));
}
