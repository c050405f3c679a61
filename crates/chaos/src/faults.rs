//! What each fault does to the scene.

use std::time::Duration;

use crate::die::Die;
use crate::load::Load;
use crate::newcomer;
use crate::plan::{Kind, Planned};
use crate::process::signal;
use crate::scene::{Scene, WORKERS};

/// Longer than the session of a group's member: its partitions are taken over meanwhile.
const ZOMBIE: std::ops::Range<u64> = 11_500..13_500;
const TERM_BOUND: Duration = Duration::from_secs(20);
/// How long a replica may take to follow before the next fault.
const FOLLOW_BOUND: Duration = Duration::from_secs(15);
/// How long is waited for the bytes that a connection is cut after.
const CUT_BOUND: Duration = Duration::from_secs(3);
const POLL: Duration = Duration::from_millis(20);
/// Events under a schema that was never seen before.
const NEWCOMERS: u64 = 40;

/// How a fault that goes on in the background ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    Thaw { pid: u32 },
    StartRegistry,
    StartWorker(usize),
    EndWorker(usize),
}

/// A fault that has struck.
#[derive(Clone, Debug)]
pub(crate) struct Struck {
    /// What exactly was done, for the log.
    pub(crate) detail: String,
    /// What has to be done, and after which time, to end it.
    pub(crate) ending: Option<(Duration, Ending)>,
}

impl Struck {
    fn over(detail: impl Into<String>) -> Self {
        Self { detail: detail.into(), ending: None }
    }

    fn until(detail: impl Into<String>, after: Duration, ending: Ending) -> Self {
        Self { detail: detail.into(), ending: Some((after, ending)) }
    }
}

impl Scene {
    /// Lets the fault strike. Those that end in the background say how; all others are over when this returns.
    ///
    /// # Errors
    /// When a process does not come back.
    pub(crate) async fn strike(
        &mut self,
        planned: &Planned,
        load: &Load,
    ) -> anyhow::Result<Struck> {
        let mut die = Die::new(planned.seed);
        match planned.kind {
            Kind::IngestKill => self.kill_ingest(&mut die).await,
            Kind::IngestFreeze => self.freeze_ingest(&mut die).await,
            Kind::FeaturesKill => self.kill_worker(&mut die).await,
            Kind::FeaturesFreeze => self.freeze_worker(&mut die).await,
            Kind::FeaturesKillBrokerMute => self.kill_workers_waiting(&mut die).await,
            Kind::RedisKill => self.restart_redis(0).await,
            Kind::RedisFreeze => self.freeze_redis(&mut die).await,
            Kind::BrokerKill => self.kill_broker(&mut die).await,
            Kind::BrokerFreeze => self.freeze_broker(&mut die).await,
            Kind::RegistryAway => self.take_registry(&mut die, load).await,
            Kind::AofCut => self.restart_redis(1 << (8 + die.roll(12))).await,
            Kind::Failover => self.fail_over(&mut die).await,
            Kind::SplitBrain => self.split(&mut die).await,
            Kind::Flushall => self.empty(&mut die).await,
            Kind::ConnectionCut => Ok(self.cut_connection(&mut die).await),
            Kind::Rebalance => self.rebalance(&mut die).await,
            Kind::Rebuild => Ok(Struck::over(self.rebuild.strike().await?)),
            Kind::Repeats => {
                let count = 100 + die.roll(400);
                load.repeat(count);
                Ok(Struck::over(format!("{count} events once more")))
            }
            Kind::Late => {
                let count = 100 + die.roll(400);
                load.send_late(count);
                Ok(Struck::over(format!("{count} events from long ago")))
            }
        }
    }

    /// Ends what went on in the background.
    ///
    /// # Errors
    /// When a process does not start.
    pub(crate) async fn end(&mut self, ending: &Ending) -> anyhow::Result<()> {
        match ending {
            Ending::Thaw { pid } if self.runs(*pid) => signal(*pid, "CONT").await,
            // It was killed meanwhile.
            Ending::Thaw { .. } => Ok(()),
            Ending::StartRegistry => self.registry.spawn(),
            Ending::StartWorker(number) => self.workers[*number].process.spawn(),
            Ending::EndWorker(number) => {
                self.workers[*number].process.end(TERM_BOUND).await.map(|_| ())
            }
        }
    }

    fn runs(&self, pid: u32) -> bool {
        let workers = self.workers.iter().map(|worker| &worker.process);
        let mut all = self.ingests.iter().chain(workers).chain([&self.registry]);
        all.any(|process| process.pid() == Some(pid))
    }

