//! Daemon: valid events to state in Redis, each counted once, without transactions.
//!
//! State is a deterministic function of a log prefix, and every stored value carries its position. Two stages share
//! one worker: *users* turns valid events into user blobs and emits what they say about items as signals; *items*
//! turns signals into item blobs.
//!
//! A flush of a partition goes in one order: signals and dead letters acknowledged, then blobs ("store iff the position is greater"),
//! then the partition's watermark (compare-and-set) on the same connection. The order is the proof. A stored
//! watermark implies everything before it; a blob ahead of the watermark implies that its signals are durable, so an
//! event that comes again may be skipped whole; and the position each record carries from the hop before, kept in the
//! watermark, tells a repeat from news.
//!
//! An event that comes too late for its user's windows changes no state: it becomes a dead letter of reason `late`.
//!
//! Work resumes from the watermark in Redis, never from the Kafka commit, which exists for lag dashboards. Any error
//! of the store may mean that it lost writes: cached state is dropped, the watermark read again, the partition begun
//! anew there. A worker that was stopped and wakes up late finds its puts refused as not newer and its watermark
//! taken, and does no harm.

mod stage;
mod users;
mod late;
mod items;
mod outlet;
mod states;
mod worker;
mod partition;
mod layout;
mod anew;
mod weakened;
mod generation;
pub mod rebuild;
pub mod verify;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::task::JoinSet;
use tracing::{info, warn};
use upnext_common::clock::Clock;
use upnext_common::config::{self, Config};
use upnext_common::drain::Drain;
use upnext_common::fault::Fault;
use upnext_common::generation::Generation;
use upnext_common::metrics::Metrics;
use upnext_common::topic::Topic;
use upnext_contract::{Decoder, Encoder, RegistryClient, RegistryError};
use upnext_kafka::group::{GroupSettings, Reader, Start, StartOffsets};
use upnext_kafka::{KafkaError, admin};
use upnext_store::{Generations, Reader as StoreReader, StoreError};

use items::Items;
use late::Told;
use outlet::Outlet;
use stage::Stage;
use states::Budget;
use users::Users;
#[doc(hidden)]
pub use weakened::Weakened;

/// Wait between two attempts to reach the registry or the topics at start.
const START_RETRY: Duration = Duration::from_millis(500);
/// Longest time the last flushes may take once the daemon drains.
const DRAIN_LIMIT: Duration = Duration::from_secs(10);

/// Everything the daemon is built from.
#[derive(Clone, Debug)]
pub struct Features {
    pub config: Config,
    /// `host:port[,host:port]`.
    pub brokers: String,
    pub registry_url: String,
    /// `redis://host:port`.
    pub redis_url: String,
    pub metrics: Metrics,
    pub clock: Clock,
}

/// Why the daemon cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum FeaturesError {
    #[error(transparent)]
    Kafka(#[from] KafkaError),
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// State cannot be laid out as it is configured.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// There are more partitions than when the daemon started: who is where has changed.
    #[error("topic {topic} has a partition {partition}, but had {count} at the start")]
    Partitions { topic: String, partition: i32, count: i32 },
    #[error("a partition's task died")]
    Died,
}

impl FeaturesError {
    #[must_use]
    pub fn fault(&self) -> Fault {
        match self {
            Self::Kafka(cause) => cause.fault(),
            Self::Registry(cause) => cause.fault(),
            Self::Store(cause) => cause.fault(),
            Self::Partitions { .. } => Fault::CALLER,
            Self::Died => Fault::INTERNAL,
        }
    }
}

/// What was done by the time the daemon stopped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Drained {
    /// Events counted into user states and flushed.
    pub events: u64,
    /// Signals counted into item states and flushed.
    pub signals: u64,
}

/// What the partitions of one stage share.
pub(crate) struct Shared<S> {
    pub(crate) stage: S,
    pub(crate) config: Config,
    pub(crate) brokers: String,
    pub(crate) redis_url: String,
    pub(crate) metrics: Metrics,
    pub(crate) clock: Clock,
    /// What is read, and by which group.
    pub(crate) topic: String,
    pub(crate) group: String,
    pub(crate) weakened: Weakened,
    /// Partitions of valid events and of signals when the daemon started.
    pub(crate) partitions: (i32, i32),
    /// What the states of its partitions may take.
    pub(crate) budget: Arc<Budget>,
    /// Entries counted and flushed.
    pub(crate) counted: AtomicU64,
}

