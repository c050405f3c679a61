//! The redis-server that `up` runs as its child.
//!
//! It stands in a process group of its own, so that a terminal's Ctrl-C does not reach it before we have drained;
//! it is started again if it dies, and stopped last. What a killed `up` leaves behind is found by its pid file.

mod orphan;

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use anyhow::Context;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::{Child, Command};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};
use tracing::{info, warn};
use upnext_common::drain::Drain;

use crate::failure::Failure;

const PROGRAM: &str = "redis-server";
const START_ATTEMPTS: usize = 5;
/// Loading a large append-only file takes time.
const START_BOUND: Duration = Duration::from_secs(60);
const STOP_BOUND: Duration = Duration::from_secs(5);
const ASK_BOUND: Duration = Duration::from_secs(1);
const POLL: Duration = Duration::from_millis(20);
const RESTART_WAIT_MIN: Duration = Duration::from_millis(50);
const RESTART_WAIT_MAX: Duration = Duration::from_secs(5);

/// A running child; [`RedisChild::stop`] ends it.
#[derive(Debug)]
pub(crate) struct RedisChild {
    port: u16,
    pid: Arc<AtomicU32>,
    drain: Drain,
    watch: JoinHandle<()>,
}

/// How the child is started, each time alike.
#[derive(Clone, Debug)]
struct Recipe {
    program: &'static str,
    directory: PathBuf,
    port: u16,
}

impl RedisChild {
    /// Ends what an earlier run left behind in `directory`, then starts a server on a free port and waits for it.
    ///
    /// # Errors
    /// [`Failure::Unavailable`] when redis-server is missing or does not come up.
    pub(crate) async fn start(directory: &Path) -> Result<Self, Failure> {
        Self::start_program(PROGRAM, directory).await
    }

    async fn start_program(program: &'static str, directory: &Path) -> Result<Self, Failure> {
        std::fs::create_dir_all(directory)
            .with_context(|| format!("cannot create {}", directory.display()))?;
        let directory = directory.canonicalize().context("the directory was just made")?;
        orphan::end(&directory).await?;
        for _ in 0..START_ATTEMPTS {
            let port = free_port().await.context("no free port on loopback")?;
            let recipe = Recipe { program, directory: directory.clone(), port };
            let mut child = recipe.spawn()?;
            // Another process may have taken the port in between: then the child ends, and the next is tried.
            if is_up(&mut child, port).await {
                return Ok(Self::watched(recipe, child));
            }
        }
        let log = directory.join("redis.log");
        Err(Failure::unavailable(
            format!("redis-server does not start in {}", directory.display()),
            format!("its own words are in {}", log.display()),
        ))
    }

    fn watched(recipe: Recipe, child: Child) -> Self {
        let pid = Arc::new(AtomicU32::new(child.id().unwrap_or(0)));
        let drain = Drain::new();
        let port = recipe.port;
        let watch = tokio::spawn(watch(recipe, child, Arc::clone(&pid), drain.clone()));
        Self { port, pid, drain, watch }
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    pub(crate) fn pid(&self) -> u32 {
        self.pid.load(Ordering::Acquire)
    }

    /// Lets the server write what it holds and ends it; one that is frozen is killed.
    pub(crate) async fn stop(self) {
        self.drain.start();
        if let Err(error) = self.watch.await {
            warn!(%error, "the watch over redis-server failed");
        }
    }
}

impl Recipe {
    fn spawn(&self) -> Result<Child, Failure> {
        let child = Command::new(self.program)
            .args(["--bind", "127.0.0.1", "--port", &self.port.to_string(), "--save", ""])
            .args(["--appendonly", "yes", "--appendfsync", "everysec"])
            .args(["--maxmemory-policy", "noeviction", "--logfile", "redis.log", "--dir"])
            .arg(&self.directory)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .map_err(|error| missing(self.program, &error))?;
        let pid = child.id().context("redis-server ended at once")?;
        orphan::remember(&self.directory, pid)?;
        Ok(child)
    }
}

fn missing(program: &str, error: &std::io::Error) -> Failure {
    Failure::unavailable(
        format!("cannot start {program}: {error}"),
        "install Redis 7 or later (Debian: apt-get install redis-server; macOS: brew install redis), \
         or set redis.url to a running one",
    )
}

async fn watch(recipe: Recipe, mut child: Child, pid: Arc<AtomicU32>, drain: Drain) {
    let mut wait = RESTART_WAIT_MIN;
    loop {
        let ended = tokio::select! {
            () = drain.started() => break,
            ended = child.wait() => ended,
        };
        warn!(?ended, "redis-server ended by itself, starting it again");
        while !drain.has_started() {
            sleep(wait).await;
            wait = (wait * 2).min(RESTART_WAIT_MAX);
            if let Ok(next) = recipe.spawn() {
                child = next;
                if is_up(&mut child, recipe.port).await {
                    pid.store(child.id().unwrap_or(0), Ordering::Release);
                    info!(port = recipe.port, "redis-server is back");
                    wait = RESTART_WAIT_MIN;
                    break;
                }
            }
        }
    }
    end(&mut child, recipe.port).await;
    orphan::forget(&recipe.directory);
}

async fn end(child: &mut Child, port: u16) {
    drop(ask(port, "SHUTDOWN NOSAVE").await);
    if timeout(STOP_BOUND, child.wait()).await.is_err() {
        warn!("redis-server does not stop, killing it");
        child.kill().await.ok();
    }
}

/// Whether it answers before it ends by itself.
async fn is_up(child: &mut Child, port: u16) -> bool {
    let answers = async {
        while !ask(port, "PING").await.is_some_and(|reply| reply.starts_with("+PONG")) {
            sleep(POLL).await;
        }
    };
    tokio::select! {
        () = answers => true,
        _ = child.wait() => false,
        () = sleep(START_BOUND) => { child.kill().await.ok(); false }
    }
}

/// One inline command on a connection of its own; `None` when nothing answers in time.
async fn ask(port: u16, line: &str) -> Option<String> {
    let exchange = async {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await.ok()?;
        stream.write_all(format!("{line}\r\nQUIT\r\n").as_bytes()).await.ok()?;
        let mut reply = String::new();
        stream.read_to_string(&mut reply).await.ok()?;
        Some(reply)
    };
    timeout(ASK_BOUND, exchange).await.ok().flatten()
}

async fn free_port() -> std::io::Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?.local_addr()?.port())
}

#[cfg(test)]
mod tests;
