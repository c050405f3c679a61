//! Daemon: raw events to verdicts.
//!
//! Each partition of the raw topic is one task. It judges records in order, sends each to the valid topic or to the
//! dead letters in the same order, and commits only up to where every outcome is acknowledged: *commit after effect*.
//! A crash therefore repeats records and loses none; a repeat carries the same source position in its headers, and
//! whoever counts, counts positions once.
//!
//! Trouble is never a verdict. While the registry cannot say what a schema id means, the partition waits and asks
//! again; the others flow on. When a record cannot be delivered, the partition starts again at its last
//! acknowledged position. When nearly all of a partition is rejected, it is held (`rejects`): the upstream is broken,
//! and the dead letters are not its archive.
//!
//! Reading order: `partition` (the loop), `epoch` (which log it is), `judging` with `marks` and `rehearsal` (the verdict), `flight` with `outcome`,
//! `limits` and `outlet` (the way out), `rejects` and `watch` (what operators see), `in_hand` (what survives a crash).
//!
//! Ingest keeps no state of the log: what it writes to its data directory are known schemas, and which records were in
//! hand when it died.

mod outcome;
mod partition;
mod outlet;
mod judging;
mod marks;
mod epoch;
mod flight;
mod limits;
mod rejects;
mod watch;
mod in_hand;
pub mod rehearsal;
mod fuse;
mod weakened;
pub mod dlq;
pub mod admin;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::task::{JoinError, JoinSet};
use tracing::{error, info};
use upnext_common::clock::Clock;
use upnext_common::config::Config;
use upnext_common::drain::Drain;
use upnext_common::fault::Fault;
use upnext_common::metrics::Metrics;
use upnext_common::topic::Topic;
use upnext_contract::{Contract, Encoder, Limits, RegistryClient, RegistryError};
use upnext_http::Health;
use upnext_kafka::KafkaError;
use upnext_kafka::group::{FromCommit, GroupSettings, Reader};

use in_hand::InHand;
use marks::Marks;
use outcome::Stamp;
use outlet::Outlet;
use watch::Watch;
pub use weakened::Weakened;

/// Everything the daemon is built from.
#[derive(Clone, Debug)]
pub struct Ingest {
    pub config: Config,
    /// `host:port[,host:port]`.
    pub brokers: String,
    pub registry_url: String,
    pub metrics: Metrics,
    pub health: Health,
    pub clock: Clock,
    /// The program that decodes, under [`rehearsal::VERB`], what may have killed this process; `None`: it is decoded
    /// here again.
    pub decoder: Option<PathBuf>,
}

/// Why the daemon cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum IngestError {
    #[error(transparent)]
    Kafka(#[from] KafkaError),
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// A mistake of ours. What it had in hand is noted, and tried apart at the next start.
    #[error("a partition's task died")]
    Died,
}