/// For which generation a worker works, and how.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Work {
    pub(crate) generation: Generation,
    pub(crate) weakened: Weakened,
    pub(crate) with_items: bool,
    /// Of a rebuild: the generation that serves meanwhile, and its key groups. What its daemons have told of, dead
    /// letters of late events, is not told again.
    pub(crate) beside: Option<(Generation, u32)>,
}

impl Features {
    /// Runs until drained: then what was applied is flushed.
    ///
    /// # Errors
    /// When settings are refused, or the registry refuses our own schemas. Trouble that can pass is waited for.
    pub async fn run(self, drain: Drain) -> Result<Drained, FeaturesError> {
        self.run_as(Weakened::None, true, drain).await
    }

    /// As [`Self::run`], without the items stage: what the users stage alone can do.
    ///
    /// # Errors
    /// As [`Self::run`].
    #[doc(hidden)]
    pub async fn run_users(self, drain: Drain) -> Result<Drained, FeaturesError> {
        self.run_as(Weakened::None, false, drain).await
    }

    /// Works, and doubts itself beside that where it is asked to.
    async fn run_as(
        self,
        weakened: Weakened,
        with_items: bool,
        drain: Drain,
    ) -> Result<Drained, FeaturesError> {
        tokio::select! {
            done = self.serve_generations((weakened, with_items), drain) => done,
            never = Box::pin(verify::background::run(&self)) => match never {},
        }
    }

    /// Works in the generation that serves, and goes over to the next one when that is taken into service.
    async fn serve_generations(
        &self,
        (weakened, with_items): (Weakened, bool),
        drain: Drain,
    ) -> Result<Drained, FeaturesError> {
        let generations = Generations::connect(&self.redis_url, &self.config.redis)?;
        let mut done = Drained::default();
        let worker = generation::worker_name(&self.clock);
        while let Some(serving) = generation::serving(&generations, &drain).await {
            let over = drain.child();
            let work = Work { generation: serving, weakened, with_items, beside: None };
            let mut running = std::pin::pin!(self.run_in(work, over.clone()));
            let more = tokio::select! {
                more = &mut running => more?,
                () = generation::is_left(&generations, serving, &worker) => {
                    over.start();
                    running.await?
                }
            };
            done.events += more.events;
            done.signals += more.signals;
            if drain.has_started() {
                break;
            }
        }
        Ok(done)
    }

    /// Works in one generation until drained.
    async fn run_in(&self, work: Work, drain: Drain) -> Result<Drained, FeaturesError> {
        let client =
            RegistryClient::new(&self.registry_url, &self.config.registry, self.clock.clone())?;
        let client = Arc::new(client);
        let prefix = self.config.kafka.topic_prefix.clone();
        let Some(encoder) = Encoder::register_patiently(&client, &prefix, &drain).await? else {
            return Ok(Drained::default());
        };
        let here = self.within(work.generation);
        let (valid, signals) = (Topic::Valid.name(&prefix), work.generation.signals(&prefix));
        let Some(of_valid) = partitions(&self.brokers, &valid, &drain).await else {
            return Ok(Drained::default());
        };
        let Some(of_signals) = partitions(&self.brokers, &signals, &drain).await else {
            return Ok(Drained::default());
        };
        let partitions = (of_valid, of_signals);
        if !layout::agreed(&here, partitions, &drain).await? {
            return Ok(Drained::default());
        }
        let outlet = Outlet::new(&self.brokers, signals.clone(), of_signals, encoder)?;
        let dead_letters = Topic::DeadLetters.name(&prefix);
        let told = work.beside.map(|beside| self.told(beside)).transpose()?;
        let users = Users { decoder: Decoder::new(client), outlet, dead_letters, told };
        let users = here.shared(users, work, (valid, partitions));
        let items = here.shared(Items, work, (signals, partitions));
        let reads_items =
            async { if work.with_items { here.read(&items, &drain).await } else { Ok(()) } };
        tokio::try_join!(here.read(&users, &drain), reads_items)?;
        Ok(Drained {
            events: users.counted.load(Ordering::Acquire),
            signals: items.counted.load(Ordering::Acquire),
        })
    }

