//! Bytes of encoded state: LEB128 variable-length integers, fixed little-endian words, strict reading.

use thiserror::Error;

/// Why bytes are not an encoded state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum DecodeError {
    #[error(
        "version {found} of the encoding is not known, {newest} is the newest that is: was it written by a newer \
         program?"
    )]
    Version { found: u8, newest: u8 },
    #[error("the bytes end in the middle of a value")]
    Truncated,
    #[error("{0} is out of its range")]
    Range(&'static str),
    #[error("{0} bytes are left over")]
    Trailing(usize),
}

const LONG: &str = "a variable-length integer";

/// Appends values to a buffer.
#[derive(Debug, Default)]
pub(crate) struct Writer(pub(crate) Vec<u8>);

impl Writer {
    pub(crate) fn byte(&mut self, value: u8) {
        self.0.push(value);
    }

    pub(crate) fn raw(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    pub(crate) fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push((value & 0x7f) as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
    }

    pub(crate) fn count(&mut self, value: usize) {
        self.varint(value as u64);
    }

    /// Zigzag: small magnitudes of either sign are short. This is Avro's `int` and `long`.
    pub(crate) fn signed(&mut self, value: i64) {
        self.varint((value << 1 ^ value >> 63).cast_unsigned());
    }

    pub(crate) fn word32(&mut self, value: u32) {
        self.raw(&value.to_le_bytes());
    }

    pub(crate) fn word64(&mut self, value: u64) {
        self.raw(&value.to_le_bytes());
    }

    pub(crate) fn float(&mut self, value: f64) {
        self.word64(value.to_bits());
    }

    /// Length and bytes: Avro's `string`.
    pub(crate) fn text(&mut self, value: &str) {
        self.signed(i64::try_from(value.len()).unwrap_or(i64::MAX));
        self.raw(value.as_bytes());
    }
}

/// Reads what [`Writer`] wrote, believing nothing.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scanner<'a>(&'a [u8]);

impl<'a> Scanner<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    pub(crate) fn raw(&mut self, length: usize) -> Result<&'a [u8], DecodeError> {
        let (taken, rest) = self.0.split_at_checked(length).ok_or(DecodeError::Truncated)?;
        self.0 = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        self.raw(N)?.try_into().map_err(|_| DecodeError::Truncated)
    }

    pub(crate) fn byte(&mut self) -> Result<u8, DecodeError> {
        let (byte, rest) = self.0.split_first().ok_or(DecodeError::Truncated)?;
        self.0 = rest;
        Ok(*byte)
    }

    #[inline]
    pub(crate) fn varint(&mut self) -> Result<u64, DecodeError> {
        match self.0 {
            // Most of what is written is small.
            [byte, rest @ ..] if *byte < 0x80 => {
                self.0 = rest;
                Ok(u64::from(*byte))
            }
            _ => self.long_varint(),
        }
    }

    #[inline(never)]
    fn long_varint(&mut self) -> Result<u64, DecodeError> {
        let mut value = 0_u64;
        for (at, byte) in self.0.iter().enumerate().take(10) {
            let bits = u64::from(byte & 0x7f);
            if at == 9 && bits > 1 {
                break;
            }
            value |= bits << (7 * at);
            if *byte < 0x80 {
                self.0 = &self.0[at + 1..];
                return Ok(value);
            }
        }
        let is_cut = self.0.len() < 10;
        Err(if is_cut { DecodeError::Truncated } else { DecodeError::Range(LONG) })
    }

    /// The next `count` integers, if they all are single bytes above 0; else nothing is read.
    #[inline]
    pub(crate) fn small_ones(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        if taken.iter().any(|byte| byte.wrapping_sub(1) >= 0x7f) {
            return None;
        }
        self.0 = rest;
        Some(taken)
    }

    /// A length of at most `max`.
    pub(crate) fn count(&mut self, max: usize, what: &'static str) -> Result<usize, DecodeError> {
        let value = usize::try_from(self.varint()?).map_err(|_| DecodeError::Range(what))?;
        if value > max { Err(DecodeError::Range(what)) } else { Ok(value) }
    }

    pub(crate) fn signed(&mut self) -> Result<i64, DecodeError> {
        let value = self.varint()?;
        Ok((value >> 1).cast_signed() ^ -(value & 1).cast_signed())
    }

    pub(crate) fn word32(&mut self) -> Result<u32, DecodeError> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    pub(crate) fn word64(&mut self) -> Result<u64, DecodeError> {
        Ok(u64::from_le_bytes(self.array()?))
    }

    pub(crate) fn words32(
        &mut self,
        count: usize,
    ) -> Result<impl Iterator<Item = u32> + use<'a>, DecodeError> {
        let (words, _) = self.raw(count.saturating_mul(4))?.as_chunks::<4>();
        Ok(words.iter().map(|word| u32::from_le_bytes(*word)))
    }

    pub(crate) fn words64(
        &mut self,
        count: usize,
    ) -> Result<impl Iterator<Item = u64> + use<'a>, DecodeError> {
        let (words, _) = self.raw(count.saturating_mul(8))?.as_chunks::<8>();
        Ok(words.iter().map(|word| u64::from_le_bytes(*word)))
    }

    /// A finite value, not below zero.
    pub(crate) fn float(&mut self, what: &'static str) -> Result<f64, DecodeError> {
        let value = f64::from_bits(self.word64()?);
        if value.is_finite() && value >= 0.0 { Ok(value) } else { Err(DecodeError::Range(what)) }
    }

    pub(crate) fn text(&mut self, max: usize) -> Result<&'a str, DecodeError> {
        let length = usize::try_from(self.signed()?).map_err(|_| DecodeError::Range("a text"))?;
        if length > max {
            return Err(DecodeError::Range("a text"));
        }
        std::str::from_utf8(self.raw(length)?).map_err(|_| DecodeError::Range("a text"))
    }

    pub(crate) fn is_at_end(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn end(self) -> Result<(), DecodeError> {
        if self.0.is_empty() { Ok(()) } else { Err(DecodeError::Trailing(self.0.len())) }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn integers_come_back(unsigned: u64, signed: i64) {
            let mut writer = Writer::default();
            writer.varint(unsigned);
            writer.signed(signed);
            let mut scanner = Scanner::new(&writer.0);
            prop_assert_eq!(scanner.varint(), Ok(unsigned));
            prop_assert_eq!(scanner.signed(), Ok(signed));
            prop_assert_eq!(scanner.end(), Ok(()));
        }
    }

    #[test]
    fn nonsense_is_refused() {
        assert_eq!(Scanner::new(&[0x80]).varint(), Err(DecodeError::Truncated));
        let endless = [0xff; 11];
        assert!(matches!(Scanner::new(&endless).varint(), Err(DecodeError::Range(_))));
        assert!(matches!(Scanner::new(&[200, 1]).count(64, "x"), Err(DecodeError::Range("x"))));
        assert!(matches!(Scanner::new(&[1]).text(9), Err(DecodeError::Range(_))));
        assert!(matches!(Scanner::new(&[2, 0xff]).text(9), Err(DecodeError::Range(_))));
        let nan = f64::NAN.to_le_bytes();
        assert!(matches!(Scanner::new(&nan).float("y"), Err(DecodeError::Range("y"))));
        assert_eq!(Scanner::new(&[1, 2]).end(), Err(DecodeError::Trailing(2)));
    }
}