impl IngestError {
    #[must_use]
    pub fn fault(&self) -> Fault {
        match self {
            Self::Kafka(cause) => cause.fault(),
            Self::Registry(cause) => cause.fault(),
            Self::Died => Fault::INTERNAL,
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
    pub(crate) brokers: String,
    /// What is read.
    pub(crate) topic: String,
    pub(crate) client: Arc<RegistryClient>,
    pub(crate) marks: Marks,
    pub(crate) limits: limits::Limits,
    pub(crate) watch: Watch,
    pub(crate) in_hand: InHand,
    pub(crate) decoder: Option<PathBuf>,
    /// Nothing but the negative controls of the chaos harness.
    pub(crate) weakened: Weakened,
    pub(crate) contract: Contract,
    pub(crate) outlet: Outlet,
    pub(crate) stamp: Stamp,
    pub(crate) config: Config,
    pub(crate) metrics: Metrics,
    pub(crate) clock: Clock,
    pub(crate) accepted: AtomicU64,
    pub(crate) rejected: AtomicU64,
}

impl Shared {
    pub(crate) fn commit_wait(&self) -> Duration {
        Duration::from_millis(self.config.ingest.batch_wait_ms.max(1))
    }
}

impl Ingest {
    /// Runs until drained: then everything judged is delivered and committed.
    ///
    /// # Errors
    /// When the settings are refused, or the registry refuses our own schemas. Trouble that can pass is waited for.
    pub async fn run(self, drain: Drain) -> Result<Drained, IngestError> {
        self.run_as(Weakened::None, drain).await
    }

    async fn run_as(self, weakened: Weakened, drain: Drain) -> Result<Drained, IngestError> {
        let client =
            RegistryClient::new(&self.registry_url, &self.config.registry, self.clock.clone())?;
        let client = Arc::new(client.with_files(&self.config.data_dir));
        let prefix = &self.config.kafka.topic_prefix;
        let Some(encoder) = Encoder::register_patiently(&client, prefix, &drain).await? else {
            return Ok(Drained::default());
        };
        let topic = Topic::Events.name(prefix);
        let brokers = self.brokers.clone();
        let mut settings = GroupSettings::new(&self.config.ingest.group, &topic);
        settings.queue_max = self.config.ingest.partition_queue_max;
        settings.queue_bytes_max = self.config.ingest.partition_queue_bytes_max;
        settings.instance_id = self.config.ingest.instance_id.clone();
        let shared = Arc::new(self.shared(client, encoder, &topic, weakened)?);
        shared.limits.ask_in_time().await;
        shared.outlet.fit(shared.limits.batch());
        // The reader outlives the drain signal, so that the last commits still go out.
        let reader = Reader::start(&brokers, settings, Arc::new(FromCommit), Drain::new())?;
        info!(%topic, "ingest reads");
        let aside = async {
            tokio::join!(shared.limits.keep(&shared.outlet, &drain), shared.watch.keep(&drain));
        };
        let reading = read(reader, &shared, &drain);
        tokio::pin!(reading);
        tokio::select! {
            done = &mut reading => done?,
            () = aside => reading.await?,
        }
        Ok(Drained {
            accepted: shared.accepted.load(Ordering::Acquire),
            rejected: shared.rejected.load(Ordering::Acquire),
        })
    }

    fn shared(
        self,
        client: Arc<RegistryClient>,
        encoder: Encoder,
        topic: &str,
        weakened: Weakened,
    ) -> Result<Shared, KafkaError> {
        let ingest = &self.config.ingest;
        let watch = Watch::new(
            self.clock.clone(),
            self.metrics.clone(),
            self.health,
            ingest.reject_alarm_share,
        );
        Ok(Shared {
            contract: Contract::new(Arc::clone(&client), Limits::from(ingest), topic)
                .counting(&self.metrics),
            client,
            brokers: self.brokers.clone(),
            topic: topic.to_owned(),
            outlet: Outlet::new(&self.brokers, weakened.linger_ms())?,
            stamp: Stamp::new(&self.config.kafka.topic_prefix, encoder),
            marks: Marks::new(&self.brokers, topic, self.clock.clone()),
            limits: limits::Limits::new(&self.brokers, &self.config.kafka.topic_prefix),
            in_hand: InHand::open(&self.config.data_dir, topic, &ingest.group),
            watch,
            decoder: self.decoder,
            weakened,
            metrics: self.metrics,
            clock: self.clock,
            config: self.config,
            accepted: AtomicU64::new(0),
            rejected: AtomicU64::new(0),
        })
    }
}

/// One task per assignment until drained; then waits for each to finish what it holds.
async fn read(mut reader: Reader, shared: &Arc<Shared>, drain: &Drain) -> Result<(), IngestError> {
    let mut partitions = JoinSet::new();
    loop {
        tokio::select! {
            () = drain.started() => break,
            Some(ended) = partitions.join_next() => ended.map_err(died)?,
            assignment = reader.next() => {
                let Some(assignment) = assignment else { break };
                let (shared, drain) = (Arc::clone(shared), drain.clone());
                partitions.spawn(partition::run(assignment, shared, drain));
            }
        }
    }
    while let Some(ended) = partitions.join_next().await {
        ended.map_err(died)?;
    }
    Ok(reader.close().await?)
}

/// Nobody else would begin its partition again.
fn died(cause: JoinError) -> IngestError {
    error!(%cause, "a partition's task died, the daemon ends");
    IngestError::Died
}
