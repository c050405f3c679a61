//! Redis frozen, then killed, under an open-loop load of 100 requests a second: answers go on.
//!
//! What is asserted is what was answered: no status but 200, a reason in each degraded answer, personal answers once
//! Redis is back. Times are printed beside the deadline, not asserted: this machine's noise is not the product's.

#![expect(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a test says what went wrong by panicking, and what it saw on standard error"
)]

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{Request, StatusCode};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::{Value, json};
use upnext_common::clock::Clock;
use upnext_testkit::wait_for;

const REQUESTS_PER_SECOND: u32 = 100;
const BEFORE: Duration = Duration::from_secs(2);
const FROZEN: Duration = Duration::from_secs(5);
const AFTER: Duration = Duration::from_secs(8);
const START_BOUND: Duration = Duration::from_secs(60);

type Http = Client<HttpConnector, Full<Bytes>>;

/// `upnext up` in a directory of its own, ended when dropped.
struct Up {
    child: Child,
    ready: Value,
    _directory: tempfile::TempDir,
}

impl Up {
    async fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let out = directory.path().join("ready.json");
        let child = Command::new(env!("CARGO_BIN_EXE_upnext"))
            .args(["up", "--format", "json", "--data-dir"])
            .arg(directory.path().join("data"))
            .env("UPNEXT_SERVE__LISTEN", "127.0.0.1:0")
            .env("UPNEXT_OPS__LISTEN", "127.0.0.1:0")
            .env("UPNEXT_LOG__FILTER", "error")
            .stdin(Stdio::null())
            .stdout(std::fs::File::create(&out).unwrap())
            .spawn()
            .unwrap();
        let ready = wait_for(START_BOUND, async || {
            let text = std::fs::read_to_string(&out).ok()?;
            serde_json::from_str::<Value>(text.lines().next()?).ok()
        })
        .await;
        Self { child, ready, _directory: directory }
    }

    fn http(&self) -> String {
        self.ready["http"].as_str().unwrap().to_owned()
    }

    fn signal_redis(&self, signal: &str) {
        let pid = self.ready["pids"]["redis"].as_u64().unwrap();
        let sent = Command::new("sh").args(["-c", &format!("kill -{signal} {pid}")]).status();
        assert!(sent.unwrap().success());
    }
}

impl Drop for Up {
    fn drop(&mut self) {
        let pid = self.child.id();
        Command::new("sh").args(["-c", &format!("kill -TERM {pid}")]).status().ok();
        self.child.wait().ok();
    }
}

/// One request of the load: when it was due, how long after that its answer was there, and what it said.
struct Asked {
    due: Duration,
    took: Duration,
    status: StatusCode,
    body: Value,
}

impl Asked {
    fn is_personal(&self) -> bool {
        self.body["tier"] == "full" && !self.body["features_as_of_ms"].is_null()
    }
}

async fn post(http: &Http, url: String, body: Value) -> (StatusCode, Value) {
    let request = Request::post(url)
        .header("content-type", "application/json")
        .body(Full::new(Bytes::from(body.to_string())))
        .unwrap();
    let answer = http.request(request).await.unwrap();
    let status = answer.status();
    let bytes = answer.into_body().collect().await.unwrap().to_bytes();
    (status, serde_json::from_slice(&bytes).unwrap_or(Value::Null))
}

/// Every request starts when it is due, whether or not earlier ones are answered.
async fn load(http: Http, base: String, started: Instant, lasting: Duration) -> Vec<Asked> {
    let mut ticks = tokio::time::interval(Duration::from_secs(1) / REQUESTS_PER_SECOND);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Burst);
    let count = lasting.as_millis() / 1_000 * u128::from(REQUESTS_PER_SECOND);
    let mut asked = Vec::new();
    for number in 0..u32::try_from(count).unwrap() {
        ticks.tick().await;
        let due = Duration::from_secs(1) / REQUESTS_PER_SECOND * number;
        let (http, base) = (http.clone(), base.clone());
        asked.push(tokio::spawn(async move {
            let body = json!({ "user_id": format!("u{}", number % 20), "k": 10 });
            let (status, body) = post(&http, format!("{base}/v1/recommendations"), body).await;
            let took = Clock::system().instant().duration_since(started).saturating_sub(due);
            Asked { due, took, status, body }
        }));
    }
    let mut done = Vec::new();
    for one in asked {
        done.push(one.await.unwrap());
    }
    done
}

