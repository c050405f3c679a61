//! How far what was written to the topics has come: judged, applied to users, applied to items.

use std::collections::BTreeMap;
use std::time::Duration;

use thiserror::Error;
use tracing::debug;
use upnext_common::clock::Clock;
use upnext_common::config;
use upnext_common::drain::Drain;
use upnext_common::generation::Generation;
use upnext_common::topic::Topic;
use upnext_kafka::{KafkaError, admin};
use upnext_store::{Generations, Reader, SourcePosition, Stage, StoreError};

use crate::daemons::STORE_HINT;
use crate::endpoints::Target;
use crate::failure::Failure;
use crate::writer::unreachable;

const POLL: Duration = Duration::from_millis(50);
/// Without any progress for so long, waiting is given up: what is missing was rejected, or something is broken.
const SILENCE_MAX: Duration = Duration::from_secs(20);

/// A look at the stages of one system.
pub(crate) struct Pipeline {
    generations: Generations,
    redis_url: String,
    redis: config::Redis,
    brokers: String,
    prefix: String,
    clock: Clock,
}

/// Events written to the raw topic, and how many of them are in the state of users.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Applied {
    pub(crate) done: i64,
    pub(crate) of: i64,
}

impl Pipeline {
    pub(crate) fn of(target: &Target, clock: &Clock) -> Result<Self, Failure> {
        let (redis_url, redis) = (target.redis()?, target.config().redis.clone());
        let generations = Generations::connect(&redis_url, &redis)
            .map_err(|error| Failure::refused(format!("redis.url: {error}"), STORE_HINT))?;
        let (brokers, prefix) = (target.brokers()?, target.config().kafka.topic_prefix.clone());
        Ok(Self { generations, redis_url, redis, brokers, prefix, clock: clock.clone() })
    }

    /// Waits until everything written so far counts in the state of users and items; whether it came to that.
    ///
    /// # Errors
    /// When the broker does not answer. A store in trouble is waited for.
    pub(crate) async fn caught_up(
        &self,
        drain: &Drain,
        mut tell: impl FnMut(Applied),
    ) -> Result<bool, Failure> {
        let mut last = Applied::default();
        let mut moved_at = self.clock.instant();
        let mut looked_at = None;
        loop {
            match self.look(&mut looked_at).await {
                Ok((applied, is_done)) => {
                    tell(applied);
                    if is_done {
                        return Ok(true);
                    }
                    if applied != last {
                        (last, moved_at) = (applied, self.clock.instant());
                    }
                }
                Err(Unseen::Store(error)) => debug!(%error, "cannot read a watermark, will retry"),
                Err(Unseen::Log(error)) => return Err(unreachable(error)),
            }
            if drain.has_started() || self.clock.instant() - moved_at > SILENCE_MAX {
                return Ok(false);
            }
            tokio::time::sleep(POLL).await;
        }
    }

    /// At the generation that serves.
    async fn look(&self, at: &mut Option<Served>) -> Result<(Applied, bool), Unseen> {
        let generation = self.generations.serving().await?;
        let reader = match at.take().filter(|served| served.generation == generation) {
            Some(served) => served.reader,
            None => {
                let key_prefix = generation.key_prefix(&self.redis.key_prefix);
                let redis = config::Redis { key_prefix, ..self.redis.clone() };
                Reader::connect(&self.redis_url, &redis, self.clock.clone())?
            }
        };
        let served = at.insert(Served { generation, reader });
        let applied = self.users_stage(&served.reader).await?;
        let is_done = applied.done >= applied.of && self.items_stage(served).await?;
        Ok((applied, is_done))
    }

    async fn users_stage(&self, reader: &Reader) -> Result<Applied, Unseen> {
        let ends = self.ends(&Topic::Events.name(&self.prefix)).await?;
        let valid = Topic::Valid.name(&self.prefix);
        let mut reached: BTreeMap<i32, i64> = BTreeMap::new();
        for partition in 0..admin::partition_count(&self.brokers, &valid).await? {
            let found = reader.watermark(Stage::Users, partition).await?.unwrap_or_default();
            for (source, SourcePosition { offset, .. }) in found.sources {
                let newest = reached.entry(source).or_default();
                *newest = offset.saturating_add(1).max(*newest);
            }
        }
        let done = ends
            .iter()
            .map(|(partition, end)| reached.get(partition).copied().unwrap_or_default().min(*end));
        Ok(Applied { done: done.sum(), of: ends.values().sum() })
    }

    async fn items_stage(&self, served: &Served) -> Result<bool, Unseen> {
        for (partition, end) in self.ends(&served.generation.signals(&self.prefix)).await? {
            let found = served.reader.watermark(Stage::Items, partition).await?;
            if found.map_or(0, |found| found.next_offset) < end {
                return Ok(false);
            }
        }
        Ok(true)
    }

    async fn ends(&self, topic: &str) -> Result<BTreeMap<i32, i64>, KafkaError> {
        let ends = admin::end_offsets(&self.brokers, topic).await?;
        Ok((0..).zip(ends).collect())
    }
}

/// The generation of state that is looked at.
struct Served {
    generation: Generation,
    reader: Reader,
}

/// Why a look showed nothing.
#[derive(Debug, Error)]
enum Unseen {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Log(#[from] KafkaError),
}
