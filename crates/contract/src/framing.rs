//! The Confluent frame around a value: magic byte 0, schema id in four bytes big-endian, Avro.

use bytes::{BufMut, Bytes, BytesMut};

use crate::verdict::{Reason, Rejection};

const MAGIC: u8 = 0;
pub(crate) const HEAD_BYTES: usize = 5;

/// What is wrong with a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FramingError {
    #[error("the record has no value")]
    Empty,
    #[error("the value has {bytes} bytes, a frame has at least 6")]
    Short { bytes: usize },
    #[error("the value starts with byte 0x{found:02x}, not with the magic byte 0x00")]
    BadMagic { found: u8 },
}

impl FramingError {
    #[must_use]
    pub fn reason(self) -> Reason {
        match self {
            Self::Empty => Reason::Empty,
            Self::Short { .. } => Reason::ShortFrame,
            Self::BadMagic { .. } => Reason::BadMagic,
        }
    }
}

impl From<FramingError> for Rejection {
    fn from(error: FramingError) -> Self {
        Self::new(error.reason(), "", error.to_string())
    }
}

/// Schema id and content of a framed value.
///
/// # Errors
/// When it is empty, too short, or does not start with the magic byte.
pub fn unframe(value: &[u8]) -> Result<(u32, &[u8]), FramingError> {
    match value {
        [] => Err(FramingError::Empty),
        [found, ..] if *found != MAGIC => Err(FramingError::BadMagic { found: *found }),
        [_, a, b, c, d, content @ ..] if !content.is_empty() => {
            Ok((u32::from_be_bytes([*a, *b, *c, *d]), content))
        }
        short => Err(FramingError::Short { bytes: short.len() }),
    }
}

/// `content` with its frame in front.
#[must_use]
pub fn frame(schema_id: u32, content: &[u8]) -> Bytes {
    let mut framed = BytesMut::with_capacity(HEAD_BYTES + content.len());
    framed.put_slice(&head(schema_id));
    framed.put_slice(content);
    framed.freeze()
}

pub(crate) fn head(schema_id: u32) -> [u8; HEAD_BYTES] {
    let [a, b, c, d] = schema_id.to_be_bytes();
    [MAGIC, a, b, c, d]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(value: &[u8], expected: Result<(u32, &[u8]), FramingError>) {
        assert_eq!(unframe(value), expected);
    }

    #[test]
    fn frames_are_taken_apart_or_named_wrong() {
        check(b"", Err(FramingError::Empty));
        check(b"{\"type\":1}", Err(FramingError::BadMagic { found: b'{' }));
        check(&[0], Err(FramingError::Short { bytes: 1 }));
        check(&[0, 0, 0, 0, 1], Err(FramingError::Short { bytes: 5 }));
        check(&[0, 0, 0, 1, 2, 9, 8], Ok((258, &[9, 8])));
    }

    #[test]
    fn what_was_framed_is_unframed() {
        let framed = frame(70_000, b"content");
        assert_eq!(unframe(&framed), Ok((70_000, b"content".as_slice())));
    }
}
