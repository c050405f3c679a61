//! Whether readers will get through a batch: every record is walked before the batch is taken, since what cannot be
//! read stops its readers for good.

use bytes::Bytes;

use super::records::{CODEC, varint};
use super::unpack::{Unreadable, unpack};
use super::{BatchHeader, HEADER_BYTES};

/// Why a producer's batch is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unsound {
    /// Its records take more than anybody means when they are unpacked.
    TooLarge,
    /// They are not what the header says, or cannot be unpacked.
    Malformed,
    /// One has no key where all need one.
    Keyless,
}

/// Looks at every record of a whole batch. What is not compressed is read where it lies, without making room for
/// anything.
pub(crate) fn check(header: &BatchHeader, batch: &Bytes, needs_keys: bool) -> Result<(), Unsound> {
    let codec = header.attributes & CODEC;
    let unpacked = unpack(codec, &batch.slice(HEADER_BYTES..)).map_err(|cause| match cause {
        Unreadable::TooLarge => Unsound::TooLarge,
        Unreadable::Malformed => Unsound::Malformed,
    })?;
    let mut rest = &unpacked[..];
    for number in 0..i64::from(header.record_count) {
        let has_key = walk(&mut rest, number).ok_or(Unsound::Malformed)?;
        if needs_keys && !has_key {
            return Err(Unsound::Keyless);
        }
    }
    if rest.is_empty() { Ok(()) } else { Err(Unsound::Malformed) }
}

/// Steps over one record, all of which has to be as long as it says. Whether it has a key.
fn walk(rest: &mut &[u8], number: i64) -> Option<bool> {
    let length = usize::try_from(varint(rest)?).ok()?;
    let (mut body, after) = rest.split_at_checked(length)?;
    *rest = after;
    let (_attributes, fields) = body.split_first()?;
    body = fields;
    let _timestamp_difference = varint(&mut body)?;
    if varint(&mut body)? != number {
        return None;
    }
    let has_key = step(&mut body)?;
    step(&mut body)?;
    let headers = varint(&mut body)?;
    if headers < 0 {
        return None;
    }
    for _ in 0..headers {
        // A header has a name, and perhaps no value.
        if !step(&mut body)? {
            return None;
        }
        step(&mut body)?;
    }
    body.is_empty().then_some(has_key)
}

/// Steps over a field with its length before it. Whether there is one: a length of -1 stands for none.
fn step(bytes: &mut &[u8]) -> Option<bool> {
    let length = varint(bytes)?;
    if length == -1 {
        return Some(false);
    }
    let (_field, rest) = bytes.split_at_checked(usize::try_from(length).ok()?)?;
    *bytes = rest;
    Some(true)
}

#[cfg(test)]
mod tests {
    use bytes::BytesMut;

    use super::*;
    use crate::batch::records::{pack, put_varint};
    use crate::batch::tests::{Sample, header};
    use crate::batch::{CHECKED_FROM, PREFIX_BYTES, seal};

    /// A record's fields after its attributes, each as bytes.
    fn record(fields: &[&[u8]]) -> Vec<u8> {
        let body = [&[0][..], &fields.concat()].concat();
        let mut record = Vec::new();
        put_varint(i64::try_from(body.len()).unwrap(), &mut record);
        record.extend_from_slice(&body);
        record
    }

    /// A sealed batch of so many records by its header.
    fn batch(codec: i16, count: i32, records: &[u8]) -> Bytes {
        let mut batch =
            BytesMut::from(&Sample { count, ..Sample::default() }.bytes()[..HEADER_BYTES]);
        batch[CHECKED_FROM..CHECKED_FROM + 2].copy_from_slice(&codec.to_be_bytes());
        if pack(codec, records, &mut batch).is_none() {
            batch.extend_from_slice(records);
        }
        let length = i32::try_from(batch.len() - PREFIX_BYTES).unwrap();
        batch[8..12].copy_from_slice(&length.to_be_bytes());
        seal(&mut batch);
        batch.freeze()
    }

    fn checked(batch: &Bytes) -> Result<(), Unsound> {
        check(&header(batch), batch, false)
    }

    /// Without key, with value and one header.
    fn sound(number: u8) -> Vec<u8> {
        record(&[&[0, number * 2], &[1], &[4, b'v', b'v'], &[2, 2, b'h', 1]])
    }

    #[test]
    fn what_can_be_read_is_sound_under_every_codec() {
        let records = [sound(0), sound(1), sound(2)].concat();
        for codec in 0..=4 {
            assert_eq!(checked(&batch(codec, 3, &records)), Ok(()), "{codec}");
        }
        let keyless = batch(0, 3, &records);
        assert_eq!(check(&header(&keyless), &keyless, true), Err(Unsound::Keyless));
    }

    #[test]
    fn what_stops_its_readers_is_malformed() {
        let two = [sound(0), sound(1)].concat();
        let longer = [&two[..], &[0]].concat();
        let bad: [(&str, Bytes); 13] = [
            ("fewer than the header says", batch(0, 3, &two)),
            ("more than the header says", batch(0, 1, &two)),
            ("something behind the last", batch(0, 2, &longer)),
            ("no records at all", batch(0, 1, &[7; 20])),
            ("a torn record", batch(0, 2, &two[..two.len() - 1])),
            ("offsets with a gap", batch(0, 2, &[sound(0), sound(2)].concat())),
            ("a key longer than its record", batch(0, 1, &record(&[&[0, 0], &[40], &[1], &[0]]))),
            ("a length below none", batch(0, 1, &record(&[&[0, 0], &[3], &[1], &[0]]))),
            ("headers that are not there", batch(0, 1, &record(&[&[0, 0], &[1], &[1], &[8]]))),
            ("a negative number of headers", batch(0, 1, &record(&[&[0, 0], &[1], &[1], &[1]]))),
            ("a header without a name", batch(0, 1, &record(&[&[0, 0], &[1], &[1], &[2, 1, 1]]))),
            ("something in a record's end", batch(0, 1, &record(&[&[0, 0], &[1], &[1], &[0, 0]]))),
            ("a codec that nobody has", batch(6, 1, &sound(0))),
        ];
        for (what, batch) in bad {
            assert_eq!(checked(&batch), Err(Unsound::Malformed), "{what}");
        }
        for codec in 1..=4 {
            let mut torn = BytesMut::from(&batch(codec, 2, &two)[..]);
            torn[CHECKED_FROM..CHECKED_FROM + 2].copy_from_slice(&(codec % 4 + 1).to_be_bytes());
            assert_eq!(checked(&torn.freeze()), Err(Unsound::Malformed), "not packed by {codec}");
        }
    }

    #[test]
    fn what_swells_without_end_is_too_large() {
        let bomb = vec![0; (64 << 20) + 1];
        for codec in 1..=4 {
            let packed = batch(codec, 1, &bomb);
            assert_eq!(checked(&packed), Err(Unsound::TooLarge), "{codec}");
        }
    }
}
