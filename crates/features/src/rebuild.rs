//! All state made anew from the log, beside the state that serves, and taken into service at once.
//!
//! A rebuild is a features daemon of the next generation: its own keys, its own topic of signals, its own consumer
//! groups, the same code. Once it has caught up, one compare-and-set of a pointer takes the generation into service;
//! daemons and serving follow by themselves. The builder stays until they have, then removes the states that nobody
//! reads any more. An interrupted one is simply continued: its state stands in the store.

mod look;
mod outrun;
mod sweep;

use std::time::Duration;

use tokio::task::JoinHandle;
use upnext_common::drain::Drain;
use upnext_common::fault::Fault;
use upnext_common::generation::Generation;
use upnext_common::topic::Topic;
use upnext_kafka::scan::{self, Stretch};
use upnext_kafka::{KafkaError, admin};
use upnext_store::{Generations, Reader, Stage, StoreError};

use crate::generation::{GRACE, redis_of};
use crate::verify::patiently;
use crate::{Drained, Features, FeaturesError, Weakened, Work};
use outrun::Reached;

/// How long the right to rebuild lasts unless it is renewed.
const LEASE: Duration = Duration::from_secs(15);
/// Pause between two looks at how far it has come.
const LOOK: Duration = Duration::from_millis(200);
/// How old what is known of the log may be when the new state is taken into service.
const BEHIND_MAX: Duration = Duration::from_secs(1);
/// How long the builder stays after that: daemons leave the old generation after [`GRACE`] and a look, and then join.
const STAY: Duration = Duration::from_secs(GRACE.as_secs() + 6);

/// What is rebuilt, and what becomes of the state before it.
#[derive(Clone, Debug)]
pub struct Rebuild {
    pub features: Features,
    /// Leave the states of the old generation where they are.
    pub keeps_old: bool,
    /// Most of them removed a second.
    pub removals_per_second_max: u32,
    /// Go on although the log has dropped its oldest records, and forget what only they told.
    pub forgets_dropped: bool,
}

/// What a rebuild would do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outlook {
    /// The generation that serves.
    pub from: Generation,
    /// The one that is made.
    pub to: Generation,
    /// Whether an interrupted rebuild is continued.
    pub resumes: bool,
    /// Events in the log.
    pub events: u64,
    /// Events that the log has dropped already: the new state would not know of them.
    pub dropped: u64,
}

/// What it is at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Records of a stage, of those that stood in its log a moment ago.
    Building(Stage),
    /// The new state serves; daemons go over to it.
    HandingOver,
    /// Somebody still answers from the old state.
    Waiting,
    /// Old states removed.
    Removing,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    pub phase: Phase,
    pub done: u64,
    pub of: u64,
}

/// Whom progress is told.
pub type Tell<'a> = &'a mut (dyn FnMut(Progress) + Send);

/// What was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rebuilt {
    pub outlook: Outlook,
    pub counted: Drained,
    /// States removed; `None` when they were left: as asked, or since somebody still answers from them.
    pub removed: Option<u64>,
}

/// Why the new state was not taken into service.
#[derive(Debug, thiserror::Error)]
pub enum RebuildError {
    #[error(transparent)]
    Kafka(#[from] KafkaError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Features(#[from] FeaturesError),
    #[error("another rebuild is under way")]
    Busy,
    #[error("the right to rebuild was lost to another one")]
    Lost,
    #[error("generation {serving} was taken into service meanwhile")]
    Overtaken { serving: Generation },
    #[error("the log has dropped its {dropped} oldest events, and a rebuild would forget them")]
    Truncated { dropped: u64 },
    /// Retention was faster than the rebuild.
    #[error("{topic} has dropped {dropped} records, perhaps before they were read")]
    Outrun { topic: String, dropped: i64 },
    #[error(
        "{topic} had {before} partitions when its events were counted, and has {now}: events of one user may stand in two"
    )]
    Repartitioned { topic: String, before: i32, now: i32 },
    #[error("interrupted")]
    Interrupted,
}

impl RebuildError {
    #[must_use]
    pub fn fault(&self) -> Fault {
        match self {
            Self::Kafka(cause) => cause.fault(),
            Self::Store(cause) => cause.fault(),
            Self::Features(cause) => cause.fault(),
            Self::Busy | Self::Lost | Self::Interrupted | Self::Outrun { .. } => Fault::UPSTREAM,
            Self::Overtaken { .. } | Self::Truncated { .. } | Self::Repartitioned { .. } => {
                Fault::CALLER
            }
        }
    }
}

