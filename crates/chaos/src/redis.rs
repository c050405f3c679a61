//! One real redis-server with an append-only file, and the few commands the harness needs.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, bail};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::process::Command;

use crate::aof;
use crate::process::{Process, Recipe};

const START_BOUND: Duration = Duration::from_secs(20);
const ANSWER_BOUND: Duration = Duration::from_secs(5);
const POLL: Duration = Duration::from_millis(20);

pub(crate) struct Node {
    pub(crate) process: Process,
    pub(crate) address: SocketAddr,
    directory: PathBuf,
}

impl Node {
    /// Starts a server with its files in `directory` and waits until it answers.
    ///
    /// # Errors
    /// When redis-server is not there or does not come up.
    pub(crate) async fn start(name: &str, directory: PathBuf, port: u16) -> anyhow::Result<Self> {
        std::fs::create_dir_all(&directory)?;
        let process = Process::start(name, recipe(&directory, port))?;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let mut node = Self { process, address, directory };
        node.answers().await?;
        Ok(node)
    }

    /// kill -9, and, where `lost_bytes` are given, so many are cut off its file; then it comes back. Gives the bytes
    /// that are gone.
    ///
    /// # Errors
    /// When it does not come back.
    pub(crate) async fn restart(&mut self, lost_bytes: u64) -> anyhow::Result<u64> {
        self.process.kill().await?;
        let lost = if lost_bytes > 0 { aof::cut_tail(&self.directory, lost_bytes)? } else { 0 };
        self.process.spawn()?;
        self.answers().await?;
        Ok(lost)
    }

    /// Follows whoever answers at `master`; nobody: is a master itself.
    ///
    /// # Errors
    /// When it does not obey.
    pub(crate) async fn follow(&self, master: Option<SocketAddr>) -> anyhow::Result<()> {
        let line = match master {
            Some(master) => format!("REPLICAOF {} {}", master.ip(), master.port()),
            None => "REPLICAOF NO ONE".to_owned(),
        };
        let reply = self.ask(&line).await?;
        anyhow::ensure!(reply.starts_with("+OK"), "{line}: {reply}");
        Ok(())
    }

    /// Waits until it has all that its master has had when the link came up.
    ///
    /// # Errors
    /// When that takes longer than `bound`.
    pub(crate) async fn is_linked(&self, bound: Duration) -> bool {
        let linked = async {
            loop {
                let found = self.ask("INFO replication").await.unwrap_or_default();
                if found.contains("master_link_status:up") {
                    return;
                }
                tokio::time::sleep(POLL).await;
            }
        };
        tokio::time::timeout(bound, linked).await.is_ok()
    }

    /// One inline command over a connection of its own; the raw reply.
    ///
    /// # Errors
    /// When nobody answers.
    pub(crate) async fn ask(&self, line: &str) -> anyhow::Result<String> {
        let asked = async {
            let mut stream = TcpStream::connect(self.address).await?;
            stream.write_all(format!("{line}\r\nQUIT\r\n").as_bytes()).await?;
            let mut reply = String::new();
            stream.read_to_string(&mut reply).await?;
            anyhow::Ok(reply)
        };
        tokio::time::timeout(ANSWER_BOUND, asked).await.context("redis does not answer")?
    }

    async fn answers(&mut self) -> anyhow::Result<()> {
        let answering = async {
            loop {
                let reply = self.ask("PING").await.unwrap_or_default();
                if reply.starts_with("+PONG") {
                    return;
                }
                tokio::time::sleep(POLL).await;
            }
        };
        if tokio::time::timeout(START_BOUND, answering).await.is_err() {
            bail!("{} at {} does not come up", self.process.name, self.address);
        }
        Ok(())
    }
}

fn recipe(directory: &Path, port: u16) -> Recipe {
    let directory = directory.to_owned();
    Box::new(move || {
        let mut command = Command::new("redis-server");
        command
            .args(["--bind", "127.0.0.1", "--port", &port.to_string(), "--save", ""])
            .args(["--appendonly", "yes", "--appendfsync", "everysec"])
            .args(["--aof-load-truncated", "yes", "--maxmemory-policy", "noeviction"])
            .args(["--repl-diskless-sync", "yes", "--repl-diskless-sync-delay", "0"])
            .arg("--dir")
            .arg(&directory)
            .stdin(std::process::Stdio::null());
        command
    })
}
