//! A first pass over a request's body, in which no length can be longer than what is there.
//!
//! The codec makes room for as many elements as an array says it has before it reads one, so that 30 bytes could ask
//! for more memory than there is and end the process. In this pass a number that cannot be a length is read as one
//! that no array accepts; what passes has only lengths that can be true, and is decoded again as it is.

use bytes::{Buf, Bytes, TryGetError};
use kafka_protocol::protocol::buf::ByteBuf;

/// What a compact number may exceed the rest by: tags are numbers too, and small.
const TAG_MAX: u64 = 64;

pub(super) struct Sounding {
    rest: Bytes,
    /// The compact number being read, and how many of its bits have been.
    compact: u64,
    bits: u32,
}

impl Sounding {
    pub(super) fn new(body: Bytes) -> Self {
        Self { rest: body, compact: 0, bits: 0 }
    }

    /// Takes the next byte of what may be a compact number; `None` if that has become too large for a length.
    fn follow(&mut self, byte: u8) -> Option<()> {
        let more = u64::from(byte & 0x7f).checked_shl(self.bits)?;
        self.compact |= more;
        self.bits += 7;
        let is_possible = self.compact <= self.rest.len() as u64 + TAG_MAX;
        if byte & 0x80 == 0 {
            (self.compact, self.bits) = (0, 0);
        }
        is_possible.then_some(())
    }
}

impl Buf for Sounding {
    fn remaining(&self) -> usize {
        self.rest.remaining()
    }

    fn chunk(&self) -> &[u8] {
        self.rest.chunk()
    }

    fn advance(&mut self, count: usize) {
        self.rest.advance(count);
    }

    fn try_get_u8(&mut self) -> Result<u8, TryGetError> {
        let byte = self.rest.try_get_u8()?;
        let available = self.rest.len();
        self.follow(byte).map(|()| byte).ok_or(TryGetError { requested: usize::MAX, available })
    }

    fn try_get_i32(&mut self) -> Result<i32, TryGetError> {
        let number = self.rest.try_get_i32()?;
        let is_possible = i64::from(number) <= i64::try_from(self.rest.len()).unwrap_or(i64::MAX);
        Ok(if is_possible { number } else { i32::MIN })
    }
}

impl ByteBuf for Sounding {
    fn peek_bytes(&mut self, range: std::ops::Range<usize>) -> Bytes {
        self.rest.slice(range)
    }

    fn get_bytes(&mut self, size: usize) -> Bytes {
        self.rest.split_to(size)
    }
}

#[cfg(test)]
mod tests;
