//! A broker in a process of its own, that can be killed.

use std::io::{BufRead, BufReader};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;
use upnext_broker::{Broker, BrokerConfig};

/// Tells this test binary to be the broker of another run of itself: `port data_dir`.
const ROLE: &str = "BROKER_CHAOS_ROLE";
const READY: &str = "listening on ";

/// Not a test of its own: the process that the others kill.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn broker_process() {
    let Ok(role) = std::env::var(ROLE) else { return };
    let (port, directory) = role.split_once(' ').unwrap();
    let listen = SocketAddr::from((Ipv4Addr::LOCALHOST, port.parse().unwrap()));
    let mut config = BrokerConfig::new(listen, Path::new(directory));
    config.clean_interval = Duration::from_millis(100);
    let broker = Broker::start(config).await.unwrap();
    println!("{READY}{}", broker.address());
    std::future::pending::<()>().await;
}

pub(crate) struct BrokerProcess {
    pub directory: TempDir,
    port: u16,
    child: Child,
    /// Kept open: the test harness of the child has something to say after a minute, and ends if nobody listens.
    _output: Output,
}

type Output = BufReader<ChildStdout>;

impl BrokerProcess {
    pub(crate) fn start() -> Self {
        let directory = TempDir::new().unwrap();
        let port =
            TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port();
        let (child, output) = spawn(port, directory.path());
        Self { directory, port, child, _output: output }
    }

    pub(crate) fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// `kill -9`, then a new process on what is left.
    pub(crate) fn kill_and_restart(&mut self) {
        self.kill();
        (self.child, self._output) = spawn(self.port, self.directory.path());
    }

    fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Memory the process has in use.
    pub(crate) fn resident_bytes(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1_024
    }

    /// Bytes of the segments of a topic's partition 0.
    pub(crate) fn log_bytes(&self, topic: &str) -> u64 {
        let directory = self.directory.path().join("topics").join(topic).join("0");
        let entries = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap());
        let logs = entries.filter(|entry| entry.path().extension().is_some_and(|it| it == "log"));
        logs.filter_map(|log| log.metadata().ok()).map(|log| log.len()).sum()
    }

    /// Names of the segments of a topic's partition 0.
    pub(crate) fn segments(&self, topic: &str) -> Vec<String> {
        let directory = self.directory.path().join("topics").join(topic).join("0");
        let entries = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap());
        let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
        let mut names: Vec<String> = names.filter(|name| name.ends_with(".log")).collect();
        names.sort_unstable();
        names
    }
}

impl Drop for BrokerProcess {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Starts the process and waits until it listens.
fn spawn(port: u16, directory: &Path) -> (Child, Output) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "process::broker_process", "--nocapture"])
        .env(ROLE, format!("{port} {}", directory.display()))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut output = BufReader::new(child.stdout.take().unwrap());
    let ready = (&mut output).lines().map_while(Result::ok).any(|line| line.contains(READY));
    assert!(ready, "the broker ended before it listened");
    (child, output)
}
