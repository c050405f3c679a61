//! `kill -9` while schemas are registered: what was acknowledged is there, with the same id, and ids are not given twice.
#![expect(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "tests; the role of a child comes from the environment"
)]

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use upnext_common::clock::Clock;
use upnext_common::config;
use upnext_contract::RegistryClient;
use upnext_registry::{Registry, RegistryConfig};

/// Tells this test binary to be the registry of another run of itself: the directory.
const ROLE: &str = "REGISTRY_KILLS_ROLE";
const READY: &str = "listening on ";
const ROUNDS: u32 = 5;

/// Not a test of its own: the process that is killed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn registry_process() {
    let Ok(directory) = std::env::var(ROLE) else { return };
    let listen = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let config = RegistryConfig { listen, data_dir: directory.into() };
    let registry = Registry::start(config).await.unwrap();
    println!("{READY}{}", registry.url());
    std::future::pending::<()>().await;
}

/// The process, and where it listens.
struct RegistryProcess {
    child: Child,
    client: Arc<RegistryClient>,
}

impl RegistryProcess {
    fn start(directory: &Path) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "registry_process", "--nocapture"])
            .env(ROLE, directory)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let url = lines
            .map_while(Result::ok)
            .find_map(|line| line.split_once(READY).map(|(_, url)| url.trim().to_owned()))
            .unwrap();
        let client = RegistryClient::new(&url, &config::Registry::default(), Clock::system());
        Self { child, client: Arc::new(client.unwrap()) }
    }

    fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for RegistryProcess {
    fn drop(&mut self) {
        self.kill();
    }
}

fn schema(number: u32) -> String {
    format!(r#"{{"type":"record","name":"R{number}","fields":[]}}"#)
}

/// Registers schemas from `first` on until the registry is gone; those that were acknowledged, with their ids.
async fn register_until_gone(
    client: Arc<RegistryClient>,
    first: u32,
    count: Arc<AtomicUsize>,
) -> BTreeMap<u32, u32> {
    let mut acknowledged = BTreeMap::new();
    for number in first.. {
        match client.register(&format!("s-{number}"), &schema(number)).await {
            Ok(id) => acknowledged.insert(number, id),
            Err(_) => break,
        };
        count.store(acknowledged.len(), Ordering::Release);
    }
    acknowledged
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn acknowledged_schemas_survive_kills_with_their_ids() {
    let directory = tempfile::tempdir().unwrap();
    let mut acknowledged: BTreeMap<u32, u32> = BTreeMap::new();
    for round in 0..ROUNDS {
        let mut registry = RegistryProcess::start(directory.path());
        for (number, id) in &acknowledged {
            let again = registry.client.register(&format!("s-{number}"), &schema(*number)).await;
            assert_eq!(again.unwrap(), *id, "schema {number} in round {round}");
        }
        let first = round * 1_000_000;
        let count = Arc::new(AtomicUsize::new(0));
        let (client, counted) = (Arc::clone(&registry.client), Arc::clone(&count));
        let registering = tokio::spawn(register_until_gone(client, first, counted));
        // Some are registered, then it dies in the midst of another.
        while count.load(Ordering::Acquire) < 10 && !registering.is_finished() {
            tokio::task::yield_now().await;
        }
        registry.kill();
        acknowledged.extend(registering.await.unwrap());
    }
    assert!(acknowledged.len() >= 10 * ROUNDS as usize);
    let distinct: std::collections::BTreeSet<&u32> = acknowledged.values().collect();
    assert_eq!(distinct.len(), acknowledged.len(), "no id was given twice");
    let registry = RegistryProcess::start(directory.path());
    for (number, id) in &acknowledged {
        let again = registry.client.register(&format!("s-{number}"), &schema(*number)).await;
        assert_eq!(again.unwrap(), *id, "schema {number}");
    }
}
