//! The first bytes of every encoded state: version and position, so that a store can tell which of two is newer.

use crate::wire::{DecodeError, Scanner, Writer};

/// Version of the encoding of users. 2: weights of top items are exact integers, and what the ring says already of an
/// item is not said again. 1 is read as well.
pub const USER_VERSION: u8 = 2;
/// Version of the encoding of items.
pub const ITEM_VERSION: u8 = 1;
/// Bytes of the header; the body follows.
pub const LEN: usize = 17;
/// Where in the header the position stands (first byte, one past the last): big-endian, so that the greater
/// bytes are the later position.
pub const POSITION_AT: (usize, usize) = (1, LEN);

/// How far a state has seen its log partition; ordered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// Which incarnation of the topic the offsets count in.
    pub epoch: u32,
    /// Offset of the next record to apply.
    pub next_offset: i64,
    /// Index of the next entry within that record; always 0 for users.
    pub next_index: u32,
}

pub(crate) fn write(writer: &mut Writer, version: u8, position: Position) {
    writer.byte(version);
    writer.raw(&position.epoch.to_be_bytes());
    writer.raw(&position.next_offset.cast_unsigned().to_be_bytes());
    writer.raw(&position.next_index.to_be_bytes());
}

/// The version, from 1 to `newest`, and the position: the header is the same in all of them.
pub(crate) fn read(scanner: &mut Scanner<'_>, newest: u8) -> Result<(u8, Position), DecodeError> {
    let found = scanner.byte()?;
    if found == 0 || found > newest {
        return Err(DecodeError::Version { found, newest });
    }
    let epoch = scanner.word32()?.swap_bytes();
    let next_offset = scanner.word64()?.swap_bytes().cast_signed();
    let next_index = scanner.word32()?.swap_bytes();
    if next_offset < 0 {
        return Err(DecodeError::Range("next offset"));
    }
    Ok((found, Position { epoch, next_offset, next_index }))
}

/// The position of an encoded state of a user or an item, without decoding the rest.
///
/// # Errors
/// When the bytes are too short or of an unknown version.
pub fn peek(bytes: &[u8]) -> Result<Position, DecodeError> {
    read(&mut Scanner::new(bytes), USER_VERSION.max(ITEM_VERSION)).map(|(_, position)| position)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn bytes(position: Position) -> Vec<u8> {
        let mut writer = Writer::default();
        write(&mut writer, USER_VERSION, position);
        writer.0
    }

    proptest! {
        #[test]
        fn bytes_compare_as_positions_do(
            a in (0..3_u32, 0..600_i64, 0..600_u32), b in (0..3_u32, 0..600_i64, 0..600_u32)
        ) {
            let position = |(epoch, next_offset, next_index)| {
                Position { epoch, next_offset, next_index }
            };
            let (a, b) = (position(a), position(b));
            let (from, to) = POSITION_AT;
            prop_assert_eq!(a.cmp(&b), bytes(a)[from..to].cmp(&bytes(b)[from..to]));
            prop_assert_eq!(peek(&bytes(a)), Ok(a));
        }
    }

    #[test]
    fn foreign_bytes_are_refused() {
        assert_eq!(peek(&[9; LEN]), Err(DecodeError::Version { found: 9, newest: 2 }));
        assert_eq!(peek(&[USER_VERSION; 5]), Err(DecodeError::Truncated));
        let mut negative = bytes(Position::default());
        negative[5] = 0xff;
        assert_eq!(peek(&negative), Err(DecodeError::Range("next offset")));
        assert_eq!(bytes(Position::default()).len(), LEN);
    }
}
