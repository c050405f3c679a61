//! A schema that records were written with: linted and parsed once, then decoded with.

mod attempt;
mod standing;

use std::io::{Error as IoError, ErrorKind, Read};
use std::sync::Once;

use apache_avro::reader::datum::GenericDatumReader;
use apache_avro::schema::Schema;
use apache_avro::types::Value;
use apache_avro::writer::datum::GenericDatumWriter;
use parking_lot::RwLock;
use serde_json::Value as Json;
use upnext_common::event::{Event, EventType};

use crate::framing::SchemaKey;
use crate::lint::{self, LintFlaw};
use crate::parts::Parts;
use crate::quick::Plan;
use crate::records::event;
use crate::schemas;
use crate::verdict::{Reason, Rejection};

pub use attempt::{Attempt, Broken};
pub(crate) use standing::Standing;

/// Most bytes one string, array or map may ask for while decoding.
const ALLOCATION_BYTES_MAX: usize = 1 << 20;

/// Most reads one value may take: each costs at most a few hundred bytes of memory, so that a value of a megabyte
/// does not become one of a gigabyte. An event takes about forty, a decision with a thousand candidates ten thousand.
const READS_MAX: u32 = 100_000;

/// Why nothing can be decoded with a schema.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SchemaFlaw {
    #[error("not an Avro schema: {detail}")]
    NotAvro { detail: String },
    #[error("schema refused: {0}")]
    Lint(#[from] LintFlaw),
}

impl SchemaFlaw {
    #[must_use]
    pub fn reason(&self) -> Reason {
        match self {
            Self::NotAvro { .. } => Reason::NotAvro,
            Self::Lint(_) => Reason::SchemaLint,
        }
    }
}

/// A schema from the registry, safe to decode with.
#[derive(Debug)]
pub struct WriterSchema {
    key: SchemaKey,
    /// Where it stands in the registry, once asked.
    standing: RwLock<Option<Standing>>,
    full_name: String,
    event_type: Option<EventType>,
    /// The short way to its events.
    plan: Option<Plan>,
    /// Its event time is a bare number.
    lacks_time_unit: bool,
    schema: Schema,
}

impl WriterSchema {
    /// Lints and parses; `references` are the texts of the schemas it refers to, each before its users.
    ///
    /// # Errors
    /// When it is not Avro, or dangerous.
    pub fn parse(
        key: impl Into<SchemaKey>,
        text: &str,
        references: &[String],
    ) -> Result<Self, SchemaFlaw> {
        bound_allocations();
        let bytes = text.len() + references.iter().map(String::len).sum::<usize>();
        if bytes > lint::SCHEMA_BYTES_MAX {
            return Err(LintFlaw::TooLarge { bytes }.into());
        }
        let environment =
            references.iter().map(|text| json(text)).collect::<Result<Vec<_>, _>>()?;
        lint::lint(&json(text)?, &environment)?;
        let schema = parse_with(text, references)
            .map_err(|error| SchemaFlaw::NotAvro { detail: error.to_string() })?;
        let full_name = schema.name().map(ToString::to_string).unwrap_or_default();
        let event_type = schemas::event_type_of(&full_name);
        Ok(Self {
            key: key.into(),
            standing: RwLock::new(None),
            event_type,
            plan: event_type.and_then(|kind| Plan::of(kind, &schema)),
            lacks_time_unit: lacks_unit(&schema, "event_time"),
            full_name,
            schema,
        })
    }

    #[must_use]
    pub fn key(&self) -> SchemaKey {
        self.key
    }

    /// Full name of the record; empty when the schema is not a named type.
    #[must_use]
    pub fn full_name(&self) -> &str {
        &self.full_name
    }

    /// The event type this schema is a version of.
    #[must_use]
    pub fn event_type(&self) -> Option<EventType> {
        self.event_type
    }

    /// The event that `content` holds, by the short way; `None` leaves everything to [`Self::decode`].
    pub(crate) fn quick_event(&self, content: &[u8]) -> Option<Event> {
        self.plan.as_ref()?.read(content)
    }

