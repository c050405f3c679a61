//! `upnext ingest` as a process that dies: by kill -9 under load, and by a record that aborts whoever decodes it.
//!
//! Afterwards every record of the raw topic has its outcome: by source position, what was consumed is what is valid,
//! what is dead, and what a reader drops as a repeat. `scripts/chaos-ingest KILLS` runs the long form.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says so")]

mod scene;

use std::collections::BTreeMap;
use std::time::Duration;

use upnext_common::clock::Clock;
use upnext_testkit::eventually_async;

use scene::{Daemon, Load, Outcome, Scene};

/// Load between two kills.
const BETWEEN_KILLS: Duration = Duration::from_millis(1_200);
const KILLS: u32 = 4;
/// How many kills, where it is to be another number.
const KILLS_VARIABLE: &str = "CHAOS_KILLS";
const SETTLE_BOUND: Duration = Duration::from_secs(120);

/// A value that aborts the decoder of a debug build.
const FUSE: &[u8] = b"upnext: abort the decoder of a debug build";

#[expect(clippy::disallowed_methods, reason = "the long form says its length in the environment")]
fn kills() -> u32 {
    std::env::var(KILLS_VARIABLE).ok().and_then(|text| text.parse().ok()).unwrap_or(KILLS)
}

#[tokio::test(flavor = "multi_thread")]
async fn kill_minus_nine_of_ingest_loses_nothing_and_repeats_say_so() {
    let scene = Scene::start().await;
    let mut daemon = Daemon::start(&scene, &[]);
    let load = Load::start(&scene);
    for _ in 0..kills() {
        tokio::time::sleep(BETWEEN_KILLS).await;
        daemon.kill_and_restart();
    }
    let sent = load.finish().await;
    let mut outcomes = Vec::new();
    eventually_async(SETTLE_BOUND, async || {
        outcomes = scene.outcomes().await;
        positions(&outcomes).len() as u64 >= sent.records
    })
    .await;
    let raw = scene.raw().await;
    let by_position = positions(&outcomes);
    assert_eq!(by_position.keys().copied().collect::<Vec<_>>(), raw, "each record has an outcome");
    for (position, found) in &by_position {
        let is_same = found.iter().all(|outcome| outcome.reason == found[0].reason);
        assert!(is_same, "{position:?} has two verdicts: {found:?}");
    }
    let repeats = outcomes.len() - by_position.len();
    let dropped = scene::dropped_by_a_reader(&outcomes);
    let is_dead = |(_, found): &(_, &Vec<&Outcome>)| found[0].reason.is_some();
    let dead: Vec<_> = by_position.iter().filter(is_dead).map(|(position, _)| *position).collect();
    assert_eq!(dead, sent.garbage, "what is bad is dead, and nothing else");
    let dead = dead.len();
    assert_eq!(repeats, dropped, "a reader that counts positions once drops each repeat");
    eprintln!(
        "{} kills: {} consumed = {} valid + {dead} dead; {repeats} repeats, all dropped by position",
        kills(),
        raw.len(),
        raw.len() - dead,
    );
}

/// Outcomes by the position of their record.
fn positions(outcomes: &[Outcome]) -> BTreeMap<(i32, i64), Vec<&Outcome>> {
    let mut by_position: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for outcome in outcomes {
        by_position.entry(outcome.source).or_default().push(outcome);
    }
    by_position
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_that_aborts_its_decoder_is_found_and_all_others_go_on() {
    let scene = Scene::start().await;
    let mut sent = 0;
    let mut poison = None;
    for number in 0..600 {
        let mut record = scene.event(number, Clock::system().now_ms());
        if number == 301 {
            let value = [&record.value.unwrap()[..], FUSE].concat();
            record.value = Some(value.into());
        }
        let written = scene.write(&record).await;
        if number == 301 {
            poison = Some(written);
        }
        sent += 1;
    }
    let mut daemon = Daemon::start(&scene, &[]);
    let mut restarts = 0;
    eventually_async(SETTLE_BOUND, async || {
        if daemon.has_ended() {
            restarts += 1;
            daemon.restart();
        }
        positions(&scene.outcomes().await).len() == sent
    })
    .await;
    assert!(!daemon.has_ended());
    let outcomes = scene.outcomes().await;
    let dead = positions(&outcomes)
        .into_iter()
        .filter_map(|(position, found)| Some((position, found[0].reason.clone()?)))
        .collect::<Vec<_>>();
    assert_eq!(dead, [(poison.unwrap(), "process_abort".to_owned())]);
    assert!((1..=3).contains(&restarts), "{restarts} restarts");
    eprintln!("poison among {sent} records isolated after {restarts} restarts");
}
