//! Dead letters by the thousand, the schema registered, the redrive killed twice, redriven again: every event counts
//! once, what Redis holds equals a single pass over the logs, and one more redrive changes nothing.
//!
//! `scripts/chaos-redrive N [BROKERS]` runs it with more of them, and against another broker.

#![expect(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a test says what went wrong by panicking, and what it saw on standard error"
)]

#[path = "../kills/logs.rs"]
mod logs;
mod scene;

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;
use upnext_common::topic::Topic;
use upnext_contract::Decoder;
use upnext_ingest::dlq::{self, By, DeadLetters, Filter};
use upnext_testkit::eventually_async;

use scene::{Scene, size};

/// Longest wait for anything; reached only by a failure.
const BOUND: Duration = Duration::from_secs(180);

#[tokio::test(flavor = "multi_thread")]
async fn redriven_through_two_kills_every_event_counts_once() {
    let count = size();
    let scene = Scene::start().await;
    let (mut ingest, _features) = (scene.daemon("ingest"), scene.daemon("features"));
    let good = scene.write_events(count).await;
    scene.wait_for_letters(count).await;
    eprintln!("{count} dead letters, {good} valid events");

    scene.register_what_they_name().await;
    // A look-up that failed is remembered for a while: an operator waits, a test starts the process again.
    ingest.kill_and_restart();
    // Slow enough to be killed in the middle of its work, and never all of it: the third has something left to do.
    let (rate, max) = (format!("{}/s", (count / 8).max(20)), (count * 3 / 8).to_string());
    for _ in 0..2 {
        let before = scene.redriven().await;
        let mut redrive = scene.redrive(&["--rate", &rate, "--max", &max]);
        scene.wait_for_ledger(before + count / 8).await;
        redrive.kill().unwrap();
        let ended = redrive.wait().unwrap();
        eprintln!("redrive: {ended}; {} of {count} are sent back", scene.redriven().await);
        ingest.kill_and_restart();
    }
    let last = scene.redriven_to_the_end();
    let before = last["skipped"]["already_redriven"].as_u64().unwrap();
    let now = last["redriven"].as_u64().unwrap();
    eprintln!("third redrive: {now} sent, {before} had been");
    assert!(before > 0 && now > 0, "it was killed in the middle: {last}");
    assert_eq!(before + now, scene.letters().await, "{last}");

    let state = check(&scene, count + good).await;
    let ends = scene.ends(Topic::Events).await;
    let again = scene.redriven_to_the_end();
    assert_eq!(again["redriven"], 0, "{again}");
    assert_eq!(scene.ends(Topic::Events).await, ends, "nothing was written");
    assert!(check(&scene, count + good).await == state, "Redis holds the same bytes");
    eprintln!("a second redrive changed nothing");
}

/// Every source event once, and all states as one pass over the logs says. Gives what Redis holds.
async fn check(scene: &Scene, events: u64) -> BTreeMap<String, Vec<u8>> {
    let logs = scene.settled_logs(events).await;
    logs.check_nothing_is_lost();
    let decoder = Decoder::new(scene.client());
    let mut seen = BTreeMap::<String, u64>::new();
    let mut positions = std::collections::BTreeSet::new();
    for record in &logs.valid {
        // After a kill of ingest the same record may stand twice, with the same position.
        if positions.insert(logs::source(record)) {
            let event = decoder.event(record.value.as_deref().unwrap()).await.unwrap();
            *seen.entry(event.event_id).or_default() += 1;
        }
    }
    assert_eq!(seen.len() as u64, events, "every event is there");
    assert!(seen.values().all(|count| *count == 1), "and once");
    let state = scene.check_state(&logs, events).await;
    eprintln!("{events} events counted once; {} states as a single pass says", state.len());
    state
}

impl Scene {
    async fn wait_for_letters(&self, count: u64) {
        eventually_async(BOUND, async || self.letters().await >= count).await;
    }

    /// Positions of rejected records among the dead letters.
    async fn letters(&self) -> u64 {
        let from = DeadLetters { brokers: self.brokers(), topic_prefix: self.prefix().to_owned() };
        let counted = dlq::count(&from, &Filter::default(), By::Reason).await.unwrap();
        counted.total
    }

    fn redriven_to_the_end(&self) -> Value {
        let output = self.redrive(&[]).wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
        let report: Value = serde_json::from_str(said.trim()).unwrap();
        assert_eq!(report["complete"], true, "{report}");
        report
    }
}
