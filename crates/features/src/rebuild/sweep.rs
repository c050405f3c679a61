//! Removing the states of generations that serve no more.

use std::collections::BTreeSet;
use std::time::Duration;

use upnext_common::config;
use upnext_common::generation::Generation;
use upnext_common::topic::Topic;
use upnext_kafka::{KafkaError, admin};
use upnext_store::{Cursor, Generations, Keys, Reader, Stage, StoreError};

use super::{LOOK, Phase, Progress, Rebuild, RebuildError, Tell};
use crate::Features;
use crate::generation::redis_of;
use crate::verify::patiently;

/// Longest wait for those who answer from the old state.
const READERS_MAX: Duration = Duration::from_secs(120);

/// A generation whose states go.
struct Old<'a> {
    generation: Generation,
    generations: &'a Generations,
    reader: Reader,
}

impl Rebuild {
    /// Removes what no living reader answers from, and no daemon works on.
    pub(super) async fn swept(
        &self,
        generations: &Generations,
        serving: Generation,
        tell: Tell<'_>,
    ) -> Result<Option<u64>, RebuildError> {
        let clock = &self.features.clock;
        let began = clock.instant();
        while patiently(|| generations.reported()).await?.iter().any(|read| *read < serving) {
            let waited = clock.instant() - began;
            if waited > READERS_MAX {
                return Ok(None);
            }
            let (done, of) = (waited.as_secs(), READERS_MAX.as_secs());
            tell(Progress { phase: Phase::Waiting, done, of });
            tokio::time::sleep(LOOK).await;
        }
        let mut removed = 0;
        for number in 0..serving.0 {
            removed += self.remove(generations, Generation(number), (removed, &mut *tell)).await?;
        }
        Ok(Some(removed))
    }

    /// With the key groups that are configured now, and with the one of before there were any.
    async fn remove(
        &self,
        generations: &Generations,
        generation: Generation,
        (before, tell): (u64, Tell<'_>),
    ) -> Result<u64, RebuildError> {
        let redis = redis_of(&self.features.config.redis, generation);
        let mut removed = 0;
        for key_groups in BTreeSet::from([1, redis.key_groups]) {
            let redis = config::Redis { key_groups, ..redis.clone() };
            let (url, clock) = (&self.features.redis_url, self.features.clock.clone());
            let reader = match Reader::connect(url, &redis, clock) {
                // A cluster never held keys without groups.
                Err(StoreError::Settings { .. }) => continue,
                connected => connected?,
            };
            let old = Old { generation, generations, reader };
            removed += self.remove_all(&old, before + removed, tell).await?;
        }
        Ok(removed)
    }

    /// What stands of a generation beside its states: it vouches for them.
    async fn vouchers(
        &self,
        names: &Keys,
        generation: Generation,
    ) -> Result<Vec<String>, RebuildError> {
        let Features { config, brokers, .. } = &self.features;
        let valid = Topic::Valid.name(&config.kafka.topic_prefix);
        let signals = generation.signals(&config.kafka.topic_prefix);
        let mut keys = vec![names.layout()];
        keys.extend((0..names.groups()).map(|group| names.changed_items(group)));
        for (stage, topic) in [(Stage::Users, valid), (Stage::Items, signals)] {
            let count = match admin::partition_count(brokers, &topic).await {
                Err(KafkaError::Topic { .. }) => 0,
                counted => counted?,
            };
            let all = (0..count).flat_map(|at| (0..names.groups()).map(move |group| (at, group)));
            keys.extend(all.map(|(partition, group)| names.watermark(stage, partition, group)));
        }
        Ok(keys)
    }

    /// Watermarks go first: one that stands vouches for its states. And once more at the end, however it came: a worker
    /// that was late to leave may have put them back over states that are gone.
    async fn remove_all(
        &self,
        old: &Old<'_>,
        before: u64,
        tell: Tell<'_>,
    ) -> Result<u64, RebuildError> {
        let vouchers = self.vouchers(old.reader.keys(), old.generation).await?;
        old.removed(&vouchers).await?;
        let removed = self.remove_states(old, before, tell).await;
        patiently(|| old.reader.removed(&vouchers)).await?;
        removed
    }

    async fn remove_states(
        &self,
        old: &Old<'_>,
        before: u64,
        tell: Tell<'_>,
    ) -> Result<u64, RebuildError> {
        let clock = &self.features.clock;
        let began = clock.instant();
        let mut removed = 0;
        for stage in [Stage::Users, Stage::Items] {
            let mut cursor = Some(Cursor::default());
            while let Some(from) = cursor {
                let (next, keys) = patiently(|| old.reader.scanned(stage, from)).await?;
                removed += old.removed(&keys).await?;
                let done = before + removed;
                tell(Progress { phase: Phase::Removing, done, of: done });
                let due = removed as f64 / f64::from(self.removals_per_second_max.max(1));
                let early = Duration::from_secs_f64(due).saturating_sub(clock.instant() - began);
                tokio::time::sleep(early).await;
                cursor = next;
            }
        }
        Ok(removed)
    }
}

impl Old<'_> {
    /// Removes keys of it, unless it serves: a store that has lost its newest writes may point to it again.
    async fn removed(&self, keys: &[String]) -> Result<u64, RebuildError> {
        let remove = || async {
            let serving = self.generations.serving().await?;
            if self.generation < serving {
                self.reader.removed(keys).await.map(Ok)
            } else {
                Ok(Err(RebuildError::Overtaken { serving }))
            }
        };
        patiently(remove).await?
    }
}
