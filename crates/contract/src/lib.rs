//! Avro contracts: decode, verdict, reasons, compatibility and lint.
//!
//! Reading order is the order of the modules. A record's way in: its frame (`framing`), the schema it was
//! written with (`client`, `writer_schema`, `lint`), its values (`parts` and `quick`, else `fields` and `records`), the rules (`rules`, `checks`)
//! and the verdict (`verdict`, `judge`). The way out: `wire`, `encoder`, `decoder`. Beside them the JSON form of
//! events (`json`), the compatibility of schemas (`compat`), what their changes do (`evolution`),
//! and contract unit tests (`cases`).
//!
//! Invariants: trouble with the registry is never a verdict; no clock but the record's timestamp decides about an
//! event; nothing is decoded with a schema that the lint has not seen.

pub mod verdict;
mod meaning;
pub mod letter;
pub mod framing;
pub mod schemas;
pub mod lint;
pub mod writer_schema;
pub mod client;
mod fields;
mod wire;
mod records;
mod parts;
mod quick;
pub mod rules;
pub mod checks;
pub mod judge;
pub mod cases;
pub mod encoder;
pub mod decoder;
pub mod json;
pub mod compat;
pub mod evolution;

pub use checks::{Checks, Limits};
pub use client::{Lookup, Need, RegistryClient, RegistryError, SchemaSource};
pub use decoder::{DecodeError, Decoder};
pub use encoder::{EncodeError, Encoder, VALUE_BYTES_MAX};
pub use framing::{FramingError, SCHEMA_HEADER, SchemaKey, unframe};
pub use judge::{Cleared, Contract, Judge, Raw, Trouble};
pub use records::artifact::ArtifactAnnounced;
pub use schemas::subject_of;
pub use verdict::{Reason, Rejection, Stage, Verdict};
pub use writer_schema::{Attempt, Broken, SchemaFlaw, WriterSchema};