/// The daemon of the new generation.
struct Builder {
    task: JoinHandle<Result<Drained, FeaturesError>>,
    drain: Drain,
}

impl Rebuild {
    /// What [`Self::run`] would do; changes nothing.
    ///
    /// # Errors
    /// When log or store do not answer.
    pub async fn outlook(&self) -> Result<Outlook, RebuildError> {
        Ok(self.look(&self.generations()?).await?.0)
    }

    /// Makes the next generation and takes it into service.
    ///
    /// # Errors
    /// Whatever the error, what serves goes on serving, and what was made so far is continued by the next run.
    pub async fn run(&self, drain: &Drain, tell: Tell<'_>) -> Result<Rebuilt, RebuildError> {
        let generations = self.generations()?;
        let owner = format!("{}-{}", std::process::id(), self.features.clock.now_ms());
        if !patiently(|| generations.hold(&owner, LEASE)).await? {
            return Err(RebuildError::Busy);
        }
        let done = tokio::select! {
            done = self.build(&generations, drain, tell) => done,
            lost = lose(&generations, &owner) => Err(lost),
        };
        if let Err(error) = generations.release(&owner).await {
            tracing::debug!(%error, "the right to rebuild ends by itself");
        }
        done
    }

    /// Removes the states of every generation before the one that serves, unless somebody still answers from one.
    /// How many; `None` when they were left.
    ///
    /// # Errors
    /// When log or store do not answer.
    pub async fn remove_old(&self, tell: Tell<'_>) -> Result<Option<u64>, RebuildError> {
        let generations = self.generations()?;
        let serving = patiently(|| generations.serving()).await?;
        self.swept(&generations, serving, tell).await
    }

    fn generations(&self) -> Result<Generations, StoreError> {
        Generations::connect(&self.features.redis_url, &self.features.config.redis)
    }

    async fn build(
        &self,
        generations: &Generations,
        drain: &Drain,
        tell: Tell<'_>,
    ) -> Result<Rebuilt, RebuildError> {
        let (outlook, layout) = self.look(generations).await?;
        if outlook.dropped > 0 && !self.forgets_dropped {
            return Err(RebuildError::Truncated { dropped: outlook.dropped });
        }
        let Features { config, brokers, .. } = &self.features;
        let signals = outlook.to.signals(&config.kafka.topic_prefix);
        admin::ensure_topic(brokers, &config.kafka, (Topic::Signals, &signals)).await?;
        let program = look::program();
        patiently(|| generations.note_building(Some((outlook.to, &program)))).await?;
        let groups = layout.map_or(config.redis.key_groups, |layout| layout.groups);
        let mut builder = self.builder(outlook.to, (outlook.from, groups));
        let served = tokio::select! {
            served = self.take_over(generations, outlook, &mut builder, tell) => served,
            () = drain.started() => Err(RebuildError::Interrupted),
        };
        builder.drain.start();
        let counted = builder.task.await.map_err(|_| FeaturesError::Died);
        if matches!(served, Err(RebuildError::Outrun { .. })) {
            // It lacks something for good.
            patiently(|| generations.note_building(None)).await?;
        }
        served?;
        let counted = counted??;
        let removed = match self.keeps_old {
            true => None,
            false => self.swept(generations, outlook.to, tell).await?,
        };
        Ok(Rebuilt { outlook, counted, removed })
    }

    /// `beside`: the generation that serves, and its key groups.
    fn builder(&self, generation: Generation, beside: (Generation, u32)) -> Builder {
        let (features, drain) = (self.features.clone(), Drain::new());
        let weakened = Weakened::None;
        let work = Work { generation, weakened, with_items: true, beside: Some(beside) };
        let theirs = drain.clone();
        let task = tokio::spawn(async move { features.run_in(work, theirs).await });
        Builder { task, drain }
    }

