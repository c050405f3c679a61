//! How far what was written to the topics has come: judged, applied to users, applied to items.

use std::collections::BTreeMap;
use std::time::Duration;

use thiserror::Error;
use tracing::debug;
use upnext_common::clock::Clock;
use upnext_common::drain::Drain;
use upnext_common::topic::Topic;
use upnext_kafka::{KafkaError, admin};
use upnext_store::{Reader, SourcePosition, Stage, StoreError};

use crate::daemons::STORE_HINT;
use crate::endpoints::Target;
use crate::failure::Failure;
use crate::writer::unreachable;

const POLL: Duration = Duration::from_millis(50);
/// Without any progress for so long, waiting is given up: what is missing was rejected, or something is broken.
const SILENCE_MAX: Duration = Duration::from_secs(20);

/// A look at the stages of one system.
pub(crate) struct Pipeline {
    reader: Reader,
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
        let redis = &target.config().redis;
        let reader = Reader::connect(&target.redis()?, redis, clock.clone())
            .map_err(|error| Failure::refused(format!("redis.url: {error}"), STORE_HINT))?;
        let (brokers, prefix) = (target.brokers()?, target.config().kafka.topic_prefix.clone());
        Ok(Self { reader, brokers, prefix, clock: clock.clone() })
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
        loop {
            match self.look().await {
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

    async fn look(&self) -> Result<(Applied, bool), Unseen> {
        let applied = self.users_stage().await?;
        let is_done = applied.done >= applied.of && self.items_stage().await?;
        Ok((applied, is_done))
    }

    async fn users_stage(&self) -> Result<Applied, Unseen> {
        let ends = self.ends(Topic::Events).await?;
        let valid = Topic::Valid.name(&self.prefix);
        let mut reached: BTreeMap<i32, i64> = BTreeMap::new();
        for partition in 0..admin::partition_count(&self.brokers, &valid).await? {
            let found = self.reader.watermark(Stage::Users, partition).await?.unwrap_or_default();
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

    async fn items_stage(&self) -> Result<bool, Unseen> {
        for (partition, end) in self.ends(Topic::Signals).await? {
            let found = self.reader.watermark(Stage::Items, partition).await?;
            if found.map_or(0, |found| found.next_offset) < end {
                return Ok(false);
            }
        }
        Ok(true)
    }

    async fn ends(&self, topic: Topic) -> Result<BTreeMap<i32, i64>, KafkaError> {
        let ends = admin::end_offsets(&self.brokers, &topic.name(&self.prefix)).await?;
        Ok((0..).zip(ends).collect())
    }
}

/// Why a look showed nothing.
#[derive(Debug, Error)]
enum Unseen {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Log(#[from] KafkaError),
}