    async fn kill_ingest(&mut self, die: &mut Die) -> anyhow::Result<Struck> {
        let count = self.ingests.len() as u64;
        let ingest = &mut self.ingests[die.roll(count) as usize];
        ingest.kill().await?;
        ingest.spawn()?;
        Ok(Struck::over(ingest.name.clone()))
    }

    async fn freeze_ingest(&mut self, die: &mut Die) -> anyhow::Result<Struck> {
        let count = self.ingests.len() as u64;
        let ingest = &self.ingests[die.roll(count) as usize];
        let Some(pid) = ingest.pid() else { return Ok(Struck::over("it does not run")) };
        signal(pid, "STOP").await?;
        let wait = die.wait(ZOMBIE);
        let detail = format!("{} for {wait:?}", ingest.name);
        Ok(Struck::until(detail, wait, Ending::Thaw { pid }))
    }

    async fn kill_worker(&mut self, die: &mut Die) -> anyhow::Result<Struck> {
        let process = &mut self.workers[die.roll(WORKERS as u64) as usize].process;
        process.kill().await?;
        process.spawn()?;
        Ok(Struck::over(process.name.clone()))
    }

    async fn freeze_worker(&mut self, die: &mut Die) -> anyhow::Result<Struck> {
        let process = &self.workers[die.roll(WORKERS as u64) as usize].process;
        let Some(pid) = process.pid() else { return Ok(Struck::over("it does not run")) };
        signal(pid, "STOP").await?;
        let wait = die.wait(ZOMBIE);
        let detail = format!("{} for {wait:?}", process.name);
        Ok(Struck::until(detail, wait, Ending::Thaw { pid }))
    }

    async fn kill_workers_waiting(&mut self, die: &mut Die) -> anyhow::Result<Struck> {
        let wait = die.wait(300..1_000);
        self.signal_broker("STOP").await?;
        tokio::time::sleep(wait).await;
        for worker in &mut self.workers[..WORKERS] {
            worker.process.kill().await?;
        }
        self.signal_broker("CONT").await?;
        for worker in &mut self.workers[..WORKERS] {
            worker.process.spawn()?;
        }
        Ok(Struck::over(format!("{WORKERS} workers after {wait:?}")))
    }

    async fn restart_redis(&mut self, lost_bytes: u64) -> anyhow::Result<Struck> {
        let node = &mut self.nodes[self.master];
        let lost = node.restart(lost_bytes).await?;
        Ok(Struck::over(format!("{}, {lost} bytes lost", node.process.name)))
    }

    async fn freeze_redis(&mut self, die: &mut Die) -> anyhow::Result<Struck> {
        let wait = die.wait(1_200..4_000);
        let node = self.master();
        let Some(pid) = node.process.pid() else { return Ok(Struck::over("it does not run")) };
        signal(pid, "STOP").await?;
        tokio::time::sleep(wait).await;
        signal(pid, "CONT").await?;
        Ok(Struck::over(format!("{} for {wait:?}", node.process.name)))
    }

    async fn kill_broker(&mut self, die: &mut Die) -> anyhow::Result<Struck> {
        let wait = die.wait(100..1_500);
        self.broker.kill().await?;
        tokio::time::sleep(wait).await;
        self.broker.spawn()?;
        Ok(Struck::over(format!("away for {wait:?}")))
    }

    async fn freeze_broker(&mut self, die: &mut Die) -> anyhow::Result<Struck> {
        let wait = die.wait(1_000..5_000);
        self.signal_broker("STOP").await?;
        tokio::time::sleep(wait).await;
        self.signal_broker("CONT").await?;
        Ok(Struck::over(format!("for {wait:?}")))
    }

    async fn signal_broker(&self, name: &str) -> anyhow::Result<()> {
        match self.broker.pid() {
            Some(pid) => signal(pid, name).await,
            None => Ok(()),
        }
    }

    /// What ingest knows serves on; what it has not asked for yet has to wait.
    async fn take_registry(&mut self, die: &mut Die, load: &Load) -> anyhow::Result<Struck> {
        let id = newcomer::register(&*self.registry_client()?, die.roll(1 << 40)).await?;
        let wait = die.wait(1_000..5_000);
        let is_frozen = die.one_in(2);
        let ending = match self.registry.pid() {
            Some(pid) if is_frozen => {
                signal(pid, "STOP").await?;
                Ending::Thaw { pid }
            }
            Some(_) | None => {
                self.registry.kill().await?;
                Ending::StartRegistry
            }
        };
        load.use_schema(id, NEWCOMERS);
        let detail = format!("for {wait:?}, frozen: {is_frozen}, new schema {id}");
        Ok(Struck::until(detail, wait, ending))
    }

