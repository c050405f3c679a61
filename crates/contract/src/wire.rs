//! Writing Avro binary for our own schemas: what is written follows the order of the fields in the `.avsc` files.
//!
//! Nothing here can fail, and nothing is built in between; that it equals what the library reads is tested per record.

use bytes::{BufMut, Bytes, BytesMut};

use crate::framing;

/// A framed value being written.
pub(crate) struct Out(BytesMut);

impl Out {
    pub(crate) fn framed(schema_id: u32) -> Self {
        let mut buffer = BytesMut::with_capacity(256);
        buffer.put_slice(&framing::head(schema_id));
        Self(buffer)
    }

    pub(crate) fn finish(self) -> Bytes {
        self.0.freeze()
    }

    pub(crate) fn long(&mut self, value: i64) -> &mut Self {
        let mut zigzag = value.wrapping_shl(1).cast_unsigned() ^ (value >> 63).cast_unsigned();
        while zigzag > 0x7f {
            self.0.put_u8(zigzag.to_le_bytes()[0] | 0x80);
            zigzag >>= 7;
        }
        self.0.put_u8(zigzag.to_le_bytes()[0]);
        self
    }

    pub(crate) fn int(&mut self, value: i32) -> &mut Self {
        self.long(i64::from(value))
    }

    pub(crate) fn flag(&mut self, value: bool) -> &mut Self {
        self.0.put_u8(u8::from(value));
        self
    }

    pub(crate) fn float(&mut self, value: f32) -> &mut Self {
        self.0.put_f32_le(value);
        self
    }

    pub(crate) fn double(&mut self, value: f64) -> &mut Self {
        self.0.put_f64_le(value);
        self
    }

    pub(crate) fn bytes(&mut self, value: &[u8]) -> &mut Self {
        self.count(value.len());
        self.0.put_slice(value);
        self
    }

    pub(crate) fn text(&mut self, value: &str) -> &mut Self {
        self.bytes(value.as_bytes())
    }

    /// A union of null and something: 0 for null, else 1 and the value.
    pub(crate) fn optional<T>(
        &mut self,
        value: Option<T>,
        put: impl FnOnce(&mut Self, T),
    ) -> &mut Self {
        match value {
            None => self.long(0),
            Some(value) => {
                self.long(1);
                put(self, value);
                self
            }
        }
    }

    pub(crate) fn optional_text(&mut self, value: Option<&str>) -> &mut Self {
        self.optional(value, |out, text| {
            out.text(text);
        })
    }

    /// An array or map as one block: its number of entries, the entries, the end mark.
    pub(crate) fn block<T>(
        &mut self,
        entries: impl ExactSizeIterator<Item = T>,
        mut put: impl FnMut(&mut Self, T),
    ) -> &mut Self {
        if entries.len() > 0 {
            self.count(entries.len());
            for entry in entries {
                put(self, entry);
            }
        }
        self.long(0)
    }

    fn count(&mut self, count: usize) -> &mut Self {
        self.long(i64::try_from(count).unwrap_or(i64::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(value: i64, expected: &[u8]) {
        let mut out = Out(BytesMut::new());
        out.long(value);
        assert_eq!(out.finish(), expected);
    }

    #[test]
    fn longs_are_zigzag_varints() {
        check(0, &[0]);
        check(-1, &[1]);
        check(1, &[2]);
        check(64, &[0x80, 1]);
        check(i64::MAX, &[0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1]);
        check(i64::MIN, &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1]);
    }

    #[test]
    fn an_empty_block_is_its_end_mark() {
        let mut out = Out(BytesMut::new());
        out.block(std::iter::empty::<&str>(), |out, text| {
            out.text(text);
        });
        assert_eq!(out.finish(), [0].as_slice());
    }
}
