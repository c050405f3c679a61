//! A real redis-server as a child of the test.

use std::fs::File;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;

use crate::wait::{eventually, free_port};

const START_BOUND: Duration = Duration::from_secs(10);
const START_ATTEMPTS: usize = 5;

/// One redis-server on a free port with its files in a directory of its own; ended on drop.
#[derive(Debug)]
pub struct Redis {
    directory: TempDir,
    port: u16,
    /// Settings beside the usual ones.
    settings: Vec<String>,
    child: Child,
}

impl Redis {
    /// Starts a server with `noeviction` and an append-only file, and waits until it answers.
    ///
    /// # Panics
    /// When redis-server is not on PATH or does not come up.
    #[must_use]
    pub fn start() -> Self {
        Self::start_with(Vec::new)
    }

    /// The same with more settings, asked for anew at each attempt: they may hold ports too.
    pub(crate) fn start_with(settings: impl Fn() -> Vec<String>) -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory can be made");
        for _ in 0..START_ATTEMPTS {
            let (port, settings) = (free_port(), settings());
            // Another process may have taken the port in between: then the child ends, and the next port is tried.
            if let Some(child) = spawn(&directory, port, &settings) {
                return Self { directory, port, settings, child };
            }
        }
        panic!("redis-server did not start on {START_ATTEMPTS} free ports in turn");
    }

    /// `redis://127.0.0.1:port`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    pub(crate) fn settings(&self) -> &[String] {
        &self.settings
    }

    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Freezes the server: connections stay open, nothing is answered.
    pub fn stop_signal(&self) {
        signal(self.pid(), "STOP");
    }

    /// Lets a frozen server go on.
    pub fn cont_signal(&self) {
        signal(self.pid(), "CONT");
    }

    /// Ends the server at once, as `kill -9` does. What was not yet synced is lost.
    pub fn kill(&mut self) {
        self.child.kill().expect("the child can be killed");
        self.child.wait().expect("the child can be waited for");
    }

    /// Starts the server again on the same port and files, ending it first where it still runs.
    pub fn restart(&mut self) {
        self.kill();
        self.child =
            spawn(&self.directory, self.port, &self.settings).expect("the port is free again");
    }

    /// Ends the server, cuts `bytes` off the end of its append-only file and starts it again: its newest writes are
    /// lost, an older prefix of them survives, as after a power cut.
    pub fn restart_losing(&mut self, bytes: u64) {
        self.kill();
        let folder = self.directory.path().join("appendonlydir");
        let files = std::fs::read_dir(folder).expect("the append-only files can be listed");
        let paths = files.filter_map(|file| Some(file.ok()?.path()));
        let newest = paths.filter(|path| path.to_string_lossy().ends_with(".incr.aof")).max();
        let path = newest.expect("there is an append-only file");
        let file = File::options().write(true).open(path).expect("the file can be opened");
        let length = file.metadata().expect("the file has a length").len();
        file.set_len(length.saturating_sub(bytes)).expect("the file can be cut");
        self.child =
            spawn(&self.directory, self.port, &self.settings).expect("the port is free again");
    }

    /// Sends one inline command and gives the raw reply: for assertions without a client library.
    #[must_use]
    pub fn command(&self, line: &str) -> String {
        ask(self.port, line).unwrap_or_default()
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

fn spawn(directory: &TempDir, port: u16, settings: &[String]) -> Option<Child> {
    let mut child = Command::new("redis-server")
        .args(["--bind", "127.0.0.1", "--port", &port.to_string()])
        .args(["--save", "", "--appendonly", "yes", "--appendfsync", "everysec"])
        .args(["--maxmemory-policy", "noeviction", "--dir"])
        .arg(directory.path())
        .args(settings)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
        .expect("redis-server is on PATH (Debian: apt-get install redis-server)");
    let mut has_ended = false;
    eventually(START_BOUND, || {
        has_ended = child.try_wait().expect("the child can be waited for").is_some();
        has_ended || ask(port, "PING").is_some_and(|reply| reply.starts_with("+PONG"))
    });
    (!has_ended).then_some(child)
}

/// One inline command over a connection of its own.
fn ask(port: u16, line: &str) -> Option<String> {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(2))).ok()?;
    stream.write_all(format!("{line}\r\nQUIT\r\n").as_bytes()).ok()?;
    let mut reply = String::new();
    stream.read_to_string(&mut reply).ok()?;
    Some(reply)
}

/// By the shell's own `kill`, which every machine has.
fn signal(pid: u32, name: &str) {
    let status = Command::new("sh")
        .args(["-c", &format!("kill -{name} {pid}")])
        .status()
        .expect("sh can be started");
    assert!(status.success(), "kill -{name} {pid}");
}
