//! The contract: a raw record in, a verdict out.

use std::sync::Arc;

use upnext_common::event::Event;
use upnext_common::fault::Fault;

use crate::checks::{Checks, Limits, check_key};
use crate::client::{RegistryClient, RegistryError};
use crate::decoder::{foreign, schema_of};
use crate::framing::unframe;
use crate::records::event;
use crate::verdict::{Reason, Rejection, Verdict};
use crate::writer_schema::WriterSchema;

/// A record as it was read from a topic.
#[derive(Clone, Copy, Debug)]
pub struct Raw<'a> {
    pub key: Option<&'a [u8]>,
    pub value: Option<&'a [u8]>,
    /// The record's timestamp: the clock of its verdict.
    pub timestamp_ms: i64,
}

/// The registry could not say what a schema id means. Never a verdict: wait, and judge the record again.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("schema {schema_id} cannot be had: {cause}")]
pub struct Trouble {
    pub schema_id: u32,
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
}

impl Contract {
    #[must_use]
    pub fn new(client: Arc<RegistryClient>, limits: Limits) -> Self {
        Self { client, checks: Checks::new(limits) }
    }

    /// Framing → schema → decode → our reader schema → key → rules → time. Waits only for the registry, and only
    /// at the first sight of a schema id.
    ///
    /// # Errors
    /// When the registry is in trouble.
    pub async fn judge(&self, raw: Raw<'_>) -> Result<Verdict, Trouble> {
        let (schema_id, content) = match self.unframed(raw.value) {
            Ok(parts) => parts,
            Err(rejection) => return Ok(Verdict::Reject(rejection)),
        };
        let schema = schema_of(&self.client, schema_id)
            .await
            .map_err(|cause| Trouble { schema_id, cause })?;
        Ok(match schema.and_then(|schema| self.event(&schema, content, raw)) {
            Ok(event) => Verdict::Accept(Box::new(event)),
            Err(rejection) => Verdict::Reject(rejection.with_schema(schema_id)),
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

    fn unframed<'a>(&self, value: Option<&'a [u8]>) -> Result<(u32, &'a [u8]), Rejection> {
        let value = value.unwrap_or_default();
        let max = self.checks.limits().value_bytes_max;
        if value.len() > max {
            let detail = format!("the value has {} bytes, allowed are {max}", value.len());
            return Err(Rejection::new(Reason::Size, "", detail));
        }
        Ok(unframe(value)?)
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
