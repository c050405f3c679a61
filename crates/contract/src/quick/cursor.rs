//! Avro binary, read by somebody who expects it to be right.

/// Most entries of all lists and maps of one value that are read here.
const ENTRIES_MAX: i64 = 1_000;

pub(super) struct Cursor<'a> {
    left: &'a [u8],
    entries_left: i64,
}

impl<'a> Cursor<'a> {
    pub(super) fn new(content: &'a [u8]) -> Self {
        Self { left: content, entries_left: ENTRIES_MAX }
    }

    pub(super) fn is_done(&self) -> bool {
        self.left.is_empty()
    }

    pub(super) fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.left.split_first()?;
        self.left = rest;
        Some(*first)
    }

    /// A zigzag varint of at most 64 bits.
    pub(super) fn long(&mut self) -> Option<i64> {
        let mut zigzag = 0_u64;
        for shift in (0..63).step_by(7) {
            let byte = self.byte()?;
            zigzag |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Some(signed(zigzag));
            }
        }
        let last = self.byte().filter(|byte| *byte <= 1)?;
        Some(signed(zigzag | u64::from(last) << 63))
    }

    pub(super) fn int(&mut self) -> Option<i32> {
        i32::try_from(self.long()?).ok()
    }

    /// The place of an enum's symbol or a union's branch.
    pub(super) fn index(&mut self) -> Option<usize> {
        usize::try_from(self.int()?).ok()
    }

    pub(super) fn take(&mut self, bytes: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.left.split_at_checked(bytes)?;
        self.left = rest;
        Some(taken)
    }

    pub(super) fn bytes(&mut self) -> Option<&'a [u8]> {
        let length = usize::try_from(self.long()?).ok()?;
        self.take(length)
    }

    pub(super) fn str(&mut self) -> Option<&'a str> {
        std::str::from_utf8(self.bytes()?).ok()
    }

    pub(super) fn str_pairs(&mut self) -> Option<Vec<(&'a str, &'a str)>> {
        let mut pairs = Vec::new();
        self.blocks(|from| {
            pairs.push((from.str()?, from.str()?));
            Some(())
        })?;
        Some(pairs)
    }

    pub(super) fn strs(&mut self) -> Option<Vec<&'a str>> {
        let mut texts = Vec::new();
        self.blocks(|from| {
            texts.push(from.str()?);
            Some(())
        })?;
        Some(texts)
    }

    /// The entries of a list or map: blocks with their counts, up to an empty one.
    pub(super) fn blocks(&mut self, mut entry: impl FnMut(&mut Self) -> Option<()>) -> Option<()> {
        loop {
            let count = self.long()?;
            if count == 0 {
                return Some(());
            }
            if count < 0 || count > self.entries_left {
                return None;
            }
            self.entries_left -= count;
            for _ in 0..count {
                entry(self)?;
            }
        }
    }
}

fn signed(zigzag: u64) -> i64 {
    (zigzag >> 1).cast_signed() ^ -(zigzag & 1).cast_signed()
}
