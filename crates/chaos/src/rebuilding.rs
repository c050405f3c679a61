//! `upnext features rebuild` beside the load: begun, killed, begun again, until it has done its work.

use anyhow::bail;

use crate::process::Process;
use crate::proxy::Proxy;

/// So many attempts end badly by themselves before it is given up: what it needs is away now and then.
const FAILURES_MAX: u32 = 60;

pub(crate) struct Rebuilding {
    process: Process,
    /// Its way to Redis.
    pub(crate) proxy: Proxy,
    /// How often the new state was taken into service.
    pub(crate) done: u64,
    failures: u32,
}

impl Rebuilding {
    pub(crate) fn idle(process: Process, proxy: Proxy) -> Self {
        Self { process, proxy, done: 0, failures: 0 }
    }

    /// Begins one; where one goes on it is killed first, and so continued. What was done.
    ///
    /// # Errors
    /// When it cannot be started.
    pub(crate) async fn strike(&mut self) -> anyhow::Result<&'static str> {
        let goes_on = self.goes_on()?;
        self.process.kill().await?;
        self.process.spawn()?;
        Ok(if goes_on { "killed and continued" } else { "begins" })
    }

    /// Whether one goes on. One that ended badly begins again.
    ///
    /// # Errors
    /// When it ends badly all the time.
    pub(crate) fn goes_on(&mut self) -> anyhow::Result<bool> {
        match self.process.ended()? {
            Some(true) => self.done += 1,
            Some(false) => {
                self.failures += 1;
                if self.failures > FAILURES_MAX {
                    bail!("the rebuild ended badly {} times", self.failures);
                }
                self.process.spawn()?;
            }
            None => {}
        }
        Ok(self.process.pid().is_some())
    }
}
