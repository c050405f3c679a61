//! The contract: a raw record in, a verdict out.

use std::sync::Arc;

use upnext_common::event::Event;
use upnext_common::fault::Fault;
use upnext_common::metrics::Metrics;

use crate::checks::{Checks, Limits, check_key, time};
use crate::client::{Need, RegistryClient, RegistryError};
use crate::decoder::{foreign, schema_of};
use crate::framing::{SchemaKey, unframe_with};
use crate::parts::Parts;
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
    judge: Judge,
}

impl Contract {
    /// The contract of the records on `topic`, by its full name.
    #[must_use]
    pub fn new(client: Arc<RegistryClient>, limits: Limits, topic: &str) -> Self {
        Self { client, judge: Judge::new(limits, topic) }
    }

    /// The same, with its warnings among the process's metrics.
    #[must_use]
    pub fn counting(self, metrics: &Metrics) -> Self {
        let Judge { checks, topic } = self.judge;
        Self { judge: Judge { checks: checks.counting(metrics), topic }, ..self }
    }

    /// Framing → schema → decode → our reader schema → key → rules → time. Waits only for the registry, and only
    /// at the first sight of a schema.
    ///
    /// # Errors
    /// When the registry is in trouble.
    pub async fn judge(&self, raw: Raw<'_>) -> Result<Verdict, Trouble> {
        self.judge_for(raw, None).await
    }

    /// As [`Self::judge`], for a record of which more is known than that it is here.
    ///
    /// # Errors
    /// As [`Self::judge`].
    pub async fn judge_for(&self, raw: Raw<'_>, need: Option<Need>) -> Result<Verdict, Trouble> {
        let (key, content) = match self.judge.unframed(raw) {
            Ok(parts) => parts,
            Err(rejection) => return Ok(Verdict::Reject(rejection)),
        };
        let found = self.schema(key, need).await;
        let schema = found.map_err(|cause| Trouble { schema_id: key, cause })?;
        Ok(match schema {
            Ok(schema) => self.judge.verdict(&schema, content, raw),
            Err(rejection) => Verdict::Reject(rejection),
        })
    }

    /// A schema of an event type of ours that is in memory and stands where it should, which is final.
    #[must_use]
    pub fn cleared(&self, key: SchemaKey) -> Option<Cleared> {
        let schema = self.client.in_memory(key)?;
        self.judge.clears(&schema).then_some(Cleared(schema))
    }

    /// Whether the verdict on a record that was written with `schema` is to accept, found without waiting and without
    /// making the event. `false` leaves it to [`Self::judge_for`], which may accept all the same.
    #[must_use]
    pub fn is_clean(&self, schema: &Cleared, raw: Raw<'_>) -> bool {
        let unframed = self.judge.unframed(raw);
        unframed.is_ok_and(|(key, content)| {
            key == schema.0.key() && self.judge.is_clean(schema, content, raw)
        })
    }

    /// Rules and time only: the verdict on an event that did not come as a record.
    #[must_use]
    pub fn judge_event(&self, event: &Event, timestamp_ms: i64) -> Verdict {
        self.checks().judge_event(event, timestamp_ms)
    }

    #[must_use]
    pub fn checks(&self) -> &Checks {
        &self.judge.checks
    }

    /// The schema a record names, with its subjects: the outer error is trouble, the inner one a verdict.
    async fn schema(
        &self,
        key: SchemaKey,
        need: Option<Need>,
    ) -> Result<Result<Arc<WriterSchema>, Rejection>, RegistryError> {
        let found = schema_of(&self.client, key, need).await?;
        if let Ok(schema) = &found
            && schema.event_type().is_some()
        {
            self.client.find_subjects(schema, &self.judge.topic, need).await?;
        }
        Ok(found)
    }
}

/// A schema against which nothing speaks, whatever is written with it.
#[derive(Clone, Debug)]
pub struct Cleared(Arc<WriterSchema>);

