//! What the contract says about a record: accepted, or rejected for one of a closed list of reasons.

use std::fmt;

use upnext_common::event::Event;

use crate::framing::SchemaKey;

/// The outcome for one record. A bad event is not an error; it travels on.
#[derive(Clone, Debug, PartialEq)]
pub enum Verdict {
    Accept(Box<Event>),
    Reject(Rejection),
}

impl Verdict {
    #[must_use]
    pub fn rejection(&self) -> Option<&Rejection> {
        match self {
            Self::Accept(_) => None,
            Self::Reject(rejection) => Some(rejection),
        }
    }
}

/// Why a record was rejected, and where in it the cause lies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejection {
    pub reason: Reason,
    /// RFC 6901 pointer into the event; empty when it is about the record as a whole.
    pub pointer: String,
    /// For people: lowercase, no period.
    pub detail: String,
    pub stage: Stage,
    /// The schema the record names, where that could be read.
    pub schema_id: Option<SchemaKey>,
}

impl Rejection {
    #[must_use]
    pub fn new(reason: Reason, pointer: impl Into<String>, detail: impl Into<String>) -> Self {
        let stage = reason.stage();
        Self { reason, pointer: pointer.into(), detail: detail.into(), stage, schema_id: None }
    }

    #[must_use]
    pub fn with_schema(self, schema_id: impl Into<SchemaKey>) -> Self {
        Self { schema_id: Some(schema_id.into()), ..self }
    }
}

impl fmt::Display for Rejection {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} at `{}`: {}", self.reason.code(), self.pointer, self.detail)
    }
}

/// How far a record came before it was rejected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Stage {
    Framing,
    Schema,
    Decode,
    Contract,
    /// It was read and is valid; its place in the stream is what is wrong.
    Stream,
    /// We could not judge it, however often it was tried.
    Internal,
}

impl Stage {
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Framing => "framing",
            Self::Schema => "schema",
            Self::Decode => "decode",
            Self::Contract => "contract",
            Self::Stream => "stream",
            Self::Internal => "internal",
        }
    }
}

/// The closed list of reasons. Codes are stable: producers, dead letters and dashboards rely on them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reason {
    /// The record has no value.
    Empty,
    /// The value is shorter than magic byte, schema id and one byte of content.
    ShortFrame,
    /// The value does not start with the magic byte 0.
    BadMagic,
    /// The registry knows no schema of this id.
    UnknownSchemaId,
    /// The schema is not one of the event types.
    SubjectNotAllowed,
    /// What the registry holds under this id is not an Avro schema.
    NotAvro,
    /// The schema is dangerous to decode, or cannot be read as the contract's type.
    SchemaLint,
    /// The bytes are not a value of the schema.
    AvroMalformed,
    /// The bytes end before the value does.
    AvroTruncated,
    /// Bytes are left after the value.
    TrailingBytes,
    /// A length in the value asks for more memory than allowed.
    LimitExceeded,
    /// Something required is absent.
    Missing,
    /// A number is out of its range.
    Range,
    /// A value is not one of the known ones.
    Enum,
    /// A text, list or map is too short or too long.
    Length,
    /// A text is not of its format.
    Format,
    /// The record's key is not the event's user.
    KeyMismatch,
    /// The record's value is larger than allowed.
    Size,
    /// The event lies too far after its record's timestamp.
    TsFuture,
    /// The event lies too far before its record's timestamp.
    TsTooOld,
    /// The event's time looks like seconds.
    TsUnitSuspectS,
    /// The event's time looks like microseconds.
    TsUnitSuspectUs,
    /// The event's time looks like nanoseconds.
    TsUnitSuspectNs,
    /// A valid event that its user's windows can no longer take.
    Late,
    /// A valid event that the topic of valid events does not take.
    Refused,
    /// The process ended uncleanly whenever it decoded this record.
    ProcessAbort,
}

