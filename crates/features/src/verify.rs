//! The one oracle: what the logs say, recomputed, against what stands in the store, byte for byte.
//!
//! Right while the system is live, and with memory for one partition's states at a time: `side` tells how. The pure
//! part (`replay`) shares nothing with the worker but the state crate and the reading of records. Beside the states,
//! a full comparison holds the log of signals against the events: every signal once, none else.

mod sample;
mod kind;
mod held;
mod ledger;
mod replay;
mod report;
mod sources;
mod side;
pub(crate) mod background;

use std::sync::Arc;
use std::time::{Duration, Instant};

use upnext_common::clock::Clock;
use upnext_common::config::Config;
use upnext_common::fault::Fault;
use upnext_common::generation::Generation;
use upnext_common::topic::Topic;
use upnext_contract::{Decoder, RegistryClient, RegistryError};
use upnext_kafka::{KafkaError, admin};
use upnext_store::{Generations, Reader, StoreError};

pub use report::{Compared, Counts, Report, What, Wrong};
pub use sample::Sample;

use crate::generation::redis_of;
use kind::{OfItems, OfUsers};
use ledger::Ledger;
use side::Side;
use sources::Sources;
pub(crate) use sources::patiently;

/// Records between two looks at the clock.
const RECORDS_PER_LOOK: u64 = 256;

/// What is compared, and how.
#[derive(Clone, Debug)]
pub struct Verify {
    pub config: Config,
    /// `host:port[,host:port]`.
    pub brokers: String,
    pub registry_url: String,
    /// `redis://host:port`.
    pub redis_url: String,
    pub clock: Clock,
    pub sample: Sample,
    /// Most records read a second; `None`: as fast as it goes.
    pub rate_max: Option<u32>,
}

/// Why nothing was found out.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    #[error(transparent)]
    Kafka(#[from] KafkaError),
    #[error(transparent)]
    Registry(#[from] RegistryError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("a record cannot be read: {cause}")]
    Unread { cause: String },
    /// What state was made of is gone.
    #[error("{topic} partition {partition} begins at offset {start}: what stood before is gone")]
    Truncated { topic: String, partition: i32, start: i64 },
    /// State knows of the topic's earlier incarnations as well.
    #[error(
        "{topic} partition {partition} was made anew (epoch {epoch}): what stood before is gone"
    )]
    MadeAnew { topic: String, partition: i32, epoch: u32 },
    #[error("the watermark of {stage} partition {partition} keeps going back")]
    Unsettled { stage: &'static str, partition: i32 },
}

impl VerifyError {
    #[must_use]
    pub fn fault(&self) -> Fault {
        match self {
            Self::Kafka(cause) => cause.fault(),
            Self::Registry(cause) => cause.fault(),
            Self::Store(cause) => cause.fault(),
            Self::Unread { .. } | Self::Unsettled { .. } => Fault::UPSTREAM,
            Self::Truncated { .. } | Self::MadeAnew { .. } => Fault::CALLER,
        }
    }
}

/// How far a comparison has come, in records.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    pub done: u64,
    pub of: u64,
}

/// Whom progress is told.
pub type Tell<'a> = &'a mut (dyn FnMut(Progress) + Send);

impl Verify {
    /// Compares everyone and everything of the sample once, in the generation that serves.
    ///
    /// # Errors
    /// When log or store do not answer, or the log no longer holds what state was made of.
    pub async fn run(&self, tell: Tell<'_>) -> Result<Report, VerifyError> {
        self.rounds(false).await?.round(tell).await
    }

    /// A comparison that goes on from where its last round ended.
    ///
    /// # Errors
    /// When an address is none, or the store does not answer.
    pub async fn follow(&self) -> Result<Follower, VerifyError> {
        self.rounds(true).await
    }

    async fn rounds(&self, is_kept: bool) -> Result<Follower, VerifyError> {
        let generations = Generations::connect(&self.redis_url, &self.config.redis)?;
        let serving = patiently(|| generations.serving()).await?;
        let sides = Sides::of(self, serving, is_kept)?;
        Ok(Follower { verify: self.clone(), generations, is_kept, sides })
    }
}