/// A catalogue, a history that gives 20 users state, and a model trained from it.
async fn prepare(http: &Http, up: &Up) {
    let base = up.http();
    let items: Vec<Value> = (0..60)
        .map(|n| json!({"item_id": format!("i{n}"), "category": format!("c{}", n % 4), "price": n}))
        .collect();
    let (status, _) =
        post(http, format!("{base}/v1/items:batch?wait=indexed"), json!({ "items": items })).await;
    assert_eq!(status, StatusCode::OK);
    let events: Vec<Value> = (0..400)
        .map(|n| {
            let (user, item) = (n % 20, (n * 7 + n / 20) % 15 * 4 + n % 4);
            json!({"type": "ItemClicked", "user_id": format!("u{user}"),
                "session_id": format!("s{user}-{}", n / 100), "item_id": format!("i{item}")})
        })
        .collect();
    let (status, body) = post(http, format!("{base}/v1/events"), json!({ "events": events })).await;
    assert_eq!(status, StatusCode::ACCEPTED, "{body}");
    wait_for(Duration::from_secs(20), async || {
        let ask = json!({"user_id": "u19", "k": 10});
        let (_, body) = post(http, format!("{base}/v1/recommendations"), ask).await;
        (!body["features_as_of_ms"].is_null()).then_some(())
    })
    .await;
    let train = Command::new(env!("CARGO_BIN_EXE_upnext"))
        .args(["train", "--from", "kafka"])
        .env("UPNEXT_KAFKA__BROKERS", up.ready["kafka"].as_str().unwrap())
        .env("UPNEXT_REGISTRY__URL", up.ready["registry"].as_str().unwrap())
        .env("UPNEXT_REDIS__URL", up.ready["redis"].as_str().unwrap())
        .env("UPNEXT_DATA_DIR", up._directory.path().join("data"))
        .output()
        .unwrap();
    assert!(train.status.success(), "{}", String::from_utf8_lossy(&train.stderr));
    wait_for(Duration::from_secs(20), async || {
        let ask = json!({"user_id": "u1", "k": 10});
        let (_, body) = post(http, format!("{base}/v1/recommendations"), ask).await;
        (body["tier"] == "full" && !body["features_as_of_ms"].is_null()).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_go_on_while_redis_is_frozen_killed_and_restarted() {
    let up = Up::start().await;
    let http: Http = Client::builder(TokioExecutor::new()).build_http();
    prepare(&http, &up).await;
    let started = Clock::system().instant();
    let lasting = BEFORE + FROZEN + AFTER;
    let asking = tokio::spawn(load(http.clone(), up.http(), started, lasting));
    tokio::time::sleep(BEFORE).await;
    up.signal_redis("STOP");
    tokio::time::sleep(FROZEN).await;
    up.signal_redis("KILL");
    let asked = asking.await.unwrap();
    report(&asked);
    for one in &asked {
        assert_eq!(one.status, StatusCode::OK, "{}", one.body);
        let names_reason = one.body["reasons"].as_array().is_some_and(|all| !all.is_empty());
        assert!(one.body["degraded"] == false || names_reason, "{}", one.body);
        assert_eq!(one.body["items"].as_array().map(Vec::len), Some(10), "{}", one.body);
    }
    let frozen = |one: &&Asked| one.due > BEFORE + FROZEN / 2 && one.due < BEFORE + FROZEN;
    assert!(asked.iter().filter(frozen).all(|one| one.body["degraded"] == true));
    assert!(asked.last().is_some_and(Asked::is_personal), "personal answers came back");
}

/// What the times were, for people.
fn report(asked: &[Asked]) {
    let mut took: Vec<Duration> = asked.iter().map(|one| one.took).collect();
    took.sort_unstable();
    let at = |per_mille: usize| took[(took.len() - 1) * per_mille / 1_000];
    let back = asked.iter().find(|one| one.due > BEFORE + FROZEN && one.is_personal());
    let back = back.map(|one| one.due - BEFORE - FROZEN);
    eprintln!(
        "{} requests, p50 {:?}, p99 {:?}, p99.9 {:?} (deadline 150 ms); personal again after {back:?}",
        asked.len(),
        at(500),
        at(990),
        at(999),
    );
}
