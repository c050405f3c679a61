//! The demo: a seeded shop, a day of its history through the real pipeline, a model trained on it, and visitors.
//!
//! What was done is remembered in the data directory; a second start does none of it again.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use serde::{Deserialize, Serialize};
use serde_json::json;
use upnext_common::clock::Clock;
use upnext_common::config::Train;
use upnext_common::drain::Drain;

use crate::api::Api;
use crate::crowd::{Crowd, Sizes};
use crate::endpoints::Target;
use crate::failure::Failure;
use crate::output;
use crate::pipeline::Pipeline;
use crate::progress::Progress;
use crate::simulate::{DEMO_SEED, Traffic};
use crate::system::System;
use crate::train::{announce, learn, of_topics};
use crate::writer::{InFlight, Writer};

const DAY_MS: i64 = 24 * 3_600_000;
const EVENTS: usize = 100_000;
/// A small model, so that the demo is soon ready; what is configured wins.
const TRAIN_SECONDS_MAX: u64 = 18;
const TOWER_DIM: usize = 32;
const TOWER_EPOCHS: usize = 6;
/// Steps per second of the visitors.
const RATE: f64 = 30.0;
const IN_USE_BOUND: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(100);

/// How far the demo of a data directory was made.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Made {
    /// The end of the history, fixed before it is written: an interrupted start writes the same events again.
    until_ms: Option<i64>,
    is_written: bool,
    artifact: Option<String>,
}

/// Makes what is missing; `None` when it was stopped meanwhile.
pub(super) async fn prepare(system: &System, drain: &Drain) -> Result<Option<Traffic>, Failure> {
    let (target, clock) = (system.target(), Clock::system());
    let demo = Demo {
        api: Api::new(&system.endpoints().http),
        writer: Writer::connect(&target, &clock).await?,
        crowd: Arc::new(Crowd::new(DEMO_SEED, Sizes::DEMO)),
        target,
        clock,
        drain,
    };
    let data_dir = demo.target.config().data_dir.clone();
    let mut made = Made::read(&data_dir);
    if made.is_written && made.artifact.is_some() {
        output::note(format!("demo: using what stands in {}", data_dir.display()));
    }
    if !made.is_written {
        let until_ms = *made.until_ms.get_or_insert(demo.clock.now_ms());
        made.save(&data_dir)?;
        made.is_written = demo.write_history(until_ms).await? && demo.apply_history().await?;
        made.save(&data_dir)?;
    }
    if made.artifact.is_none() && !drain.has_started() {
        made.artifact = demo.train().await?;
        made.save(&data_dir)?;
    }
    let Demo { api, crowd, .. } = demo;
    let traffic = Traffic { api, crowd, seed: DEMO_SEED, rate: RATE };
    Ok((!drain.has_started()).then_some(traffic))
}

/// The demo of one system, while it is made.
struct Demo<'a> {
    target: Target,
    api: Api,
    writer: Writer,
    crowd: Arc<Crowd>,
    clock: Clock,
    drain: &'a Drain,
}

impl Demo<'_> {
    /// Whether all of it was written; not when it was stopped meanwhile.
    async fn write_history(&self, until_ms: i64) -> Result<bool, Failure> {
        let items = self.crowd.items();
        self.writer.items(items).await?;
        let events = self.crowd.history(DEMO_SEED, (until_ms - DAY_MS, until_ms), EVENTS);
        let mut progress = Progress::new("seeding", &self.clock);
        let mut in_flight = InFlight::default();
        let all = u64::try_from(events.len()).unwrap_or(u64::MAX);
        for (event, done) in events.iter().zip(0..) {
            in_flight.push(self.writer.event(event, event.event_time_ms).await?).await?;
            progress.tell(done, all, "events");
            if self.drain.has_started() {
                return Ok(false);
            }
        }
        in_flight.settle().await?;
        progress.finish(&format!("{} items and {all} events of one day", items.len()));
        Ok(true)
    }

    /// Whether all of it counts in the state of users and items.
    async fn apply_history(&self) -> Result<bool, Failure> {
        let pipeline = Pipeline::of(&self.target, &self.clock)?;
        let mut progress = Progress::new("applying", &self.clock);
        let caught_up = pipeline.caught_up(self.drain, |applied| {
            let wide = i64::unsigned_abs;
            progress.tell(wide(applied.done), wide(applied.of), "events");
        });
        let is_complete = caught_up.await?;
        let outcome = if is_complete { "users and items are up to date" } else { "not finished" };
        progress.finish(outcome);
        Ok(is_complete)
    }

    /// The id of the artifact now in use; `None` when it was stopped meanwhile.
    async fn train(&self) -> Result<Option<String>, Failure> {
        let mut config = self.target.config().clone();
        if config.train == Train::default() {
            config.train.seconds_max = TRAIN_SECONDS_MAX;
            config.train.tower_dim = TOWER_DIM;
            config.train.tower_epochs = TOWER_EPOCHS;
        }
        let history = of_topics(&self.target, &self.clock).await?;
        let (artifact, saved) = tokio::select! {
            learned = learn(&config, history, &self.clock) => learned?,
            () = self.drain.started() => return Ok(None),
        };
        announce(&self.writer, &artifact, &saved).await?;
        let id = artifact.about.artifact_id;
        if !self.is_used(&id).await? {
            output::note("demo: the model is not in use yet, answers come from the session tier");
        }
        Ok(Some(id))
    }

    /// Waits until answers come from the artifact.
    async fn is_used(&self, artifact_id: &str) -> Result<bool, Failure> {
        let question = json!({"anonymous_id": "demo", "k": 1});
        let start = self.clock.instant();
        while self.clock.instant() - start < IN_USE_BOUND && !self.drain.has_started() {
            let reply = self.api.post("/v1/recommendations", &question).await?;
            if reply.ok()?["model"] == artifact_id {
                return Ok(true);
            }
            tokio::time::sleep(POLL).await;
        }
        Ok(false)
    }
}

impl Made {
    fn read(data_dir: &Path) -> Self {
        let text = std::fs::read_to_string(data_dir.join("demo.json")).unwrap_or_default();
        serde_json::from_str(&text).unwrap_or_default()
    }

    fn save(&self, data_dir: &Path) -> Result<(), Failure> {
        let text = serde_json::to_string(self).context("cannot write the demo's state")?;
        std::fs::write(data_dir.join("demo.json"), text)
            .context("cannot write the demo's state")?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_made_is_remembered() {
        let directory = tempfile::tempdir().unwrap();
        assert_eq!(Made::read(directory.path()), Made::default());
        let made = Made { until_ms: Some(5), is_written: true, artifact: Some("a".to_owned()) };
        made.save(directory.path()).unwrap();
        assert_eq!(Made::read(directory.path()), made);
    }
}
