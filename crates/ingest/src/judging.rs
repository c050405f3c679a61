//! The verdict on one record, however long the registry takes, and in a child first where it may kill.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tracing::{error, info, warn};
use upnext_common::event::EventType;
use upnext_contract::framing::unframe_with;
use upnext_contract::{
    Cleared, Need, Raw, Reason, RegistryError, Rejection, SCHEMA_HEADER, SchemaSource, Verdict,
    unframe,
};
use upnext_kafka::{KafkaError, Record};

use crate::flight::Flight;
use crate::in_hand::Suspects;
use crate::partition::Stop;
use crate::rehearsal::{Outcome, Rehearsal, Trial};
use crate::{Shared, fuse};

/// Waits between two looks at a record whose schema the registry could not give.
const TROUBLE_WAIT_MIN: Duration = Duration::from_millis(100);
const TROUBLE_WAIT_MAX: Duration = Duration::from_secs(1);
/// A dead letter that was put back carries it.
const ATTEMPT_HEADER: &str = "upnext.dlq.attempt";

/// One partition's judge.
pub(crate) struct Judge {
    suspects: Suspects,
    rehearsal: Option<Rehearsal>,
    /// Our own schemas as far as records have named them, by event type.
    ours: [Option<Cleared>; EventType::ALL.len()],
    shared: Arc<Shared>,
}

impl Judge {
    pub(crate) fn new(suspects: Suspects, shared: Arc<Shared>) -> Self {
        let rehearsal = shared.decoder.as_deref().map(Rehearsal::new);
        Self { suspects, rehearsal, ours: Default::default(), shared }
    }

    /// Whether the record goes on as it came: nearly all do, and need neither waiting nor an event made of them.
    /// `false` leaves it to [`Self::verdict`].
    pub(crate) fn is_clean(&mut self, record: &Record) -> bool {
        if self.suspects.holds(record.offset) {
            return false;
        }
        let raw = raw(record);
        let (Some(Ok((id, _))), None) = (raw.value.map(unframe), raw.schema_header) else {
            return false;
        };
        let Some(kind) = self.shared.stamp.event_type_of(id) else { return false };
        let ours = &mut self.ours[usize::from(kind.code())];
        if ours.is_none() {
            *ours = self.shared.contract.cleared(id.into());
        }
        fuse::burn(raw.value);
        ours.as_ref().is_some_and(|schema| self.shared.contract.is_clean(schema, raw))
    }

    /// The verdict on a record that was read at `since`, waiting for the registry as long as it takes; what is under
    /// way lands meanwhile. `None` when stopped.
    ///
    /// # Errors
    /// When something under way could not be delivered.
    pub(crate) async fn verdict(
        &mut self,
        record: &Record,
        since: Instant,
        flight: &mut Flight,
        stop: &Stop,
    ) -> Result<Option<Verdict>, KafkaError> {
        let is_redriven = record.headers.iter().any(|(name, _)| name == ATTEMPT_HEADER);
        let mut need = Need { since, is_redriven };
        let mut wait = TROUBLE_WAIT_MIN;
        loop {
            let trouble = match self.attempt(record, need).await {
                Ok(verdict) => {
                    if wait > TROUBLE_WAIT_MIN {
                        info!(partition = record.partition, "partition goes on");
                    }
                    return Ok(Some(verdict));
                }
                Err(trouble) => trouble,
            };
            if trouble.cause == RegistryError::NotYetKnown {
                // Asks a broker that may be away, in turn with the other partitions.
                let is_older = tokio::select! {
                    biased;
                    () = stop.started() => return Ok(None),
                    is_older = self.learn_age(record, &mut need) => is_older,
                };
                if is_older {
                    continue;
                }
            }
            if wait == TROUBLE_WAIT_MIN {
                warn!(partition = record.partition, offset = record.offset, %trouble, "partition waits");
            }
            if !pause(wait, flight, stop).await? {
                return Ok(None);
            }
            wait = (wait * 2).min(TROUBLE_WAIT_MAX);
        }
    }

    /// Whether the record turns out to have been there for longer than was known.
    async fn learn_age(&self, record: &Record, need: &mut Need) -> bool {
        let since: Option<Instant> = self.shared.marks.since(record.partition, record.offset).await;
        match since {
            Some(since) if since < need.since => {
                need.since = since;
                true
            }
            Some(_) | None => false,
        }
    }

    async fn attempt(
        &mut self,
        record: &Record,
        need: Need,
    ) -> Result<Verdict, upnext_contract::Trouble> {
        if self.suspects.holds(record.offset)
            && let Some(verdict) = self.rehearse(record, need).await
        {
            return Ok(verdict);
        }
        fuse::burn(record.value.as_deref());
        self.shared.contract.judge_for(raw(record), Some(need)).await
    }

    /// The verdict on a record that killed the child; `None` when it may be judged here.
    async fn rehearse(&mut self, record: &Record, need: Need) -> Option<Verdict> {
        let schema = self.schema(record, need).await;
        let rehearsal = self.rehearsal.as_mut()?;
        let raw = raw(record);
        let owned = |bytes: Option<&[u8]>| bytes.map(<[u8]>::to_vec);
        let trial = Trial {
            key: owned(raw.key),
            value: owned(raw.value),
            schema_header: owned(raw.schema_header),
            timestamp_ms: raw.timestamp_ms,
            schema: schema.map(|source| (source.text, source.references)),
        };
        match rehearsal.attempt(&trial).await {
            Outcome::Survived => None,
            Outcome::Died(how) => {
                error!(
                    partition = record.partition,
                    offset = record.offset,
                    how,
                    "this record kills whoever decodes it"
                );
                Some(Verdict::Reject(Rejection::new(Reason::ProcessAbort, "", how)))
            }
            Outcome::NoChild(cause) => {
                warn!(partition = record.partition, cause, "no child to try records in");
                None
            }
        }
    }

    /// The schema a record names, where it can be had. Where it cannot, the usual way says why.
    async fn schema(&self, record: &Record, need: Need) -> Option<SchemaSource> {
        let raw = raw(record);
        let (key, _) = unframe_with(raw.value.unwrap_or_default(), raw.schema_header).ok()?;
        self.shared.client.source(key, need).await.ok()
    }
}

fn raw(record: &Record) -> Raw<'_> {
    Raw {
        key: record.key.as_deref(),
        value: record.value.as_deref(),
        schema_header: record.header(SCHEMA_HEADER),
        timestamp_ms: record.timestamp_ms,
    }
}

/// Waits, while what is under way lands and is committed. Whether to go on.
async fn pause(wait: Duration, flight: &mut Flight, stop: &Stop) -> Result<bool, KafkaError> {
    let until = tokio::time::Instant::now() + wait;
    loop {
        tokio::select! {
            () = stop.started() => return Ok(false),
            () = tokio::time::sleep_until(until) => break,
            landed = flight.landed(), if !flight.is_empty() => landed?,
        }
    }
    flight.commit();
    Ok(true)
}
