//! A child process that is killed, frozen, thawed and started again.

use std::process::Stdio;
use std::time::Duration;

use anyhow::Context;
use tokio::process::{Child, Command};

/// How a process is started, again and again alike.
pub(crate) type Recipe = Box<dyn Fn() -> Command + Send + Sync>;

/// Killed when it is dropped.
pub(crate) struct Process {
    pub(crate) name: String,
    recipe: Recipe,
    child: Option<Child>,
    /// How often it ended without having been asked to.
    deaths: u32,
}

impl Process {
    pub(crate) fn start(name: &str, recipe: Recipe) -> anyhow::Result<Self> {
        let mut process = Self::idle(name, recipe);
        process.spawn()?;
        Ok(process)
    }

    /// One that does not run yet.
    pub(crate) fn idle(name: &str, recipe: Recipe) -> Self {
        Self { name: name.to_owned(), recipe, child: None, deaths: 0 }
    }

    /// Starts it unless it runs.
    pub(crate) fn spawn(&mut self) -> anyhow::Result<()> {
        if self.child.is_some() {
            return Ok(());
        }
        let mut command = (self.recipe)();
        command.stdout(Stdio::null()).kill_on_drop(true);
        let child = command.spawn().with_context(|| format!("cannot start {}", self.name))?;
        self.child = Some(child);
        Ok(())
    }

    pub(crate) fn pid(&self) -> Option<u32> {
        self.child.as_ref().and_then(Child::id)
    }

    /// kill -9, and waits until it is gone.
    pub(crate) async fn kill(&mut self) -> anyhow::Result<()> {
        if let Some(mut child) = self.child.take() {
            child.kill().await.with_context(|| format!("cannot kill {}", self.name))?;
        }
        Ok(())
    }

    /// SIGTERM, and waits until it is gone; kill -9 once `bound` has passed. True when it went by itself.
    pub(crate) async fn end(&mut self, bound: Duration) -> anyhow::Result<bool> {
        let Some(mut child) = self.child.take() else { return Ok(true) };
        if let Some(pid) = child.id() {
            signal(pid, "TERM").await?;
        }
        if let Ok(ended) = tokio::time::timeout(bound, child.wait()).await {
            ended.with_context(|| format!("cannot wait for {}", self.name))?;
            return Ok(true);
        }
        child.kill().await.with_context(|| format!("cannot kill {}", self.name))?;
        Ok(false)
    }

    /// Whether it ended by itself since this was last asked, and if so, whether it ended well.
    pub(crate) fn ended(&mut self) -> anyhow::Result<Option<bool>> {
        let Some(child) = &mut self.child else { return Ok(None) };
        let Some(status) = child.try_wait()? else { return Ok(None) };
        self.child = None;
        Ok(Some(status.success()))
    }

    /// Starts it again where it died by itself. Gives how often that has happened.
    pub(crate) fn revive(&mut self) -> anyhow::Result<u32> {
        let has_ended = match &mut self.child {
            Some(child) => child.try_wait()?.is_some(),
            None => false,
        };
        if has_ended {
            self.child = None;
            self.deaths += 1;
            self.spawn()?;
        }
        Ok(self.deaths)
    }
}

/// By the shell's own `kill`, which every machine has.
pub(crate) async fn signal(pid: u32, name: &str) -> anyhow::Result<()> {
    let line = format!("kill -{name} {pid}");
    let status = Command::new("sh").args(["-c", &line]).stderr(Stdio::null()).status().await;
    status.with_context(|| format!("cannot run {line}"))?;
    Ok(())
}
