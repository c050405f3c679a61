//! Our own records to framed values, under the ids that the registry gave our schemas.

use std::collections::HashMap;
use std::time::Duration;

use bytes::Bytes;
use tracing::warn;
use upnext_common::decision::Decision;
use upnext_common::drain::Drain;
use upnext_common::event::{Event, EventType};
use upnext_common::item::Item;

use crate::client::{RegistryClient, RegistryError};
use crate::framing;
use crate::records::artifact::ArtifactAnnounced;
use crate::records::{artifact, decision, event, item};
use crate::schemas;
use crate::wire::Out;

/// Largest value that is written; brokers and readers refuse larger ones.
pub const VALUE_BYTES_MAX: usize = 1_000_000;

/// Wait between two attempts to register at a registry that is away.
const REGISTER_RETRY: Duration = Duration::from_millis(500);

/// A record that cannot be written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EncodeError {
    #[error("the value has {bytes} bytes, more than {VALUE_BYTES_MAX}")]
    TooLarge { bytes: usize },
}

/// Writes our records. Made once, shared, never asks the registry again.
#[derive(Clone, Debug)]
pub struct Encoder {
    events: [u32; EventType::ALL.len()],
    item: u32,
    decision: u32,
    artifact: u32,
    signals: u32,
}

impl Encoder {
    /// Registers every schema of ours under its subjects and remembers the ids. Idempotent.
    ///
    /// # Errors
    /// When the registry refuses or does not answer.
    pub async fn register_all(
        client: &RegistryClient,
        topic_prefix: &str,
    ) -> Result<Self, RegistryError> {
        let mut ids = HashMap::new();
        for (topic, schema) in schemas::all() {
            let subject = schemas::subject_of(&topic.name(topic_prefix), schema.full_name);
            let id = client.register(&subject, schema.text).await?;
            ids.insert(schema.full_name, id);
        }
        Ok(Self::with_ids(|full_name| ids.get(full_name).copied().unwrap_or_default()))
    }

    /// As [`Self::register_all`], waiting for a registry that is away. `None` when drained meanwhile.
    ///
    /// # Errors
    /// When the registry refuses.
    pub async fn register_patiently(
        client: &RegistryClient,
        topic_prefix: &str,
        drain: &Drain,
    ) -> Result<Option<Self>, RegistryError> {
        let mut has_complained = false;
        loop {
            let cause = match Self::register_all(client, topic_prefix).await {
                Ok(encoder) => return Ok(Some(encoder)),
                Err(cause) if cause.fault().may_retry() => cause,
                Err(cause) => return Err(cause),
            };
            if !std::mem::replace(&mut has_complained, true) {
                warn!(%cause, "schemas cannot be registered yet, will retry");
            }
            tokio::select! {
                () = drain.started() => return Ok(None),
                () = tokio::time::sleep(REGISTER_RETRY) => {}
            }
        }
    }

    /// An encoder under given ids, for tests and for reading back what was written elsewhere.
    #[must_use]
    pub fn with_ids(id_of: impl Fn(&str) -> u32) -> Self {
        Self {
            events: EventType::ALL.map(|kind| id_of(schemas::of_event(kind).full_name)),
            item: id_of(schemas::ITEM.full_name),
            decision: id_of(schemas::DECISION.full_name),
            artifact: id_of(schemas::ARTIFACT.full_name),
            signals: id_of(schemas::SIGNALS.full_name),
        }
    }

    /// The schema id under which events of a type are written.
    #[must_use]
    pub fn event_schema_id(&self, kind: EventType) -> u32 {
        self.events[usize::from(kind.code())]
    }

    /// The event type whose values are written under this id.
    #[must_use]
    pub fn event_type_of(&self, schema_id: u32) -> Option<EventType> {
        EventType::ALL.into_iter().find(|kind| self.event_schema_id(*kind) == schema_id)
    }

    /// Whether a framed value already stands under our schema of this type.
    #[must_use]
    pub fn is_ours(&self, value: &[u8], kind: EventType) -> bool {
        framing::unframe(value).is_ok_and(|(id, _)| id == self.event_schema_id(kind))
    }

    /// # Errors
    /// When the value is too large.
    pub fn event(&self, event: &Event) -> Result<Bytes, EncodeError> {
        let mut out = Out::framed(self.event_schema_id(event.event_type()));
        event::write(event, &mut out);
        bounded(out.finish())
    }

    /// # Errors
    /// When the value is too large.
    pub fn item(&self, item: &Item) -> Result<Bytes, EncodeError> {
        let mut out = Out::framed(self.item);
        item::write(item, &mut out);
        bounded(out.finish())
    }

    /// # Errors
    /// When the value is too large.
    pub fn decision(&self, decision: &Decision) -> Result<Bytes, EncodeError> {
        let mut out = Out::framed(self.decision);
        decision::write(decision, &mut out);
        bounded(out.finish())
    }

    /// # Errors
    /// When the value is too large.
    pub fn artifact(&self, artifact: &ArtifactAnnounced) -> Result<Bytes, EncodeError> {
        let mut out = Out::framed(self.artifact);
        artifact::write(artifact, &mut out);
        bounded(out.finish())
    }

    /// Frames a batch of signals; state wrote its Avro bytes.
    ///
    /// # Errors
    /// When the value is too large.
    pub fn signals(&self, payload: &[u8]) -> Result<Bytes, EncodeError> {
        bounded(framing::frame(self.signals, payload))
    }
}

fn bounded(value: Bytes) -> Result<Bytes, EncodeError> {
    if value.len() > VALUE_BYTES_MAX {
        Err(EncodeError::TooLarge { bytes: value.len() })
    } else {
        Ok(value)
    }
}
