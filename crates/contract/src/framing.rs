//! How a record names the schema of its value: in front of the value, or in a header.
//!
//! In front: magic byte 0, schema id in four bytes big-endian, then Avro. Newer Confluent clients can leave the value
//! bare and put the name into the header `__value_schema_id`: magic byte 1 and the schema's GUID in sixteen bytes, or
//! magic byte 0 and the id in four. Where the header is there, it is what counts, as in their own readers.

use std::fmt;

use bytes::{BufMut, Bytes, BytesMut};
use uuid::Uuid;

use crate::verdict::{Reason, Rejection};

/// The header that names the schema of a bare value.
pub const SCHEMA_HEADER: &str = "__value_schema_id";

const MAGIC: u8 = 0;
const MAGIC_GUID: u8 = 1;
pub(crate) const HEAD_BYTES: usize = 5;

/// What a record calls its schema.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum SchemaKey {
    /// The number one registry gave it.
    Id(u32),
    /// The name it has in every registry.
    Guid(Uuid),
}

impl fmt::Display for SchemaKey {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Id(id) => id.fmt(out),
            Self::Guid(guid) => guid.fmt(out),
        }
    }
}

impl From<u32> for SchemaKey {
    fn from(id: u32) -> Self {
        Self::Id(id)
    }
}

impl From<Uuid> for SchemaKey {
    fn from(guid: Uuid) -> Self {
        Self::Guid(guid)
    }
}

/// What is wrong with a frame.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FramingError {
    #[error("the record has no value")]
    Empty,
    #[error("the value has {bytes} bytes, a frame has at least 6")]
    Short { bytes: usize },
    #[error("the value starts with byte 0x{found:02x}, not with the magic byte 0x00")]
    BadMagic { found: u8 },
    #[error(
        "the header {SCHEMA_HEADER} has {bytes} bytes; with magic byte {magic} it has {expected}"
    )]
    ShortHeader { bytes: usize, magic: u8, expected: usize },
    #[error("the header {SCHEMA_HEADER} starts with {found}, not with the magic byte 0x00 or 0x01")]
    BadHeaderMagic { found: String },
}

impl FramingError {
    #[must_use]
    pub fn reason(&self) -> Reason {
        match self {
            Self::Empty => Reason::Empty,
            Self::Short { .. } | Self::ShortHeader { .. } => Reason::ShortFrame,
            Self::BadMagic { .. } | Self::BadHeaderMagic { .. } => Reason::BadMagic,
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

/// As [`unframe`], where the record may have the header [`SCHEMA_HEADER`]: then the whole value is content.
///
/// # Errors
/// When the value is empty or a frame is none.
pub fn unframe_with<'a>(
    value: &'a [u8],
    header: Option<&[u8]>,
) -> Result<(SchemaKey, &'a [u8]), FramingError> {
    match header {
        None => unframe(value).map(|(id, content)| (SchemaKey::Id(id), content)),
        Some(_) if value.is_empty() => Err(FramingError::Empty),
        Some(header) => Ok((named_by(header)?, value)),
    }
}

fn named_by(header: &[u8]) -> Result<SchemaKey, FramingError> {
    let short =
        |magic, expected| FramingError::ShortHeader { bytes: header.len(), magic, expected };
    match header {
        [MAGIC, id @ ..] => {
            let id = id.try_into().map_err(|_| short(MAGIC, HEAD_BYTES))?;
            Ok(SchemaKey::Id(u32::from_be_bytes(id)))
        }
        [MAGIC_GUID, guid @ ..] => {
            let guid = guid.try_into().map_err(|_| short(MAGIC_GUID, 17))?;
            Ok(SchemaKey::Guid(Uuid::from_bytes(guid)))
        }
        [found, ..] => Err(FramingError::BadHeaderMagic { found: format!("byte 0x{found:02x}") }),
        [] => Err(FramingError::BadHeaderMagic { found: "nothing".to_owned() }),
    }
}

/// The header that names a schema by its GUID.
#[must_use]
pub fn guid_header(guid: Uuid) -> [u8; 17] {
    let mut header = [MAGIC_GUID; 17];
    header[1..].copy_from_slice(guid.as_bytes());
    header
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
    fn a_header_that_names_the_schema_leaves_the_value_whole() {
        let guid = Uuid::from_u128(0x0011_2233_4455_6677_8899_aabb_ccdd_eeff);
        let header = guid_header(guid);
        assert_eq!(header[..4], [1, 0x00, 0x11, 0x22]);
        let found = unframe_with(&[9, 8], Some(&header));
        assert_eq!(found, Ok((SchemaKey::Guid(guid), [9, 8].as_slice())));
        let found = unframe_with(&[0], Some(&[0, 0, 0, 1, 2]));
        assert_eq!(found, Ok((SchemaKey::Id(258), [0].as_slice())));
        assert_eq!(
            unframe_with(&[0, 0, 0, 1, 2, 9], None),
            Ok((SchemaKey::Id(258), [9].as_slice()))
        );
    }

    #[test]
    fn a_header_that_names_none_is_named_wrong() {
        for (header, reason) in [
            (&[1, 2, 3][..], Reason::ShortFrame),
            (&[1; 18], Reason::ShortFrame),
            (&[0, 0, 0, 1], Reason::ShortFrame),
            (&[0; 6], Reason::ShortFrame),
            (&[2; 17], Reason::BadMagic),
            (&[], Reason::BadMagic),
        ] {
            let error = unframe_with(&[1], Some(header)).unwrap_err();
            assert_eq!(error.reason(), reason, "{header:?}: {error}");
        }
        assert_eq!(unframe_with(&[], Some(&[1; 17])), Err(FramingError::Empty));
    }

    #[test]
    fn what_was_framed_is_unframed() {
        let framed = frame(70_000, b"content");
        assert_eq!(unframe(&framed), Ok((70_000, b"content".as_slice())));
    }
}
