//! The contract: a raw record in, a verdict out.

use std::sync::Arc;

use upnext_common::event::Event;
use upnext_common::fault::Fault;

use crate::checks::{Checks, Limits, check_key};
use crate::client::{RegistryClient, RegistryError};
use crate::decoder::{foreign, schema_of};
use crate::framing::{SchemaKey, unframe_with};
use crate::records::event;
use crate::schemas::subject_of;
use crate::verdict::{Reason, Rejection, Verdict};
use crate::writer_schema::WriterSchema;

/// A record as it was read from a topic.
#[derive(Clone, Copy, Debug)]
pub struct Raw<'a> {
    pub key: Option<&'a [u8]>,
    pub value: Option<&'a [u8]>,
    /// The last header [`crate::SCHEMA_HEADER`], where the record has one.
    pub schema_header: Option<&'a [u8]>,
    /// The record's timestamp: the clock of its verdict.
    pub timestamp_ms: i64,
}

/// The registry could not say what a schema id means. Never a verdict: wait, and judge the record again.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("schema {schema_id} cannot be had: {cause}")]
pub struct Trouble {
    pub schema_id: SchemaKey,
    pub cause: RegistryError,
}

impl Trouble {
    #[must_use]
    pub fn fault(&self) -> Fault {
        Fault::UPSTREAM
    }
}

/// Judges raw records. Shared by all partitions.
pub struct Contract {
    client: Arc<RegistryClient>,
    checks: Checks,
    topic: String,
}

impl Contract {
    /// The contract of the records on `topic`, by its full name.
    #[must_use]
    pub fn new(client: Arc<RegistryClient>, limits: Limits, topic: &str) -> Self {
        Self { client, checks: Checks::new(limits), topic: topic.to_owned() }
    }

    /// Framing → schema → decode → our reader schema → key → rules → time. Waits only for the registry, and only
    /// at the first sight of a schema.
    ///
    /// # Errors
    /// When the registry is in trouble.
    pub async fn judge(&self, raw: Raw<'_>) -> Result<Verdict, Trouble> {
        let (key, content) = match self.unframed(raw) {
            Ok(parts) => parts,
            Err(rejection) => return Ok(Verdict::Reject(rejection)),
        };
        let schema = self.schema(key).await.map_err(|cause| Trouble { schema_id: key, cause })?;
        Ok(match schema.and_then(|schema| self.event(&schema, content, raw)) {
            Ok(event) => Verdict::Accept(Box::new(event)),
            Err(rejection) => Verdict::Reject(rejection.with_schema(key)),
        })
    }

    /// Rules and time only: the verdict on an event that did not come as a record.
    #[must_use]
    pub fn judge_event(&self, event: &Event, timestamp_ms: i64) -> Verdict {
        self.checks.judge_event(event, timestamp_ms)
    }

    #[must_use]
    pub fn checks(&self) -> &Checks {
        &self.checks
    }

    fn unframed<'a>(&self, raw: Raw<'a>) -> Result<(SchemaKey, &'a [u8]), Rejection> {
        let value = raw.value.unwrap_or_default();
        let max = self.checks.limits().value_bytes_max;
        if value.len() > max {
            let detail = format!("the value has {} bytes, allowed are {max}", value.len());
            return Err(Rejection::new(Reason::Size, "", detail));
        }
        Ok(unframe_with(value, raw.schema_header)?)
    }

    /// The schema a record names, if records of this topic may name it: the outer error is trouble, the inner one a
    /// verdict.
    async fn schema(
        &self,
        key: SchemaKey,
    ) -> Result<Result<Arc<WriterSchema>, Rejection>, RegistryError> {
        let schema = match schema_of(&self.client, key).await? {
            Ok(schema) => schema,
            Err(rejection) => return Ok(Err(rejection)),
        };
        if schema.event_type().is_none() {
            return Ok(Err(foreign(&schema, "an event type")));
        }
        if schema.subjects().is_none() {
            self.client.find_subjects(&schema).await?;
        }
        Ok(match self.wrong_subject(&schema) {
            Some(rejection) => Err(rejection),
            None => Ok(schema),
        })
    }

    /// A schema that is known, but not for this topic: whoever registered it did not mean its records to be here, and
    /// no check of compatibility was made against the schemas that are.
    fn wrong_subject(&self, schema: &WriterSchema) -> Option<Rejection> {
        let subjects = schema.subjects()??;
        let is_it = |subject: &String| {
            let rest = subject.strip_prefix(self.topic.as_str());
            rest.and_then(|rest| rest.strip_prefix('-')) == Some(schema.full_name())
        };
        if subjects.iter().any(is_it) {
            return None;
        }
        let expected = subject_of(&self.topic, schema.full_name());
        let found = if subjects.is_empty() { "none".to_owned() } else { subjects.join(", ") };
        let detail = format!("the schema's subject must be {expected}, it is {found}");
        Some(Rejection::new(Reason::SubjectNotAllowed, "", detail))
    }

    fn event(
        &self,
        schema: &WriterSchema,
        content: &[u8],
        raw: Raw<'_>,
    ) -> Result<Event, Rejection> {
        let kind = schema.event_type().ok_or_else(|| foreign(schema, "an event type"))?;
        let event = event::read(kind, schema.decode(content)?)?;
        let objection = check_key(&event, raw.key)
            .or_else(|| self.checks.first_objection(&event, raw.timestamp_ms));
        match objection {
            Some(rejection) => Err(rejection),
            None => Ok(event),
        }
    }
}

#[cfg(test)]
mod tests;
