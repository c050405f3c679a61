//! The three daemons as processes of their own, on a broker, a registry and a Redis that are not theirs.

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Stdio};

use serde_json::json;
use upnext_testkit::{Stack, eventually};

use crate::running::{BOUND, call, signal, upnext};

/// One daemon; ended on drop.
struct Daemon(Child);

impl Daemon {
    /// With its files in `directory`.
    fn start(verb: &str, stack: &Stack, directory: &Path) -> Self {
        let brokers = format!("kafka.brokers={}", stack.brokers());
        let registry = format!("registry.url={}", stack.registry_url());
        let redis = format!("redis.url={}", stack.redis_url());
        let mut command = upnext(&[verb, "--set", &brokers, "--set", &registry, "--set", &redis]);
        command.args(["--set", "serve.listen=127.0.0.1:0", "--set", "ops.listen=127.0.0.1:0"]);
        command.current_dir(directory);
        Self(command.args(["--set", "log.filter=warn"]).stderr(Stdio::piped()).spawn().unwrap())
    }

    /// The first line on standard error that holds `part`.
    fn says(&mut self, part: &str) -> String {
        let lines = BufReader::new(self.0.stderr.as_mut().unwrap()).lines();
        lines.map_while(Result::ok).find(|line| line.contains(part)).unwrap()
    }

    fn terminate(mut self) -> String {
        signal(self.0.id(), "TERM");
        let said = self.says("drained");
        assert!(self.0.wait().unwrap().success());
        said
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn separate_processes_make_the_same_system() {
    let stack = Stack::start().await;
    let files = tempfile::tempdir().unwrap();
    let ingest = Daemon::start("ingest", &stack, files.path());
    let features = Daemon::start("features", &stack, files.path());
    let mut serve = Daemon::start("serve", &stack, files.path());
    let said = serve.says("answers at");
    let http = said.trim_start_matches("answers at ").to_owned();
    let event = json!({"events": [
        {"type": "ItemClicked", "user_id": "u1", "session_id": "s", "item_id": "a"},
        {"type": "ItemClicked", "user_id": "u1", "session_id": "s", "item_id": "b"},
    ]});
    eventually(BOUND, || call(&http, "POST", "/v1/events", Some(&event)).0 == 202);
    eventually(BOUND, || {
        let (_, user) = call(&http, "GET", "/v1/users/u1/features", None);
        user["recent"].as_array().is_some_and(|recent| recent.len() >= 2)
    });
    drop(serve);
    assert!(ingest.terminate().contains("accepted, 0 rejected"));
    assert!(features.terminate().contains("events and"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn state_that_is_laid_out_otherwise_is_refused_with_what_to_do() {
    let stack = Stack::start().await;
    let files = tempfile::tempdir().unwrap();
    let recorded = "SET upnext:layout \"groups=1 valid=99 signals=4\"";
    assert!(stack.redis.command(recorded).starts_with("+OK"));
    let mut features = Daemon::start("features", &stack, files.path());
    let mut said = String::new();
    features.0.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    assert_eq!(features.0.wait().unwrap().code(), Some(78), "{said}");
    assert!(said.contains("valid=99") && said.contains("upnext features rebuild"), "{said}");
}
