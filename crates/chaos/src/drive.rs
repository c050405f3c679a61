//! One run: load and faults side by side, then peace, then the verifier.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use upnext_common::clock::Clock;
use upnext_common::config;
use upnext_common::topic::Topic;
use upnext_kafka::admin;
use upnext_store::{Reader, Stage};

use crate::crowd::{Crowd, Habits};
use crate::faults::Ending;
use crate::load::{Load, Pace};
use crate::plan::{Kind, Planned};
use crate::report::{Report, Told};
use crate::scene::{PREFIX, Scene, Settings};
use crate::verify;

const POLL: Duration = Duration::from_millis(250);
/// Nothing has moved for so many looks in a row: it is over.
const QUIET_LOOKS: u32 = 12;
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
    let sent = load.finish().await?;
    told.say(&format!("{} records are sent and acknowledged", sent.records));
    told.deaths = settled(&mut scene).await?;
    told.say("everything has been read, now the log is replayed");
    let mut verdict = verify::verify(&scene, sent).await?;
    if verdict.has_open_records() {
        // The look was taken between two rebalances.
        told.say("not every record has its outcome yet, once more");
        settled(&mut scene).await?;
        verdict = verify::verify(&scene, sent).await?;
    }
    Ok(told.report(sent, verdict))
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
        | Kind::Repeats
        | Kind::Late => None,
    }
}

/// Waits until both stages have read all there is and nothing moves any more. Gives which processes ended by
/// themselves, and how often.
async fn settled(scene: &mut Scene) -> anyhow::Result<Vec<(String, u32)>> {
    let url = format!("redis://{}", scene.master().address);
    let redis = config::Redis { read_timeout_ms: 2_000, ..config::Redis::default() };
    let store = Reader::connect(&url, &redis, Clock::system())?;
    let mut before = None;
    let mut quiet = 0;
    let mut deaths;
    loop {
        tokio::time::sleep(POLL).await;
        deaths = scene.revive()?;
        let now = look(&scene.brokers, &store).await;
        quiet = if now.is_some() && now == before { quiet + 1 } else { 0 };
        before = now;
        if quiet >= QUIET_LOOKS {
            return Ok(deaths);
        }
        if deaths.iter().any(|(_, count)| *count > 200) {
            bail!("a process does not stay up: {deaths:?}");
        }
    }
}

/// Ends of the topics, when both stages have reached theirs.
async fn look(brokers: &str, store: &Reader) -> Option<Vec<Vec<i64>>> {
    let mut ends = Vec::new();
    for topic in [Topic::Events, Topic::Valid, Topic::DeadLetters, Topic::Signals] {
        ends.push(admin::end_offsets(brokers, &topic.name(PREFIX)).await.ok()?);
    }
    for (stage, ends) in [(Stage::Users, &ends[1]), (Stage::Items, &ends[3])] {
        for (end, partition) in ends.iter().zip(0..) {
            let stored = store.watermark(stage, partition).await.ok()?;
            if stored.map_or(0, |stored| stored.next_offset) < *end {
                return None;
            }
        }
    }
    Some(ends)
}