/// Rounds of comparison; between them what was replayed is kept.
pub struct Follower {
    verify: Verify,
    generations: Generations,
    is_kept: bool,
    sides: Sides,
}

/// Both stages of one generation.
struct Sides {
    generation: Generation,
    users: Side<OfUsers>,
    items: Side<OfItems>,
}

impl Sides {
    fn of(verify: &Verify, generation: Generation, is_kept: bool) -> Result<Self, VerifyError> {
        let Verify { config, brokers, clock, sample, .. } = verify;
        let client = RegistryClient::new(&verify.registry_url, &config.registry, clock.clone())?;
        let decoder = Decoder::new(Arc::new(client));
        let redis = redis_of(&config.redis, generation);
        let reader = Arc::new(Reader::connect(&verify.redis_url, &redis, clock.clone())?);
        let (keys, sample) = (reader.keys().clone(), *sample);
        let sources =
            |topic| Sources { brokers: brokers.clone(), topic, reader: Arc::clone(&reader) };
        let prefix = &config.kafka.topic_prefix;
        let (valid, signals) =
            (sources(Topic::Valid.name(prefix)), sources(generation.signals(prefix)));
        let users = OfUsers { decoder, keys: keys.clone(), sample };
        let users = Side::new(users, valid, is_kept);
        let items = Side::new(OfItems { keys, sample }, signals, is_kept);
        Ok(Self { generation, users, items })
    }

    async fn round(&mut self, verify: &Verify, tell: Tell<'_>) -> Result<Report, VerifyError> {
        let stretches = [self.users.stretches().await?, self.items.stretches().await?].concat();
        let of = stretches.iter().map(upnext_kafka::scan::Stretch::length).sum();
        let clock = verify.clock.clone();
        let (progress, began) = (Progress { done: 0, of }, clock.instant());
        let mut meter = Meter { progress, tell, rate_max: verify.rate_max, clock, began };
        let mut report = Report::default();
        self.users.round(&mut report, &mut meter).await?;
        let said = self.users.ledger.take();
        // Signals of later events may be written or not.
        let until = self.users.reached();
        self.items.ledger = said.as_ref().map(|(_, count)| (Ledger::until(until), *count));
        self.items.round(&mut report, &mut meter).await?;
        report.signals = match (said, self.items.ledger.take()) {
            (Some((said, _)), Some((heard, _))) => Some(said.against(&heard).into()),
            (Some(_) | None, _) => None,
        };
        report.records = meter.progress.done;
        Ok(report)
    }
}

impl Follower {
    /// Compares everyone and everything of the sample as they are now.
    ///
    /// # Errors
    /// As [`Verify::run`]. The next round may be tried all the same.
    pub async fn round(&mut self, tell: Tell<'_>) -> Result<Report, VerifyError> {
        loop {
            let serving = patiently(|| self.generations.serving()).await?;
            if serving != self.sides.generation {
                self.sides = Sides::of(&self.verify, serving, self.is_kept)?;
            }
            if !self.is_kept && self.verify.sample.is_everyone() {
                let signals = &self.sides.items.sources.topic;
                let count = admin::partition_count(&self.verify.brokers, signals).await?;
                self.sides.users.ledger = Some((Ledger::default(), count));
            }
            let report = self.sides.round(&self.verify, tell).await?;
            // A generation that was left meanwhile may have lost states already.
            if patiently(|| self.generations.serving()).await? == serving {
                return Ok(report);
            }
        }
    }
}

/// Counts records, tells of them, and holds back.
pub(crate) struct Meter<'a> {
    progress: Progress,
    tell: Tell<'a>,
    rate_max: Option<u32>,
    clock: Clock,
    began: Instant,
}

impl Meter<'_> {
    pub(crate) async fn count(&mut self) {
        self.progress.done += 1;
        if !self.progress.done.is_multiple_of(RECORDS_PER_LOOK) {
            return;
        }
        self.progress.of = self.progress.of.max(self.progress.done);
        (self.tell)(self.progress);
        if let Some(rate_max) = self.rate_max {
            let due =
                Duration::from_secs_f64(self.progress.done as f64 / f64::from(rate_max.max(1)));
            let early = due.saturating_sub(self.clock.instant() - self.began);
            tokio::time::sleep(early).await;
        }
    }
}
