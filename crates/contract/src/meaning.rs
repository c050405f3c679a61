//! What each reason means, in words, and what to do about it.

use crate::verdict::Reason;

impl Reason {
    /// What was wrong, for people.
    #[must_use]
    pub fn meaning(self) -> &'static str {
        match self {
            Self::Empty => "the record has no value",
            Self::ShortFrame => "the value is too short to be framed Avro",
            Self::BadMagic => "the value is not framed Avro: it does not start with the magic byte",
            Self::UnknownSchemaId => "the registry knows no schema of the id that the record names",
            Self::SubjectNotAllowed => "the schema is not registered as a record of this topic",
            Self::NotAvro => "what the registry holds under the id is not an Avro schema",
            Self::SchemaLint => {
                "the schema is dangerous to decode, or not one the contract can read"
            }
            Self::AvroMalformed => "the bytes are not a value of the schema they name",
            Self::AvroTruncated => "the bytes end before the value does",
            Self::TrailingBytes => "bytes are left over after the value",
            Self::LimitExceeded => "a length in the value asks for more memory than is allowed",
            Self::Missing => "something required is absent",
            Self::Range => "a number is out of its range",
            Self::Enum => "a value is not one of the known ones",
            Self::Length => "a text, list or map is too short or too long",
            Self::Format => "a text is not of its format",
            Self::KeyMismatch => "the record's key is not the event's user_id, else anonymous_id",
            Self::Size => "the record is larger than allowed",
            Self::TsFuture => "the event lies too far after its record's timestamp",
            Self::TsTooOld => "the event lies too far before its record's timestamp",
            Self::TsUnitSuspectS => "the event's time looks like seconds, not milliseconds",
            Self::TsUnitSuspectUs => "the event's time looks like microseconds, not milliseconds",
            Self::TsUnitSuspectNs => "the event's time looks like nanoseconds, not milliseconds",
            Self::Late => "the event was valid and came too late for its user's windows",
            Self::Refused => "the topic of valid events does not take the record",
            Self::ProcessAbort => "the process ended uncleanly whenever it decoded this record",
        }
    }

    /// What has to change before such a record can be accepted.
    #[must_use]
    pub fn remedy(self) -> &'static str {
        match self {
            Self::Empty
            | Self::ShortFrame
            | Self::BadMagic
            | Self::AvroMalformed
            | Self::AvroTruncated
            | Self::TrailingBytes
            | Self::NotAvro => "the producer has to send it again: these bytes stay what they are",
            Self::KeyMismatch => "the producer has to send it again under the event's own key",
            Self::TsUnitSuspectS | Self::TsUnitSuspectUs | Self::TsUnitSuspectNs => {
                "the producer has to send it again with event_time in milliseconds"
            }
            Self::UnknownSchemaId => "register the schema, then redrive",
            Self::SubjectNotAllowed => {
                "register the schema under the topic's subject, then redrive"
            }
            Self::SchemaLint => {
                "the producer mends its schema and sends it again, since these bytes name the old one; or upgrade to a version that reads it, then redrive"
            }
            Self::LimitExceeded | Self::Size => "raise ingest.value_bytes_max, then redrive",
            Self::Missing | Self::Range | Self::Enum | Self::Length | Self::Format => {
                "mend the rule or the schema where it is wrong, then redrive; else the producer sends it again"
            }
            Self::TsFuture => "raise ingest.event_ahead_max_ms where that is right, then redrive",
            Self::TsTooOld => "raise ingest.event_age_max_ms where that is right, then redrive",
            Self::Late => {
                "nothing: the log has moved on; a rebuild of all state would count it no more"
            }
            Self::Refused => {
                "mend the topic's settings (message.timestamp.before.max.ms, max.message.bytes), then redrive"
            }
            Self::ProcessAbort => {
                "report it with the record; redrive by name once the decoder is mended"
            }
        }
    }

    /// Whether the same record may pass once something on our side has changed. Where not, redriving it only makes
    /// another dead letter.
    #[must_use]
    pub fn may_pass_later(self) -> bool {
        match self {
            Self::UnknownSchemaId
            | Self::SubjectNotAllowed
            | Self::SchemaLint
            | Self::LimitExceeded
            | Self::Size
            | Self::Refused
            | Self::Missing
            | Self::Range
            | Self::Enum
            | Self::Length
            | Self::Format
            | Self::TsFuture
            | Self::TsTooOld => true,
            Self::Empty
            | Self::ShortFrame
            | Self::BadMagic
            | Self::NotAvro
            | Self::AvroMalformed
            | Self::AvroTruncated
            | Self::TrailingBytes
            | Self::KeyMismatch
            | Self::TsUnitSuspectS
            | Self::TsUnitSuspectUs
            | Self::TsUnitSuspectNs
            | Self::Late
            | Self::ProcessAbort => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_pass_later_is_told_to_be_redriven() {
        for reason in Reason::ALL {
            let advises = reason.remedy().contains("then redrive");
            assert_eq!(advises, reason.may_pass_later(), "{}: {}", reason.code(), reason.remedy());
            assert!(!reason.meaning().ends_with('.'));
        }
    }
}
