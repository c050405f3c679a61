//! Daemon: raw events to verdicts.
//!
//! Each partition of the raw topic is one task. It judges records in order, sends each to the valid topic or to the
//! dead letters in the same order, and commits only up to where every outcome is acknowledged: *commit after effect*.
//! A crash therefore repeats records and loses none; a repeat carries the same source position in its headers, and
//! whoever counts, counts positions once.
//!
//! Trouble is never a verdict. While the registry cannot say what a schema id means, the partition waits and asks
//! again; the others flow on. When a record cannot be delivered, the partition starts again at its last
//! acknowledged position.
//!
//! Ingest keeps no state.

mod outcome;
mod partition;
mod outlet;
pub mod dlq;
pub mod admin;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::task::JoinSet;
use tracing::{info, warn};
use upnext_common::clock::Clock;
use upnext_common::config::Config;
use upnext_common::drain::Drain;
use upnext_common::fault::Fault;
use upnext_common::metrics::Metrics;
use upnext_common::topic::Topic;
use upnext_contract::{Contract, Encoder, Limits, RegistryClient, RegistryError};
use upnext_kafka::KafkaError;
use upnext_kafka::group::{Assignment, FromCommit, GroupSettings, Reader};

use outcome::Stamp;
use outlet::Outlet;

/// Wait between two attempts to reach the registry at start.
const REGISTER_RETRY: Duration = Duration::from_millis(500);

/// Everything the daemon is built from.
#[derive(Clone, Debug)]
pub struct Ingest {
    pub config: Config,
    /// `host:port[,host:port]`.
    pub brokers: String,
    pub registry_url: String,
    pub metrics: Metrics,
    pub clock: Clock,
}

/// Why the daemon cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum IngestError {
    #[error(transparent)]
    Kafka(#[from] KafkaError),
    #[error(transparent)]
    Registry(#[from] RegistryError),
}

impl IngestError {
    #[must_use]
    pub fn fault(&self) -> Fault {
        match self {
            Self::Kafka(cause) => cause.fault(),
            Self::Registry(cause) => cause.fault(),
        }
    }
}

/// What was done by the time the daemon stopped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Drained {
    /// Records acknowledged in the valid topic.
    pub accepted: u64,
    /// Records acknowledged in the dead letters.
    pub rejected: u64,
}

/// What the partitions share.
pub(crate) struct Shared {
    pub(crate) contract: Contract,
    pub(crate) outlet: Outlet,
    pub(crate) stamp: Stamp,
    pub(crate) config: Config,
    pub(crate) metrics: Metrics,
    pub(crate) clock: Clock,
    pub(crate) accepted: AtomicU64,
    pub(crate) rejected: AtomicU64,
}

impl Ingest {
    /// Runs until drained: then everything judged is delivered and committed.
    ///
    /// # Errors
    /// When the settings are refused, or the registry refuses our own schemas. Trouble that can pass is waited for.
    pub async fn run(self, drain: Drain) -> Result<Drained, IngestError> {
        let client =
            RegistryClient::new(&self.registry_url, &self.config.registry, self.clock.clone())?;
        let client = Arc::new(client);
        let prefix = &self.config.kafka.topic_prefix;
        let Some(encoder) = register(&client, prefix, &drain).await? else {
            return Ok(Drained::default());
        };
        let topic = Topic::Events.name(prefix);
        let mut settings = GroupSettings::new(&self.config.ingest.group, &topic);
        settings.queue_max = self.config.ingest.partition_queue_max;
        let shared = Arc::new(Shared {
            contract: Contract::new(client, Limits::from(&self.config.ingest), &topic)
                .counting(&self.metrics),
            outlet: Outlet::new(&self.brokers)?,
            stamp: Stamp::new(prefix, encoder),
            metrics: self.metrics,
            clock: self.clock,
            config: self.config,
            accepted: AtomicU64::new(0),
            rejected: AtomicU64::new(0),
        });
        // The reader outlives the drain signal, so that the last commits still go out.
        let reader = Reader::start(&self.brokers, settings, Arc::new(FromCommit), Drain::new())?;
        info!(%topic, "ingest reads");
        read(reader, &shared, &drain).await?;
        Ok(Drained {
            accepted: shared.accepted.load(Ordering::Acquire),
            rejected: shared.rejected.load(Ordering::Acquire),
        })
    }
}

/// One task per assignment until drained; then waits for each to finish what it holds.
async fn read(mut reader: Reader, shared: &Arc<Shared>, drain: &Drain) -> Result<(), IngestError> {
    let mut partitions = JoinSet::new();
    while let Some(assignment) = next(&mut reader, drain).await {
        let (shared, drain) = (Arc::clone(shared), drain.clone());
        partitions.spawn(partition::run(assignment, shared, drain));
        while partitions.try_join_next().is_some() {}
    }
    while partitions.join_next().await.is_some() {}
    Ok(reader.close().await?)
}

async fn next(reader: &mut Reader, drain: &Drain) -> Option<Assignment> {
    tokio::select! {
        () = drain.started() => None,
        assignment = reader.next() => assignment,
    }
}

/// Registers our schemas, waiting for a registry that is away. `None` when drained meanwhile.
async fn register(
    client: &RegistryClient,
    prefix: &str,
    drain: &Drain,
) -> Result<Option<Encoder>, IngestError> {
    let mut has_complained = false;
    loop {
        match Encoder::register_all(client, prefix).await {
            Ok(encoder) => return Ok(Some(encoder)),
            Err(cause) if cause.fault().may_retry() => {
                if !has_complained {
                    warn!(%cause, "schemas cannot be registered yet, will retry");
                    has_complained = true;
                }
            }
            Err(cause) => return Err(cause.into()),
        }
        tokio::select! {
            () = drain.started() => return Ok(None),
            () = tokio::time::sleep(REGISTER_RETRY) => {}
        }
    }
}