    /// What `content` lends of its event, by the short way; as [`Self::quick_event`].
    pub(crate) fn quick_parts<'a>(&self, content: &'a [u8]) -> Option<Parts<'a>> {
        self.plan.as_ref()?.parts(content)
    }

    /// Whether the short way to an event, where it goes, reads what the long way reads. For tests that try everything.
    #[must_use]
    pub fn ways_agree(&self, content: &[u8]) -> bool {
        let (Some(quick), Some(kind)) = (self.quick_event(content), self.event_type) else {
            return true;
        };
        self.decode(content).and_then(|value| event::read(kind, value)).as_ref() == Ok(&quick)
    }

    /// Whether it leaves open in which unit the event time is.
    pub(crate) fn lacks_time_unit(&self) -> bool {
        self.lacks_time_unit
    }

    /// The one value that `content` holds: every byte is consumed, none is missing.
    ///
    /// # Errors
    /// As a rejection of stage decode.
    pub fn decode(&self, content: &[u8]) -> Result<Value, Rejection> {
        let mut source = Source { left: content, is_starved: false, reads_left: READS_MAX };
        let value = GenericDatumReader::builder(&self.schema)
            .build()
            .and_then(|reader| reader.read_value(&mut source));
        let at = content.len() - source.left.len();
        match value {
            Ok(_) if !source.left.is_empty() => Err(Rejection::new(
                Reason::TrailingBytes,
                "",
                format!(
                    "{} bytes left after the value, which ends at byte {at}",
                    source.left.len()
                ),
            )),
            Ok(value) => Ok(value),
            Err(_) if source.is_starved => Err(Rejection::new(
                Reason::AvroTruncated,
                "",
                format!("the value needs more than its {} bytes", content.len()),
            )),
            Err(_) if source.reads_left == 0 => Err(Rejection::new(
                Reason::LimitExceeded,
                "",
                format!("the value takes more than {READS_MAX} reads"),
            )),
            Err(error) => {
                Err(Rejection::new(reason_of(&error), "", format!("at byte {at}: {error}")))
            }
        }
        .map_err(|rejection| rejection.with_schema(self.key))
    }
}

impl WriterSchema {
    /// A JSON object as a producer with this schema would write it, without a frame; absent fields take the schema's
    /// defaults.
    ///
    /// # Errors
    /// When it is not of the schema, in the library's words.
    pub fn encode(&self, value: &Json) -> Result<Vec<u8>, String> {
        bound_allocations();
        Value::try_from(value.clone())
            .and_then(|value| value.resolve(&self.schema))
            .and_then(|value| {
                GenericDatumWriter::builder(&self.schema).build()?.write_value_to_vec(value)
            })
            .map_err(|error| error.to_string())
    }
}

fn reason_of(error: &apache_avro::Error) -> Reason {
    if matches!(error.details(), apache_avro::error::Details::MemoryAllocation { .. }) {
        Reason::LimitExceeded
    } else {
        Reason::AvroMalformed
    }
}

fn json(text: &str) -> Result<Json, SchemaFlaw> {
    // A bare name such as `"string"` may also stand without its quotes.
    serde_json::from_str(text).map_err(|error| SchemaFlaw::NotAvro { detail: error.to_string() })
}

fn parse_with(text: &str, references: &[String]) -> Result<Schema, apache_avro::Error> {
    if references.is_empty() {
        return Schema::parse_str(text);
    }
    let texts = references.iter().map(String::as_str).chain([text]);
    let mut parsed = Schema::parse_list(texts)?;
    let Some(mut schema) = parsed.pop() else {
        return Schema::parse_str(text);
    };
    schema.denormalize(&parsed)?;
    Ok(schema)
}

/// Whether a field of the record is an integer without a logical type (one that Avro does not know counts as none).
fn lacks_unit(schema: &Schema, field: &str) -> bool {
    let is_bare = |schema: &Schema| matches!(schema, Schema::Long | Schema::Int);
    let Schema::Record(record) = schema else { return false };
    let Some(field) = record.fields.iter().find(|entry| entry.name == field) else { return false };
    if let Schema::Union(union) = &field.schema {
        return union.variants().iter().any(is_bare);
    }
    is_bare(&field.schema)
}

/// The decoder's limit is process-wide and set by whoever comes first; nothing decodes without a parsed schema.
fn bound_allocations() {
    static BOUND: Once = Once::new();
    BOUND.call_once(|| {
        let limit = apache_avro::util::max_allocation_bytes(ALLOCATION_BYTES_MAX);
        debug_assert_eq!(limit, ALLOCATION_BYTES_MAX, "someone decoded before");
    });
}

/// Bytes that never end quietly: the decoder takes an unexpected end for a null, which it must not.
struct Source<'a> {
    left: &'a [u8],
    is_starved: bool,
    reads_left: u32,
}

impl Read for Source<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        if self.left.is_empty() && !buffer.is_empty() {
            self.is_starved = true;
            return Err(IoError::from(ErrorKind::InvalidData));
        }
        if self.reads_left == 0 {
            return Err(IoError::from(ErrorKind::InvalidData));
        }
        self.reads_left -= 1;
        self.left.read(buffer)
    }
}

#[cfg(test)]
mod tests;