    /// The replica stops hearing of writes, and a while later it is the master.
    async fn promote(&mut self, die: &mut Die) -> anyhow::Result<Duration> {
        self.nodes[1 - self.master].is_linked(FOLLOW_BOUND).await;
        let lag = die.wait(300..2_500);
        self.link.switch(None);
        tokio::time::sleep(lag).await;
        self.nodes[1 - self.master].follow(None).await?;
        self.master = 1 - self.master;
        Ok(lag)
    }

    /// Who was the master follows the new one and loses what only it knew.
    async fn demote_other(&self) -> anyhow::Result<()> {
        self.link.switch(Some(self.master().address));
        let other = &self.nodes[1 - self.master];
        other.follow(Some(self.link.address())).await?;
        other.is_linked(FOLLOW_BOUND).await;
        Ok(())
    }

    async fn fail_over(&mut self, die: &mut Die) -> anyhow::Result<Struck> {
        let old = self.master;
        let lag = self.promote(die).await?;
        let is_killed = die.one_in(2);
        if is_killed {
            self.nodes[old].process.kill().await?;
        }
        self.join_master();
        if is_killed {
            self.nodes[old].restart(0).await?;
        }
        self.demote_other().await?;
        let name = &self.master().process.name;
        Ok(Struck::over(format!("to {name}, {lag:?} behind, old one killed: {is_killed}")))
    }

    async fn split(&mut self, die: &mut Die) -> anyhow::Result<Struck> {
        let lag = self.promote(die).await?;
        let seer = die.roll(WORKERS as u64) as usize;
        self.workers[seer].proxy.switch(Some(self.master().address));
        let wait = die.wait(1_000..4_000);
        tokio::time::sleep(wait / 2).await;
        // Now and then partitions move from one side to the other meanwhile.
        let moved = die.roll(2 * WORKERS as u64) as usize;
        if let Some(worker) = self.workers[..WORKERS].get_mut(moved) {
            worker.process.end(TERM_BOUND).await?;
            worker.process.spawn()?;
        }
        tokio::time::sleep(wait / 2).await;
        self.join_master();
        self.demote_other().await?;
        let sees = &self.workers[seer].process.name;
        Ok(Struck::over(format!("{sees} alone sees the new master, {lag:?} behind, for {wait:?}")))
    }

    async fn empty(&mut self, die: &mut Die) -> anyhow::Result<Struck> {
        let also = if die.one_in(3) { "FUNCTION FLUSH" } else { "PING" };
        let reply = self.master().ask("FLUSHALL").await?;
        anyhow::ensure!(reply.starts_with("+OK"), "FLUSHALL: {reply}");
        self.master().ask(also).await?;
        Ok(Struck::over(format!("{}, then {also}", self.master().process.name)))
    }

    async fn cut_connection(&mut self, die: &mut Die) -> Struck {
        let worker = &self.workers[die.roll(WORKERS as u64) as usize];
        let bytes = 1 + die.roll(60_000);
        let before = worker.proxy.cuts();
        worker.proxy.cut_after(bytes);
        let cut = async {
            while worker.proxy.cuts() == before {
                tokio::time::sleep(POLL).await;
            }
        };
        let is_cut = tokio::time::timeout(CUT_BOUND, cut).await.is_ok();
        let name = &worker.process.name;
        let when = if is_cut { "at" } else { "as soon as it sends" };
        Struck::over(format!("{name}, {when} byte {bytes}"))
    }

    async fn rebalance(&mut self, die: &mut Die) -> anyhow::Result<Struck> {
        if die.one_in(2) {
            let worker = &mut self.workers[WORKERS].process;
            worker.spawn()?;
            let wait = die.wait(4_000..8_000);
            let detail = format!("{} comes for {wait:?}", worker.name);
            return Ok(Struck::until(detail, wait, Ending::EndWorker(WORKERS)));
        }
        let number = die.roll(WORKERS as u64) as usize;
        let worker = &mut self.workers[number].process;
        let by_itself = worker.end(TERM_BOUND).await?;
        let wait = die.wait(1_000..5_000);
        let detail = format!("{} leaves for {wait:?}, drained: {by_itself}", worker.name);
        Ok(Struck::until(detail, wait, Ending::StartWorker(number)))
    }
}
