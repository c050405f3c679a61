//! A redis-server that outlived the `up` which started it: found by its pid file, ended before the next is started.

use std::path::Path;
use std::time::Duration;

use anyhow::Context;
use tokio::process::Command;
use tokio::time::{sleep, timeout};
use tracing::info;

use crate::failure::Failure;

const PID_FILE: &str = "upnext-redis.pid";
const TERM_BOUND: Duration = Duration::from_secs(5);
const POLL: Duration = Duration::from_millis(20);

pub(super) fn remember(directory: &Path, pid: u32) -> Result<(), Failure> {
    let path = directory.join(PID_FILE);
    std::fs::write(&path, pid.to_string())
        .with_context(|| format!("cannot write {}", path.display()))?;
    Ok(())
}

pub(super) fn forget(directory: &Path) {
    std::fs::remove_file(directory.join(PID_FILE)).ok();
}

/// Ends the server that the pid file names, if it still runs on this very directory.
///
/// # Errors
/// When it cannot be ended.
pub(super) async fn end(directory: &Path) -> Result<(), Failure> {
    let Some(pid) = pid_in(directory).filter(|pid| serves(*pid, directory)) else {
        forget(directory);
        return Ok(());
    };
    info!(pid, "ending the redis-server of an earlier run");
    // A frozen process takes a SIGTERM only when it goes on.
    for names in [&["TERM", "CONT"][..], &["KILL"][..]] {
        for name in names {
            signal(pid, name).await;
        }
        let gone = async {
            while serves(pid, directory) {
                sleep(POLL).await;
            }
        };
        if timeout(TERM_BOUND, gone).await.is_ok() {
            forget(directory);
            return Ok(());
        }
    }
    Err(Failure::unavailable(
        format!("the redis-server of an earlier run (pid {pid}) does not end"),
        format!("end it by hand: kill -9 {pid}"),
    ))
}

fn pid_in(directory: &Path) -> Option<u32> {
    std::fs::read_to_string(directory.join(PID_FILE)).ok()?.trim().parse().ok()
}

/// Whether the process is a redis-server whose working directory is `directory`: pids are used again.
fn serves(pid: u32, directory: &Path) -> bool {
    let process = Path::new("/proc").join(pid.to_string());
    match std::fs::read_link(process.join("cwd")) {
        Ok(cwd) => cwd == directory,
        Err(_) => false,
    }
}

/// By the shell's own `kill`, which every machine has.
async fn signal(pid: u32, name: &str) {
    Command::new("sh").args(["-c", &format!("kill -{name} {pid}")]).status().await.ok();
}