    /// What the daemons of another generation have told of, laid out in so many key groups.
    fn told(&self, (generation, key_groups): (Generation, u32)) -> Result<Told, StoreError> {
        let redis = generation::redis_of(&self.config.redis, generation);
        let redis = config::Redis { key_groups, ..redis };
        Ok(Told::new(StoreReader::connect(&self.redis_url, &redis, self.clock.clone())?))
    }

    /// The same daemon with the keys of a generation.
    fn within(&self, generation: Generation) -> Self {
        let mut within = self.clone();
        within.config.redis = generation::redis_of(&self.config.redis, generation);
        within
    }

    fn shared<S: Stage>(
        &self,
        stage: S,
        work: Work,
        (topic, partitions): (String, (i32, i32)),
    ) -> Arc<Shared<S>> {
        let group = format!("{}-{}", self.config.features.group, S::STAGE.name());
        Arc::new(Shared {
            stage,
            group: work.generation.group(&group),
            config: self.config.clone(),
            brokers: self.brokers.clone(),
            redis_url: self.redis_url.clone(),
            metrics: self.metrics.clone(),
            clock: self.clock.clone(),
            weakened: work.weakened,
            topic,
            partitions,
            budget: Arc::new(Budget::new(self.config.features.cached_bytes_max / 2)),
            counted: AtomicU64::new(0),
        })
    }

    /// One task per assignment until drained; then waits for each to flush what it holds.
    async fn read<S: Stage>(
        &self,
        shared: &Arc<Shared<S>>,
        drain: &Drain,
    ) -> Result<(), FeaturesError> {
        let topic = shared.topic.clone();
        let count = match S::STAGE {
            upnext_store::Stage::Users => shared.partitions.0,
            upnext_store::Stage::Items => shared.partitions.1,
        };
        let mut settings = GroupSettings::new(&shared.group, &topic);
        settings.queue_max = self.config.features.partition_queue_max;
        let rebalances = &self.metrics.state.rebalances;
        settings.rebalances = rebalances.get_or_create_owned(&worker::labels::<S>());
        // The reader outlives the drain signal, so that the last commits still go out.
        let mut reader = Reader::start(&self.brokers, settings, Arc::new(Guess), Drain::new())?;
        info!(%topic, "features reads");
        let mut partitions = JoinSet::new();
        loop {
            tokio::select! {
                () = drain.started() => break,
                Some(ended) = partitions.join_next() => ended.map_err(|_| FeaturesError::Died)?,
                assignment = reader.next() => {
                    let Some(assignment) = assignment else { break };
                    layout::known(&topic, assignment.partition, count)?;
                    let (shared, drain) = (Arc::clone(shared), drain.clone());
                    partitions.spawn(partition::run(assignment, shared, drain));
                }
            }
        }
        let finished = async { while partitions.join_next().await.is_some() {} };
        if tokio::time::timeout(DRAIN_LIMIT, finished).await.is_err() {
            warn!(
                stage = S::STAGE.name(),
                "not everything was flushed, the log will tell it again"
            );
        }
        Ok(reader.close().await?)
    }
}

/// Starts where the commit says, merely to begin near the right place: every assignment asks Redis where it really
/// has to start, and is repositioned if that is elsewhere.
struct Guess;

impl StartOffsets for Guess {
    fn start(&self, _partition: i32, committed: Option<i64>) -> Result<Start, String> {
        Ok(Start::Offset(committed.unwrap_or(0)))
    }
}

/// How many partitions the topic has, waiting for it to exist. `None` when drained meanwhile.
async fn partitions(brokers: &str, topic: &str, drain: &Drain) -> Option<i32> {
    let mut has_complained = false;
    loop {
        match admin::partition_count(brokers, topic).await {
            Ok(count) => return Some(count),
            Err(cause) if !has_complained => {
                warn!(%cause, "topic cannot be asked about yet, will retry");
                has_complained = true;
            }
            Err(_) => {}
        }
        if !paused(drain).await {
            return None;
        }
    }
}

/// Waits before the next attempt; false when drained meanwhile.
pub(crate) async fn paused(drain: &Drain) -> bool {
    tokio::select! {
        () = drain.started() => false,
        () = tokio::time::sleep(START_RETRY) => true,
    }
}