impl Reason {
    pub const ALL: [Self; 26] = [
        Self::Empty,
        Self::ShortFrame,
        Self::BadMagic,
        Self::UnknownSchemaId,
        Self::SubjectNotAllowed,
        Self::NotAvro,
        Self::SchemaLint,
        Self::AvroMalformed,
        Self::AvroTruncated,
        Self::TrailingBytes,
        Self::LimitExceeded,
        Self::Missing,
        Self::Range,
        Self::Enum,
        Self::Length,
        Self::Format,
        Self::KeyMismatch,
        Self::Size,
        Self::TsFuture,
        Self::TsTooOld,
        Self::TsUnitSuspectS,
        Self::TsUnitSuspectUs,
        Self::TsUnitSuspectNs,
        Self::Late,
        Self::Refused,
        Self::ProcessAbort,
    ];

    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::Empty => "empty",
            Self::ShortFrame => "short_frame",
            Self::BadMagic => "bad_magic",
            Self::UnknownSchemaId => "unknown_schema_id",
            Self::SubjectNotAllowed => "subject_not_allowed",
            Self::NotAvro => "not_avro",
            Self::SchemaLint => "schema_lint",
            Self::AvroMalformed => "avro_malformed",
            Self::AvroTruncated => "avro_truncated",
            Self::TrailingBytes => "trailing_bytes",
            Self::LimitExceeded => "limit_exceeded",
            Self::Missing => "missing",
            Self::Range => "range",
            Self::Enum => "enum",
            Self::Length => "length",
            Self::Format => "format",
            Self::KeyMismatch => "key_mismatch",
            Self::Size => "size",
            Self::TsFuture => "ts_future",
            Self::TsTooOld => "ts_too_old",
            Self::TsUnitSuspectS => "ts_unit_suspect_s",
            Self::TsUnitSuspectUs => "ts_unit_suspect_us",
            Self::TsUnitSuspectNs => "ts_unit_suspect_ns",
            Self::Late => "late",
            Self::Refused => "refused",
            Self::ProcessAbort => "process_abort",
        }
    }

    #[must_use]
    pub fn from_code(code: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.code() == code)
    }

    #[must_use]
    pub fn stage(self) -> Stage {
        match self {
            Self::Empty | Self::ShortFrame | Self::BadMagic | Self::Size => Stage::Framing,
            Self::UnknownSchemaId | Self::SubjectNotAllowed | Self::NotAvro | Self::SchemaLint => {
                Stage::Schema
            }
            Self::AvroMalformed
            | Self::AvroTruncated
            | Self::TrailingBytes
            | Self::LimitExceeded => Stage::Decode,
            Self::Missing
            | Self::Range
            | Self::Enum
            | Self::Length
            | Self::Format
            | Self::KeyMismatch
            | Self::TsFuture
            | Self::TsTooOld
            | Self::TsUnitSuspectS
            | Self::TsUnitSuspectUs
            | Self::TsUnitSuspectNs => Stage::Contract,
            Self::Late | Self::Refused => Stage::Stream,
            Self::ProcessAbort => Stage::Internal,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_come_back_and_are_distinct() {
        for reason in Reason::ALL {
            assert_eq!(Reason::from_code(reason.code()), Some(reason));
        }
        assert_eq!(Reason::from_code("lateness"), None);
    }

    /// Producers, dead letters and dashboards rely on the codes: one may be added, none may change.
    #[test]
    fn the_codes_are_the_closed_list() {
        let of_stage = |stage: Stage| -> Vec<&str> {
            let all = Reason::ALL.into_iter().filter(|reason| reason.stage() == stage);
            all.map(Reason::code).collect()
        };
        let expected = [
            (Stage::Framing, "empty short_frame bad_magic size"),
            (Stage::Schema, "unknown_schema_id subject_not_allowed not_avro schema_lint"),
            (Stage::Decode, "avro_malformed avro_truncated trailing_bytes limit_exceeded"),
            (
                Stage::Contract,
                "missing range enum length format key_mismatch ts_future ts_too_old \
                 ts_unit_suspect_s ts_unit_suspect_us ts_unit_suspect_ns",
            ),
            (Stage::Stream, "late refused"),
            (Stage::Internal, "process_abort"),
        ];
        for (stage, codes) in expected {
            assert_eq!(of_stage(stage).join(" "), codes, "{}", stage.name());
        }
    }

    #[test]
    fn the_documentation_lists_exactly_these() {
        let text = include_str!("../../../docs/VERDICTS.md");
        let listed = text.lines().filter_map(|line| {
            let mut cells = line.strip_prefix("| `")?.split(" | ");
            let (code, stage) = (cells.next()?, cells.next()?);
            let is_told = cells.filter(|cell| cell.trim_end_matches(" |").len() > 10).count() == 2;
            is_told.then(|| (code.trim_end_matches('`').to_owned(), stage.to_owned()))
        });
        let expected =
            Reason::ALL.map(|reason| (reason.code().to_owned(), reason.stage().name().to_owned()));
        let (mut listed, mut expected) = (listed.collect::<Vec<_>>(), expected.to_vec());
        listed.sort();
        expected.sort();
        assert_eq!(listed, expected);
    }
}
