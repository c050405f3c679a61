//! What a rebuild would do, and whether it could be right.

use upnext_common::config;
use upnext_common::generation::Generation;
use upnext_common::topic::Topic;
use upnext_kafka::KafkaError;
use upnext_kafka::scan::{self, Stretch};
use upnext_state::header::{ITEM_VERSION, USER_VERSION};
use upnext_store::{Generations, Layout, Reader, Stage};

use super::{Outlook, Rebuild, RebuildError};
use crate::generation::redis_of;
use crate::verify::patiently;
use crate::{Features, anew};

/// Generations looked through for one whose topic of signals is unused.
const GENERATIONS_MAX: u32 = 1_000;

impl Rebuild {
    /// The layout is that of what serves, if it has any.
    pub(super) async fn look(
        &self,
        generations: &Generations,
    ) -> Result<(Outlook, Option<Layout>), RebuildError> {
        let Features { config, brokers, .. } = &self.features;
        let from = patiently(|| generations.serving()).await?;
        let layout = patiently(|| generations.layout(from)).await?;
        let valid = Topic::Valid.name(&config.kafka.topic_prefix);
        let stretches = scan::stretches(brokers, &valid, None).await?;
        if let Some(layout) = layout {
            self.check_partitions((from, layout), &valid, &stretches).await?;
        }
        let begun = patiently(|| generations.building()).await?;
        let begun = begun.filter(|(begun, by)| *begun > from && *by == program());
        let to = match &begun {
            Some((begun, _)) => *begun,
            None => self.unused_after(from).await?,
        };
        let events = stretches.iter().map(Stretch::length).sum();
        let dropped =
            stretches.iter().filter_map(|stretch| u64::try_from(stretch.start).ok()).sum();
        Ok((Outlook { from, to, resumes: begun.is_some(), events, dropped }, layout))
    }

    /// Partitions that were added to a topic in place move users from one to another, and no state can be made of
    /// both. A topic that was made anew has every user in one, however many it has now.
    async fn check_partitions(
        &self,
        (from, layout): (Generation, Layout),
        valid: &str,
        stretches: &[Stretch],
    ) -> Result<(), RebuildError> {
        let Features { config, redis_url, clock, brokers, .. } = &self.features;
        let now = i32::try_from(stretches.len()).unwrap_or(i32::MAX);
        let before = layout.valid;
        if now <= before {
            return Ok(());
        }
        let redis = config::Redis { key_groups: layout.groups, ..redis_of(&config.redis, from) };
        let reader = Reader::connect(redis_url, &redis, clock.clone())?;
        for partition in 0..before {
            let stored = patiently(|| reader.watermark(Stage::Users, partition)).await?;
            let Some(stored) = stored else { continue };
            if anew::is_same(brokers, (valid, partition), &stored).await? {
                return Err(RebuildError::Repartitioned { topic: valid.to_owned(), before, now });
            }
        }
        Ok(())
    }

    /// The next generation of whose signals nobody has written any: those of an abandoned one may be wrong.
    async fn unused_after(&self, from: Generation) -> Result<Generation, RebuildError> {
        let Features { config, brokers, .. } = &self.features;
        let mut to = from.next();
        for _ in 0..GENERATIONS_MAX {
            let signals = to.signals(&config.kafka.topic_prefix);
            match scan::stretches(brokers, &signals, None).await {
                Ok(stretches) if stretches.iter().any(|stretch| stretch.end > 0) => to = to.next(),
                Ok(_) | Err(KafkaError::Topic { .. }) => break,
                Err(error) => return Err(error.into()),
            }
        }
        Ok(to)
    }
}

/// This program, as far as it decides what a state is: what another has begun is not continued.
pub(super) fn program() -> String {
    format!("{} users={USER_VERSION} items={ITEM_VERSION}", env!("CARGO_PKG_VERSION"))
}
