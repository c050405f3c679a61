//! One run: load and faults side by side, then peace, then the verifier.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Context;
use upnext_common::clock::Clock;

use crate::crowd::{Crowd, Habits};
use crate::faults::Ending;
use crate::load::{Load, Pace};
use crate::plan::{Kind, Planned};
use crate::report::{Report, Told};
use crate::scene::{Scene, Settings};
use crate::settle::settled;
use crate::verify;

const POLL: Duration = Duration::from_millis(250);
/// Load before the first fault.
const WARM_UP: Duration = Duration::from_secs(3);
/// About the time that a fault takes itself.
const FAULT: Duration = Duration::from_millis(1_300);

/// What a run consists of.
#[derive(Clone, Debug)]
pub(crate) struct Course {
    pub(crate) seed: u64,
    pub(crate) plan: Vec<Planned>,
    pub(crate) habits: Habits,
    /// It is given up after this.
    pub(crate) bound: Duration,
}

impl Course {
    /// The load is spread over all faults.
    fn pace(&self) -> Pace {
        let time: Duration = self.plan.iter().map(|planned| planned.after + FAULT).sum();
        let per_second = (self.habits.events / time.as_secs().max(10)).clamp(50, 5_000);
        Pace { events_min: self.habits.events, per_second }
    }
}

/// Runs the course with its files in `directory`.
///
/// # Errors
/// When something does not start or come back, or the bound has passed. What is found wrong stands in the report.
pub(crate) async fn run(
    directory: &Path,
    settings: &Settings,
    course: &Course,
) -> anyhow::Result<Report> {
    let running = Box::pin(course_of(directory, settings, course));
    let bound = course.bound;
    tokio::time::timeout(bound, running)
        .await
        .with_context(|| format!("not over after {bound:?}"))?
}

async fn course_of(
    directory: &Path,
    settings: &Settings,
    course: &Course,
) -> anyhow::Result<Report> {
    let told = Told::new(course.seed);
    let scene = Scene::start(directory, settings).await?;
    let crowd = Crowd::new(course.seed, course.habits);
    let load = Load::start(&scene.brokers, scene.encoder().await?, crowd, course.pace())?;
    tokio::time::sleep(WARM_UP).await;
    let mut run = Run { scene, load, told, endings: Vec::new() };
    for planned in &course.plan {
        run.fault(planned).await?;
    }
    run.peace().await?;
    run.told.say("the faults are over, the rest of the load follows");
    let Run { mut scene, load, mut told, .. } = run;
    let ledger = load.finish().await?;
    told.say(&format!("{} records are sent and acknowledged", ledger.len()));
    told.deaths = settled(&mut scene).await?;
    told.say("everything has been read, now the log is replayed");
    told.say(&format!("{} rebuilds took their state into service", scene.rebuild.done));
    let mut verdict = verify::verify(&scene, &ledger).await?;
    if verdict.has_open_records() {
        // The look was taken between two rebalances.
        told.say("not every record has its outcome yet, once more");
        settled(&mut scene).await?;
        verdict = verify::verify(&scene, &ledger).await?;
    }
    Ok(told.report(&ledger, verdict))
}

struct Run {
    scene: Scene,
    load: Load,
    told: Told,
    /// What goes on in the background, and when it ends.
    endings: Vec<(Instant, Kind, Ending)>,
}

impl Run {
    async fn fault(&mut self, planned: &Planned) -> anyhow::Result<()> {
        self.wait(planned.after).await?;
        // One of a kind at a time: the zombie wakes before the next one falls asleep.
        while let Some((at, _, _)) = self.of_same_class(planned.kind) {
            let left = at.saturating_duration_since(Clock::system().instant());
            self.wait(left).await?;
        }
        let struck = self.scene.strike(planned, &self.load).await;
        let struck = struck.with_context(|| planned.kind.name())?;
        self.told.fault(planned.kind, &struck.detail, self.load.sent());
        if let Some((after, ending)) = struck.ending {
            self.endings.push((Clock::system().instant() + after, planned.kind, ending));
        }
        self.scene.revive()?;
        self.scene.rebuild.goes_on()?;
        Ok(())
    }

    fn of_same_class(&self, kind: Kind) -> Option<&(Instant, Kind, Ending)> {
        let class = class_of(kind);
        self.endings.iter().find(|(_, other, _)| class.is_some() && class_of(*other) == class)
    }

    /// Lets time pass, ending on the way what is due.
    async fn wait(&mut self, time: Duration) -> anyhow::Result<()> {
        let until = Clock::system().instant() + time;
        loop {
            let now = Clock::system().instant();
            let due = self.endings.iter().position(|(at, _, _)| *at <= now);
            if let Some(at) = due {
                let (_, kind, ending) = self.endings.remove(at);
                self.scene.end(&ending).await?;
                self.told.say(&format!("over: {}", kind.name()));
            } else if now >= until {
                return Ok(());
            } else {
                tokio::time::sleep(POLL.min(until - now)).await;
            }
        }
    }

    /// Waits for the end of everything that goes on.
    async fn peace(&mut self) -> anyhow::Result<()> {
        while !self.endings.is_empty() {
            self.wait(POLL).await?;
        }
        Ok(())
    }
}

/// Faults that go on in the background, by whom they befall.
fn class_of(kind: Kind) -> Option<u8> {
    match kind {
        Kind::IngestFreeze => Some(0),
        Kind::FeaturesFreeze | Kind::Rebalance => Some(1),
        Kind::RegistryAway => Some(2),
        Kind::IngestKill
        | Kind::FeaturesKill
        | Kind::FeaturesKillBrokerMute
        | Kind::RedisKill
        | Kind::RedisFreeze
        | Kind::BrokerKill
        | Kind::BrokerFreeze
        | Kind::AofCut
        | Kind::Failover
        | Kind::SplitBrain
        | Kind::Flushall
        | Kind::ConnectionCut
        | Kind::Rebuild
        | Kind::Repeats
        | Kind::Late => None,
    }
}
