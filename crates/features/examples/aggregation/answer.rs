//! From an event over HTTP to an answer that knows it, beside 5,000 events a second: the whole of `upnext up`.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use upnext_common::clock::Clock;

use crate::Outcome;
use crate::filling::{self, Whose};
use crate::roles::{Pids, Place};

const PER_SECOND: u64 = 5_000;
const SECONDS: u64 = 20;
/// More events than are needed: their writer is ended.
const MOST: u64 = 200 * PER_SECOND;
const WARM_UP: Duration = Duration::from_secs(5);
/// Users who click and look, one after the other each.
const PROBES: u64 = 8;
/// Pause between two looks.
const LOOK: Duration = Duration::from_millis(5);
/// An event that is not seen by then is called lost.
const GIVE_UP: Duration = Duration::from_secs(20);

/// `upnext up`, ended with its Redis when this goes.
struct Up(Child);

impl Drop for Up {
    fn drop(&mut self) {
        // It may have ended.
        Command::new("kill").args(["-TERM", &self.0.id().to_string()]).status().ok();
        self.0.wait().ok();
    }
}

pub(crate) async fn measure(binary: &str) -> Outcome<()> {
    let directory = tempfile::tempdir()?;
    let mut up = Up(up(binary, directory.path())?);
    let out = up.0.stdout.take().ok_or("no standard output")?;
    let mut line = String::new();
    BufReader::new(out).read_line(&mut line)?;
    let ready: Value = serde_json::from_str(&line)?;
    let text = |name: &str| ready[name].as_str().unwrap_or_default().to_owned();
    let place = Place { brokers: text("kafka"), registry: text("registry"), redis: text("redis") };
    let load = filling::start_raw(&place, "upnext.", Whose::Crowd(100_000), (MOST, PER_SECOND))?;
    let http = text("http");
    let host = http.trim_start_matches("http://");
    tokio::time::sleep(WARM_UP).await;
    settled(host).await?;
    let redis = u32::try_from(ready["pids"]["redis"].as_u64().unwrap_or(0))?;
    let pids = Pids { stack: up.0.id(), redis };
    let (before, clock) = (pids.spent(up.0.id()), Clock::system());
    let begun = clock.instant();
    let ages_ms = probe(host).await?;
    let (after, seconds) = (pids.spent(up.0.id()), clock.instant().duration_since(begun));
    load.killed()?;
    let share = |ms: u64| ms as f64 / seconds.as_secs_f64() / 10.0;
    println!(
        "beside {PER_SECOND}/s: upnext took {:.0} % of a processor, Redis {:.0} %",
        share(after.stack_ms - before.stack_ms),
        share(after.redis_ms - before.redis_ms)
    );
    print(ages_ms)
}

fn print(mut ages_ms: Vec<u128>) -> Outcome<()> {
    ages_ms.sort_unstable();
    let last = ages_ms.len().checked_sub(1).ok_or("no click was seen")?;
    let at = |share: usize| ages_ms[(ages_ms.len() * share / 100).min(last)];
    println!(
        "event to an answer that knows it, over HTTP beside {PER_SECOND}/s: p50 {} ms, p99 {} ms, at most {} ms, of {}",
        at(50),
        at(99),
        at(100),
        ages_ms.len()
    );
    Ok(())
}

fn up(binary: &str, directory: &std::path::Path) -> Outcome<Child> {
    let mut command = Command::new(binary);
    command.args(["up", "--format", "json", "--data-dir"]).arg(directory.join("data"));
    for setting in ["serve.listen=127.0.0.1:0", "ops.listen=127.0.0.1:0", "log.filter=error"] {
        command.args(["--set", setting]);
    }
    Ok(command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn()?)
}

/// Waits until what the start left behind is done: a click is seen within a second, or that is not to be.
async fn settled(host: &str) -> Outcome<()> {
    let clock = Clock::system();
    let give_up = clock.instant() + GIVE_UP;
    let mut click = 0;
    while clock.instant() < give_up {
        click += 1;
        let begun = clock.instant();
        let found = seen(host, &clock, (PROBES, click)).await;
        if found.is_ok() && clock.instant().duration_since(begun) < Duration::from_secs(1) {
            break;
        }
    }
    Ok(())
}

/// How long each took, milliseconds.
async fn probe(host: &str) -> Outcome<Vec<u128>> {
    let clock = Clock::system();
    let (until, ages) =
        (clock.instant() + Duration::from_secs(SECONDS), Arc::new(Mutex::new(Vec::new())));
    let mut probes = JoinSet::new();
    for number in 0..PROBES {
        let (host, clock, ages) = (host.to_owned(), clock.clone(), Arc::clone(&ages));
        probes.spawn(async move {
            let mut click = 0;
            while clock.instant() < until {
                click += 1;
                let begun = clock.instant();
                seen(&host, &clock, (number, click)).await.map_err(|error| error.to_string())?;
                ages.lock().push(clock.instant().duration_since(begun).as_millis());
            }
            Ok::<(), String>(())
        });
    }
    while let Some(ended) = probes.join_next().await {
        ended??;
    }
    Ok(std::mem::take(&mut *ages.lock()))
}

/// Clicks, then looks until an answer knows it.
async fn seen(host: &str, clock: &Clock, (probe, click): (u64, u64)) -> Outcome<()> {
    let (user, now_ms) = (format!("probe{probe}"), clock.now_ms());
    let event = json!({
        "type": "ItemClicked", "event_id": uuid::Uuid::from_u64_pair(probe, click).to_string(),
        "event_time": now_ms, "user_id": user, "session_id": format!("p{probe}"),
        "surface": "home", "item_id": format!("i{:06}", click % 500),
    });
    call(host, "POST", "/v1/events", &json!({ "events": [event] })).await?;
    let give_up = clock.instant() + GIVE_UP;
    let path = format!("/v1/recommendations/{user}?k=10");
    while clock.instant() < give_up {
        let answer = call(host, "GET", &path, &Value::Null).await?;
        if answer["features_as_of_ms"].as_i64() >= Some(now_ms) {
            return Ok(());
        }
        tokio::time::sleep(LOOK).await;
    }
    Err("an event was not seen".into())
}

/// One exchange; anything but success is an error.
async fn call(host: &str, method: &str, path: &str, body: &Value) -> Outcome<Value> {
    let body = if body.is_null() { String::new() } else { body.to_string() };
    let mut stream = TcpStream::connect(host).await?;
    let head = format!(
        "{method} {path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(head.as_bytes()).await?;
    let mut reply = String::new();
    stream.read_to_string(&mut reply).await?;
    let (head, body) = reply.split_once("\r\n\r\n").ok_or("no reply")?;
    let is_good = head.split(' ').nth(1).is_some_and(|status| status.starts_with('2'));
    if is_good { Ok(serde_json::from_str(body)?) } else { Err(format!("{path}: {reply}").into()) }
}