    /// Waits until the new state knows what the log says, and takes it into service.
    async fn take_over(
        &self,
        generations: &Generations,
        outlook: Outlook,
        builder: &mut Builder,
        tell: Tell<'_>,
    ) -> Result<(), RebuildError> {
        self.catch_up(outlook.to, builder, tell).await?;
        if !patiently(|| generations.flip(outlook.from, outlook.to)).await? {
            let serving = patiently(|| generations.serving()).await?;
            // Our own answer may have been lost on the way.
            if serving != outlook.to {
                return Err(RebuildError::Overtaken { serving });
            }
        }
        patiently(|| generations.note_building(None)).await?;
        let of = STAY.as_secs();
        for done in 0..of {
            tell(Progress { phase: Phase::HandingOver, done, of });
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        Ok(())
    }

    /// Returns once everything that stood in the log a moment ago is in the new state.
    async fn catch_up(
        &self,
        to: Generation,
        builder: &mut Builder,
        tell: Tell<'_>,
    ) -> Result<(), RebuildError> {
        let Features { config, clock, redis_url, .. } = &self.features;
        let redis = redis_of(&config.redis, to);
        let reader = Reader::connect(redis_url, &redis, clock.clone())?;
        let prefix = &config.kafka.topic_prefix;
        let logs = [(Stage::Users, Topic::Valid.name(prefix)), (Stage::Items, to.signals(prefix))];
        let mut reached = Reached::new(self.forgets_dropped);
        // A slow machine gets there too: with every round a little more delay is good enough.
        let mut good_enough = BEHIND_MAX;
        loop {
            let began = clock.instant();
            for (stage, topic) in &logs {
                let ends: Vec<i64> =
                    self.stretches(topic).await?.iter().map(|stretch| stretch.end).collect();
                while !is_reached(&reader, *stage, &ends, tell).await? {
                    if builder.task.is_finished() {
                        let ended = (&mut builder.task).await.map_err(|_| FeaturesError::Died)?;
                        return Err(ended.err().unwrap_or(FeaturesError::Died).into());
                    }
                    tokio::time::sleep(LOOK).await;
                    self.look_after(&reader, &logs, &mut reached).await?;
                }
            }
            self.look_after(&reader, &logs, &mut reached).await?;
            if clock.instant() - began <= good_enough {
                return Ok(());
            }
            good_enough += BEHIND_MAX;
        }
    }

    /// Makes sure that nothing was dropped unread.
    async fn look_after(
        &self,
        reader: &Reader,
        logs: &[(Stage, String)],
        reached: &mut Reached,
    ) -> Result<(), RebuildError> {
        for (stage, topic) in logs {
            let stretches = self.stretches(topic).await?;
            let mut now = Vec::with_capacity(stretches.len());
            for stretch in &stretches {
                let known = patiently(|| reader.watermark(*stage, stretch.partition)).await?;
                now.push(known.map_or(0, |known| known.next_offset));
            }
            let dropped = reached.look(*stage, &stretches, &now);
            if dropped > 0 {
                return Err(RebuildError::Outrun { topic: topic.clone(), dropped });
            }
        }
        Ok(())
    }

    /// What stands in each partition now, however long the broker is away.
    async fn stretches(&self, topic: &str) -> Result<Vec<Stretch>, RebuildError> {
        loop {
            match scan::stretches(&self.features.brokers, topic, None).await {
                Ok(stretches) => return Ok(stretches),
                Err(error) if error.fault().may_retry() => tokio::time::sleep(LOOK).await,
                Err(error) => return Err(error.into()),
            }
        }
    }
}

/// Renews the right to rebuild; resolves when it is lost.
async fn lose(generations: &Generations, owner: &str) -> RebuildError {
    loop {
        tokio::time::sleep(LEASE / 5).await;
        match generations.hold(owner, LEASE).await {
            Ok(true) => {}
            Ok(false) => return RebuildError::Lost,
            // It is as good as ours until somebody else asks for it.
            Err(error) => tracing::debug!(%error, "the right to rebuild was not renewed"),
        }
    }
}

/// Whether a stage has come to these offsets.
async fn is_reached(
    reader: &Reader,
    stage: Stage,
    ends: &[i64],
    tell: Tell<'_>,
) -> Result<bool, StoreError> {
    let mut done = 0;
    for (partition, end) in (0..).zip(ends) {
        let watermark = patiently(|| reader.watermark(stage, partition)).await?;
        done += watermark.map_or(0, |watermark| watermark.next_offset).min(*end);
    }
    let of: i64 = ends.iter().sum();
    let count = |offsets: i64| u64::try_from(offsets).unwrap_or(0);
    tell(Progress { phase: Phase::Building(stage), done: count(done), of: count(of) });
    Ok(done >= of)
}
