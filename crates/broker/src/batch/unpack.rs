//! Decompression with a bound. A few kilobytes can stand for gigabytes, and whoever may write may send them: so no more
//! is made of a batch than a batch that anybody means would hold.

use std::io::Read;

use bytes::{Buf, Bytes};

/// Most bytes that the records of one batch may take: four times the largest batch that our own topics take.
const UNPACKED_BYTES_MAX: usize = 64 << 20;
/// What a stream of snappy blocks begins with, as Java's clients write it; then four bytes each for two versions.
const SNAPPY_MAGIC: &[u8] = b"\x82SNAPPY\0";
const SNAPPY_HEAD_BYTES: usize = 16;

/// Why nothing was made of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unreadable {
    /// It would be more than the bound.
    TooLarge,
    /// The codec has not packed it, or there is no such codec.
    Malformed,
}

/// What `codec` has packed.
pub(super) fn unpack(codec: i16, packed: &Bytes) -> Result<Bytes, Unreadable> {
    unpack_within(codec, packed, UNPACKED_BYTES_MAX)
}

fn unpack_within(codec: i16, packed: &Bytes, bytes_max: usize) -> Result<Bytes, Unreadable> {
    let malformed = |_| Unreadable::Malformed;
    match codec {
        0 => Ok(packed.clone()),
        1 => all_of(flate2::read::GzDecoder::new(&packed[..]), bytes_max),
        2 => snappy(packed, bytes_max),
        3 => all_of(lz4::Decoder::new(&packed[..]).map_err(malformed)?, bytes_max),
        4 => all_of(zstd::Decoder::with_buffer(&packed[..]).map_err(malformed)?, bytes_max),
        _ => Err(Unreadable::Malformed),
    }
}

fn all_of(packed: impl Read, bytes_max: usize) -> Result<Bytes, Unreadable> {
    let mut unpacked = Vec::new();
    let read = packed.take(bytes_max as u64 + 1).read_to_end(&mut unpacked);
    if unpacked.len() > bytes_max {
        return Err(Unreadable::TooLarge);
    }
    read.map(|_| unpacked.into()).map_err(|_| Unreadable::Malformed)
}

/// One block, or a stream of them, each with its length before it.
fn snappy(packed: &Bytes, bytes_max: usize) -> Result<Bytes, Unreadable> {
    let mut unpacked = Vec::new();
    if !packed.starts_with(SNAPPY_MAGIC) {
        add_block(packed, bytes_max, &mut unpacked)?;
        return Ok(unpacked.into());
    }
    let mut rest = packed.get(SNAPPY_HEAD_BYTES..).ok_or(Unreadable::Malformed)?;
    while rest.has_remaining() {
        let length = rest.try_get_u32().map_err(|_| Unreadable::Malformed)?;
        let length = usize::try_from(length).map_err(|_| Unreadable::Malformed)?;
        let (block, after) = rest.split_at_checked(length).ok_or(Unreadable::Malformed)?;
        add_block(block, bytes_max, &mut unpacked)?;
        rest = after;
    }
    Ok(unpacked.into())
}

fn add_block(block: &[u8], bytes_max: usize, unpacked: &mut Vec<u8>) -> Result<(), Unreadable> {
    let start = unpacked.len();
    let length = snap::raw::decompress_len(block).map_err(|_| Unreadable::Malformed)?;
    let end = start.saturating_add(length);
    if end > bytes_max {
        return Err(Unreadable::TooLarge);
    }
    unpacked.resize(end, 0);
    let written = snap::raw::Decoder::new().decompress(block, &mut unpacked[start..]);
    let is_whole = written.is_ok_and(|written| start + written == end);
    if is_whole { Ok(()) } else { Err(Unreadable::Malformed) }
}

#[cfg(test)]
mod tests {
    use bytes::{BufMut, BytesMut};

    use super::*;
    use crate::batch::records::pack;

    fn packed(codec: i16, records: &[u8]) -> Bytes {
        let mut packed = BytesMut::new();
        pack(codec, records, &mut packed).unwrap();
        packed.freeze()
    }

    #[test]
    fn what_was_packed_comes_back_by_every_codec() {
        let records: Vec<u8> = (0..200_000_u32).map(|at| (at % 251).to_le_bytes()[0]).collect();
        for codec in 0..=4 {
            assert_eq!(unpack(codec, &packed(codec, &records)).unwrap(), records, "{codec}");
            assert_eq!(unpack(codec, &packed(codec, b"")).unwrap_or_default(), "", "{codec}");
        }
        let block = snap::raw::Encoder::new().compress_vec(&records).unwrap();
        assert_eq!(unpack(2, &block.into()).unwrap(), records, "a snappy block by itself");
    }

    #[test]
    fn what_is_too_much_is_not_unpacked() {
        for codec in 1..=4 {
            let packed = packed(codec, &vec![0; 1 << 20]);
            assert!(unpack_within(codec, &packed, 1 << 20).is_ok(), "{codec}");
            let less = unpack_within(codec, &packed, (1 << 20) - 1);
            assert_eq!(less, Err(Unreadable::TooLarge), "{codec}");
        }
        // Says that it holds four gigabytes.
        let block = Bytes::from_static(b"\xff\xff\xff\xff\x0f\0");
        assert_eq!(unpack(2, &block), Err(Unreadable::TooLarge));
    }

    #[test]
    fn what_is_no_packed_stream_is_nothing() {
        for codec in 1..=7 {
            let unpacked = unpack(codec, &Bytes::from_static(b"neither of them"));
            assert_eq!(unpacked, Err(Unreadable::Malformed), "{codec}");
        }
        let mut torn = BytesMut::from(&b"\x82SNAPPY\0\0\0\0\x01\0\0\0\x01"[..]);
        torn.put_u32(u32::MAX);
        assert_eq!(unpack(2, &torn.freeze()), Err(Unreadable::Malformed));
    }
}