/// All of the contract that asks nobody: everything but finding the schema a record names.
pub struct Judge {
    checks: Checks,
    topic: String,
}

impl Judge {
    /// For the records on `topic`, by its full name.
    #[must_use]
    pub fn new(limits: Limits, topic: &str) -> Self {
        Self { checks: Checks::new(limits), topic: topic.to_owned() }
    }

    /// What a record calls its schema, and the Avro it holds.
    ///
    /// # Errors
    /// As a rejection of stage framing.
    pub fn unframed<'a>(&self, raw: Raw<'a>) -> Result<(SchemaKey, &'a [u8]), Rejection> {
        let value = raw.value.unwrap_or_default();
        let max = self.checks.limits().value_bytes_max;
        if value.len() > max {
            let detail = format!("the value has {} bytes, allowed are {max}", value.len());
            return Err(Rejection::new(Reason::Size, "", detail));
        }
        Ok(unframe_with(value, raw.schema_header)?)
    }

    /// The verdict on a record that was written with `schema`.
    #[must_use]
    pub fn verdict(&self, schema: &WriterSchema, content: &[u8], raw: Raw<'_>) -> Verdict {
        match self.event(schema, content, raw) {
            Ok(event) => Verdict::Accept(Box::new(event)),
            Err(rejection) => Verdict::Reject(rejection.with_schema(schema.key())),
        }
    }

    /// Whether nothing about a schema itself speaks against records that are written with it.
    fn clears(&self, schema: &WriterSchema) -> bool {
        schema.event_type().is_some()
            && schema.stands_under(&self.topic) == Some(true)
            && !schema.lacks_time_unit()
    }

    fn is_clean(&self, schema: &Cleared, content: &[u8], raw: Raw<'_>) -> bool {
        let Some(kind) = schema.0.event_type() else { return false };
        schema.0.quick_parts(content).is_some_and(|parts| {
            parts.is_whole(kind) && self.checks.is_clean(kind, &parts, raw.key, raw.timestamp_ms)
        })
    }

    fn event(
        &self,
        schema: &WriterSchema,
        content: &[u8],
        raw: Raw<'_>,
    ) -> Result<Event, Rejection> {
        let kind = schema.event_type().ok_or_else(|| foreign(schema, "an event type"))?;
        if let Some(rejection) = self.wrong_subject(schema) {
            return Err(rejection);
        }
        let event = match schema.quick_event(content) {
            Some(event) => event,
            None => event::read(kind, schema.decode(content)?)?,
        };
        let objection = self
            .without_unit(schema, &event, raw)
            .or_else(|| check_key(&Parts::of(&event), raw.key))
            .or_else(|| self.checks.first_objection(&event, raw.timestamp_ms));
        match objection {
            Some(rejection) => Err(rejection),
            None => Ok(event),
        }
    }

    /// A schema that is known, but not for this topic: whoever registered it did not mean its records to be here, and
    /// no check of compatibility was made against the schemas that are.
    fn wrong_subject(&self, schema: &WriterSchema) -> Option<Rejection> {
        if schema.stands_under(&self.topic).unwrap_or(true) {
            return None;
        }
        let subjects = schema.subjects().flatten().unwrap_or_default();
        let expected = subject_of(&self.topic, schema.full_name());
        let found = if subjects.is_empty() { "none".to_owned() } else { subjects.join(", ") };
        let detail = format!("the schema's subject must be {expected}, it is {found}");
        Some(Rejection::new(Reason::SubjectNotAllowed, "", detail))
    }

    /// A number whose unit the writer's schema does not declare, however plausible it is.
    fn without_unit(
        &self,
        schema: &WriterSchema,
        event: &Event,
        raw: Raw<'_>,
    ) -> Option<Rejection> {
        if !schema.lacks_time_unit() {
            return None;
        }
        Some(time::without_unit(event.event_time_ms, raw.timestamp_ms))
    }
}

#[cfg(test)]
mod tests;
