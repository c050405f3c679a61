//! Redis away for a while, and Redis emptied, under load: answers go on, no partition moves, every event is counted
//! once. `REDIS_AWAY_SECONDS` and `REDIS_LOST_EVENTS` set the length; scripts/redis-away gives them.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use serde_json::{Value, json};
use upnext_common::clock::Clock;
use upnext_testkit::{Redis, eventually};

use crate::running::{Up, call, upnext};

const USERS: u64 = 40;
const EVENTS_PER_POST: u64 = 25;
/// Pause between two posts, and between two questions.
const POST_EVERY: Duration = Duration::from_millis(50);
const ASK_EVERY: Duration = Duration::from_millis(20);
/// For the next step of what has to be caught up with on a slow machine.
const BOUND: Duration = Duration::from_secs(180);
/// Most that the process may grow while Redis is away, MB: queues of both stages, a debug build's share.
const GROWTH_MAX_MB: u64 = 300;

#[expect(clippy::disallowed_methods, reason = "the length of a test is not configuration")]
fn told(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

/// Events and questions at a fixed pace until ended.
struct Load {
    is_over: Arc<AtomicBool>,
    /// Answers by whether their status was 200.
    good: Arc<AtomicU64>,
    bad: Arc<AtomicU64>,
    posting: JoinHandle<u64>,
    asking: JoinHandle<()>,
}

fn post(http: &str, first: u64) {
    let events: Vec<Value> = (first..first + EVENTS_PER_POST)
        .map(|at| {
            json!({"type": "ItemClicked", "user_id": format!("u{}", at % USERS),
                "session_id": "s", "item_id": format!("i{}", at * 7 % 50)})
        })
        .collect();
    let (status, body) = call(http, "POST", "/v1/events", Some(&json!({ "events": events })));
    assert_eq!(status, 202, "{body}");
}

#[expect(clippy::disallowed_methods, reason = "it paces the load, it waits for nothing")]
fn pace(every: Duration, is_over: &AtomicBool, mut turn: impl FnMut(u64)) -> u64 {
    let mut turns = 0;
    while !is_over.load(Ordering::Acquire) {
        turn(turns);
        turns += 1;
        std::thread::sleep(every);
    }
    turns
}

impl Load {
    /// `posted` events were there before.
    fn start(up: &Up, posted: u64) -> Self {
        let is_over = Arc::new(AtomicBool::new(false));
        let (good, bad) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
        let (http, over) = (up.text("http").to_owned(), Arc::clone(&is_over));
        let posting = std::thread::spawn(move || {
            let turn = |at| post(&http, posted + at * EVENTS_PER_POST);
            posted + EVENTS_PER_POST * pace(POST_EVERY, &over, turn)
        });
        let (http, over) = (up.text("http").to_owned(), Arc::clone(&is_over));
        let counts = (Arc::clone(&good), Arc::clone(&bad));
        let asking = std::thread::spawn(move || {
            pace(ASK_EVERY, &over, |at| {
                let ask = json!({"user_id": format!("u{}", at % USERS), "k": 5});
                let (status, _) = call(&http, "POST", "/v1/recommendations", Some(&ask));
                let count = if status == 200 { &counts.0 } else { &counts.1 };
                count.fetch_add(1, Ordering::AcqRel);
            });
        });
        Self { is_over, good, bad, posting, asking }
    }

    /// Waits until so many more questions were answered, however.
    fn answered(&self, more: u64) {
        let all = || self.good.load(Ordering::Acquire) + self.bad.load(Ordering::Acquire);
        let aim = all() + more;
        eventually(BOUND, || all() >= aim);
    }

    /// How many events there are, how many answers were 200 and how many were not.
    fn ended(self) -> (u64, u64, u64) {
        self.is_over.store(true, Ordering::Release);
        let events = self.posting.join().unwrap();
        self.asking.join().unwrap();
        (events, self.good.load(Ordering::Acquire), self.bad.load(Ordering::Acquire))
    }
}

/// Waits until every event is in its user's state, once: however long that takes, as long as it goes on.
fn complete(up: &Up, events: u64) {
    let expected: Vec<u64> =
        (0..USERS).map(|user| events / USERS + u64::from(user < events % USERS)).collect();
    let mut before = None;
    while before.as_ref() != Some(&expected) {
        let mut counted = Vec::new();
        eventually(BOUND, || {
            counted = (0..USERS).map(|user| clicks(up, user)).collect();
            before.as_ref() != Some(&counted)
        });
        before = Some(counted);
    }
}

fn clicks(up: &Up, user: u64) -> u64 {
    let (_, body) = up.get(&format!("/v1/users/u{user}/features"));
    body["windows"]["24h"]["click"].as_u64().unwrap_or(0)
}

/// Whether every state, of items too, is what the log says.
fn verify(up: &Up, directory: &Path) {
    let output = upnext(&["features", "verify"])
        .args(["--set", &format!("kafka.brokers={}", up.text("kafka"))])
        .args(["--set", &format!("registry.url={}", up.text("registry"))])
        .args(["--set", &format!("redis.url={}", up.text("redis"))])
        .current_dir(directory)
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{told}{}", String::from_utf8_lossy(&output.stderr));
}

fn rebalances(up: &Up) -> Vec<String> {
    let lines = metrics(up);
    lines
        .lines()
        .filter(|line| line.starts_with("upnext_group_rebalances"))
        .map(str::to_owned)
        .collect()
}

fn metrics(up: &Up) -> String {
    let (status, text) = up.text_of("ops", "/metrics");
    assert_eq!(status, 200);
    text
}

/// The largest over all partitions, seconds.
fn lag(up: &Up) -> f64 {
    let text = metrics(up);
    let lines = text
        .lines()
        .filter(|line| line.starts_with("upnext_consumer_lag_seconds{topic=\"events.valid"));
    lines.filter_map(|line| line.rsplit(' ').next()?.parse().ok()).fold(0.0, f64::max)
}

fn resident_mb(pid: u32) -> u64 {
    let path = Path::new("/proc").join(pid.to_string()).join("status");
    let text = std::fs::read_to_string(path).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.split_whitespace().next().unwrap().parse::<u64>().unwrap() / 1_024
}

fn start(redis: &Redis, directory: &Path) -> Up {
    let up = Up::start(directory, &["--set", &format!("redis.url={}", redis.url())]);
    // All groups have settled once every user is known.
    (0..10).for_each(|at| post(up.text("http"), at * EVENTS_PER_POST));
    complete(&up, 10 * EVENTS_PER_POST);
    up
}

#[test]
fn redis_that_is_away_for_long_moves_no_partition_and_costs_no_event() {
    let seconds = told("REDIS_AWAY_SECONDS", 3);
    let directory = tempfile::tempdir().unwrap();
    let mut redis = Redis::start();
    let up = start(&redis, directory.path());
    let (before, before_mb) = (rebalances(&up), resident_mb(up.pid("upnext")));
    let load = Load::start(&up, 10 * EVENTS_PER_POST);
    load.answered(50);
    redis.kill();
    let clock = Clock::system();
    let gone = clock.instant();
    let mut most_mb = before_mb;
    while clock.instant().duration_since(gone).as_secs() < seconds {
        load.answered(20);
        most_mb = most_mb.max(resident_mb(up.pid("upnext")));
    }
    assert_eq!(load.bad.load(Ordering::Acquire), 0);
    // What waits ages.
    eventually(BOUND, || lag(&up) > 1.0);
    redis.restart();
    load.answered(50);
    let (events, good, bad) = load.ended();
    let back = clock.instant();
    complete(&up, events);
    let caught_up = clock.instant().duration_since(back);
    println!(
        "Redis away for {seconds} s: {events} events, all counted once {caught_up:.1?} after the last; {good} answers 200, {bad} not; {before_mb} MB resident before, at most {most_mb} MB; rebalances {:?} before, {:?} after",
        before,
        rebalances(&up)
    );
    assert_eq!((bad, rebalances(&up)), (0, before));
    eventually(BOUND, || lag(&up) <= 0.0);
    assert!(most_mb < before_mb + GROWTH_MAX_MB, "{before_mb} MB, then {most_mb} MB");
    assert!(metrics(&up).lines().any(|line| line.starts_with("upnext_state_resets_total{")));
    verify(&up, directory.path());
    assert!(up.terminate().success());
}

#[test]
fn redis_that_lost_everything_is_complete_again_and_answers_went_on() {
    let directory = tempfile::tempdir().unwrap();
    let redis = Redis::start();
    let up = start(&redis, directory.path());
    let posts = 10 + told("REDIS_LOST_EVENTS", 1_000) / EVENTS_PER_POST;
    (10..posts).for_each(|at| post(up.text("http"), at * EVENTS_PER_POST));
    complete(&up, posts * EVENTS_PER_POST);
    let load = Load::start(&up, posts * EVENTS_PER_POST);
    load.answered(20);
    let clock = Clock::system();
    let lost = clock.instant();
    assert!(redis.command("FLUSHALL").starts_with("+OK"));
    load.answered(50);
    let (events, good, bad) = load.ended();
    complete(&up, events);
    let took = clock.instant().duration_since(lost);
    println!(
        "Redis emptied: {events} events counted again {took:.1?} later ({:.0} a second); {good} answers 200, {bad} not",
        events as f64 / took.as_secs_f64()
    );
    assert_eq!(bad, 0);
    verify(&up, directory.path());
    assert!(up.terminate().success());
}
