//! Framed values of our own topics back to records.

use std::sync::Arc;

use apache_avro::types::Value;
use upnext_common::decision::Decision;
use upnext_common::event::Event;
use upnext_common::fault::Fault;
use upnext_common::item::Item;

use crate::client::{Lookup, Need, RegistryClient, RegistryError};
use crate::framing::{SchemaKey, unframe};
use crate::records::artifact::ArtifactAnnounced;
use crate::records::{artifact, decision, event, item};
use crate::schemas;
use crate::verdict::{Reason, Rejection};
use crate::writer_schema::WriterSchema;

/// A value that was not read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    #[error("value refused: {0}")]
    Refused(Box<Rejection>),
    #[error("schema {schema_id} cannot be had: {cause}")]
    Trouble { schema_id: u32, cause: RegistryError },
}

impl DecodeError {
    #[must_use]
    pub fn fault(&self) -> Fault {
        match self {
            Self::Refused(_) => Fault::CALLER,
            Self::Trouble { .. } => Fault::UPSTREAM,
        }
    }
}

impl From<Rejection> for DecodeError {
    fn from(rejection: Rejection) -> Self {
        Self::Refused(Box::new(rejection))
    }
}

/// Reads our own topics. Unlike the contract it asks only whether a value can be read, not whether it is wanted.
#[derive(Clone)]
pub struct Decoder {
    client: Arc<RegistryClient>,
}

impl Decoder {
    #[must_use]
    pub fn new(client: Arc<RegistryClient>) -> Self {
        Self { client }
    }

    /// # Errors
    /// Refused values never change; trouble is worth a retry. The same for all the others.
    pub async fn event(&self, value: &[u8]) -> Result<Event, DecodeError> {
        let (schema, content) = self.schema(value).await?;
        let Some(kind) = schema.event_type() else {
            return Err(foreign(&schema, "an event type").into());
        };
        match schema.quick_event(content) {
            Some(event) => Ok(event),
            None => Ok(event::read(kind, schema.decode(content)?)?),
        }
    }

    /// # Errors
    /// As [`Self::event`].
    pub async fn item(&self, value: &[u8]) -> Result<Item, DecodeError> {
        Ok(item::read(self.decode_as(value, schemas::ITEM.full_name).await?)?)
    }

    /// # Errors
    /// As [`Self::event`].
    pub async fn decision(&self, value: &[u8]) -> Result<Decision, DecodeError> {
        Ok(decision::read(self.decode_as(value, schemas::DECISION.full_name).await?)?)
    }

    /// # Errors
    /// As [`Self::event`].
    pub async fn artifact(&self, value: &[u8]) -> Result<ArtifactAnnounced, DecodeError> {
        Ok(artifact::read(self.decode_as(value, schemas::ARTIFACT.full_name).await?)?)
    }

    async fn decode_as(&self, value: &[u8], full_name: &str) -> Result<Value, DecodeError> {
        let (schema, decoded) = self.decode(value).await?;
        if schema.full_name() == full_name {
            Ok(decoded)
        } else {
            Err(foreign(&schema, full_name).into())
        }
    }

    async fn decode(&self, value: &[u8]) -> Result<(Arc<WriterSchema>, Value), DecodeError> {
        let (schema, content) = self.schema(value).await?;
        let decoded = schema.decode(content)?;
        Ok((schema, decoded))
    }

    /// What a value was written with, and what follows its frame.
    async fn schema<'a>(
        &self,
        value: &'a [u8],
    ) -> Result<(Arc<WriterSchema>, &'a [u8]), DecodeError> {
        let (schema_id, content) = unframe(value).map_err(Rejection::from)?;
        let schema = schema_of(&self.client, schema_id.into(), None)
            .await
            .map_err(|cause| DecodeError::Trouble { schema_id, cause })??;
        Ok((schema, content))
    }
}

/// The writer's schema, or why there is none: the outer error is trouble, the inner one a verdict.
pub(crate) async fn schema_of(
    client: &RegistryClient,
    key: SchemaKey,
    need: Option<Need>,
) -> Result<Result<Arc<WriterSchema>, Rejection>, RegistryError> {
    let rejection = match client.found(key, need).await {
        Ok(schema) => return Ok(Ok(schema)),
        Err(Lookup::Trouble(cause)) => return Err(cause),
        Err(Lookup::Unknown) => {
            let detail = format!("the registry has no schema {key}");
            Rejection::new(Reason::UnknownSchemaId, "", detail)
        }
        Err(Lookup::Flawed(flaw)) => Rejection::new(flaw.reason(), "", flaw.to_string()),
    };
    Ok(Err(rejection.with_schema(key)))
}

pub(crate) fn foreign(schema: &WriterSchema, expected: &str) -> Rejection {
    let detail = format!("`{}` is not {expected}", schema.full_name());
    Rejection::new(Reason::SubjectNotAllowed, "", detail).with_schema(schema.key())
}
