//! Waiting until everything that was sent has been counted, by the state that serves.

use std::time::Duration;

use anyhow::bail;
use upnext_common::generation::Generation;
use upnext_common::topic::Topic;
use upnext_kafka::admin;
use upnext_store::{Generations, Reader, Stage};

use crate::scene::{PREFIX, Scene};

const POLL: Duration = Duration::from_millis(250);
/// Nothing has moved for so many looks in a row: it is over.
const QUIET_LOOKS: u32 = 12;
/// A process that ends so often does not stay up.
const DEATHS_MAX: u32 = 200;

/// Waits until both stages have read all there is, nothing moves any more and nobody rebuilds. Gives which processes
/// ended by themselves, and how often.
///
/// # Errors
/// When a process does not stay up.
pub(crate) async fn settled(scene: &mut Scene) -> anyhow::Result<Vec<(String, u32)>> {
    let mut view = View::of(scene)?;
    let mut before = None;
    let mut quiet = 0;
    loop {
        tokio::time::sleep(POLL).await;
        let deaths = scene.revive()?;
        let is_rebuilding = scene.rebuild.goes_on()?;
        let now = view.look(scene).await;
        let is_quiet = now.is_some() && now == before && !is_rebuilding;
        quiet = if is_quiet { quiet + 1 } else { 0 };
        before = now;
        if quiet >= QUIET_LOOKS {
            return Ok(deaths);
        }
        if deaths.iter().any(|(_, count)| *count > DEATHS_MAX) {
            bail!("a process does not stay up: {deaths:?}");
        }
    }
}

/// The generation that serves, and a way to its state.
struct View {
    generations: Generations,
    serving: Option<(Generation, Reader)>,
}

impl View {
    fn of(scene: &Scene) -> anyhow::Result<Self> {
        Ok(Self { generations: scene.generations()?, serving: None })
    }

    /// What serves and where its topics end, when both stages have reached these ends.
    async fn look(&mut self, scene: &Scene) -> Option<(Generation, Vec<Vec<i64>>)> {
        let generation = self.generations.serving().await.ok()?;
        if self.serving.as_ref().is_none_or(|(known, _)| *known != generation) {
            self.serving = Some((generation, scene.reader(generation).ok()?));
        }
        let (_, reader) = self.serving.as_ref()?;
        let (valid, signals) = (Topic::Valid.name(PREFIX), generation.signals(PREFIX));
        let mut ends = Vec::new();
        let read = [Topic::Events.name(PREFIX), Topic::DeadLetters.name(PREFIX)];
        for topic in read.iter().chain([&valid, &signals]) {
            ends.push(admin::end_offsets(&scene.brokers, topic).await.ok()?);
        }
        for (stage, ends) in [(Stage::Users, &ends[2]), (Stage::Items, &ends[3])] {
            for (end, partition) in ends.iter().zip(0..) {
                let stored = reader.watermark(stage, partition).await.ok()?;
                if stored.map_or(0, |stored| stored.next_offset) < *end {
                    return None;
                }
            }
        }
        Some((generation, ends))
    }
}
