//! Must-show 5 of the contracts: times in the wrong unit, through the real ingest and features. Every event is a dead
//! letter that names the unit; not one byte of state changes.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says so")]

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use bytes::Bytes;
use serde_json::{Value, json};
use upnext_common::clock::Clock;
use upnext_common::config;
use upnext_common::deadline::Deadline;
use upnext_common::event::{Event, EventType, Subject};
use upnext_common::item::ItemHash;
use upnext_common::topic::Topic;
use upnext_contract::json::{Defaults, read_event};
use upnext_contract::{Encoder, RegistryClient, schemas, subject_of};
use upnext_kafka::{Outgoing, Producer, ProducerSettings, Record, admin, tail};
use upnext_store::{Reader, Stage};
use upnext_testkit::wait_for;

const BOUND: Duration = Duration::from_secs(60);
const PREFIX: &str = "upnext.";
const EVENTS_PER_CASE: usize = 1_000;
const USERS: usize = 20;
const GOOD_EVENTS: usize = 200;

/// A producer's mistake: what its schema declares, what it sends, and what is said to it.
struct Mistake {
    name: &'static str,
    /// The type of `event_time`; ours where there is none.
    declared: Option<Value>,
    /// A moment in milliseconds as this producer writes it.
    written: fn(i64) -> i64,
    reason: &'static str,
    said: &'static str,
}

fn mistakes() -> Vec<Mistake> {
    let long = |unit: &str| Some(json!({ "type": "long", "logicalType": unit }));
    let mistake = |name, declared, written: fn(i64) -> i64, reason, said| Mistake {
        name,
        declared,
        written,
        reason,
        said,
    };
    vec![
        mistake("us", None, |ms| ms * 1_000, "ts_unit_suspect_us", "looks like microseconds"),
        mistake("ns", None, |ms| ms * 1_000_000, "ts_unit_suspect_ns", "looks like nanoseconds"),
        mistake("s", None, |ms| ms / 1_000, "ts_unit_suspect_s", "looks like seconds"),
        mistake(
            "us declared",
            long("timestamp-micros"),
            |ms| ms * 1_000,
            "ts_unit_suspect_us",
            "declares microseconds",
        ),
        mistake(
            "ns declared",
            long("timestamp-nanos"),
            |ms| ms * 1_000_000,
            "ts_unit_suspect_ns",
            "declares nanoseconds",
        ),
        mistake("plain", Some(json!("long")), |ms| ms, "schema_lint", "looks like milliseconds"),
    ]
}

/// `upnext up` in a directory of its own.
struct Up {
    child: Child,
    ready: Value,
    _directory: tempfile::TempDir,
}

impl Up {
    fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let mut child = Command::new(env!("CARGO_BIN_EXE_upnext"))
            .args(["up", "--format", "json", "--data-dir", "data"])
            .args(["--set", "serve.listen=127.0.0.1:0", "--set", "ops.listen=127.0.0.1:0"])
            // So much garbage would hold the partitions; here every record has to get its verdict.
            .args(["--set", "ingest.reject_pause_share=1"])
            .current_dir(directory.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let ready = serde_json::from_str(&line).unwrap();
        Self { child, ready, _directory: directory }
    }

    fn text(&self, name: &str) -> &str {
        self.ready[name].as_str().unwrap()
    }
}

impl Drop for Up {
    fn drop(&mut self) {
        for pid in [self.ready["pids"]["upnext"].as_u64(), self.ready["pids"]["redis"].as_u64()] {
            let kill = format!("kill -KILL {}", pid.unwrap());
            Command::new("sh").args(["-c", &kill]).status().ok();
        }
        self.child.wait().ok();
    }
}

/// What stands in Redis about the users and items of this test.
struct States {
    reader: Reader,
    clock: Clock,
}

impl States {
    async fn read(&self) -> Option<Vec<Option<Bytes>>> {
        let users: Vec<String> = (0..USERS).map(user).collect();
        let subjects: Vec<Subject<'_>> = users.iter().map(|user| Subject::User(user)).collect();
        let items: Vec<ItemHash> = (0..USERS).map(|n| ItemHash::of(&item(n))).collect();
        let deadline = || Deadline::after(self.clock.instant(), Duration::from_secs(2));
        let mut all = self.reader.users(&subjects, deadline()).await.ok()?;
        all.extend(self.reader.items(&items, deadline()).await.ok()?);
        Some(all)
    }

    /// Once both stages of features have stored the effects of everything there is.
    async fn settled(&self, brokers: &str) -> Vec<Option<Bytes>> {
        wait_for(BOUND, async || {
            self.has_stored(brokers, Stage::Users, Topic::Valid).await?;
            self.has_stored(brokers, Stage::Items, Topic::Signals).await?;
            self.read().await.filter(|states| states.iter().all(Option::is_some))
        })
        .await
    }

    async fn has_stored(&self, brokers: &str, stage: Stage, topic: Topic) -> Option<()> {
        let ends = admin::end_offsets(brokers, &topic.name(PREFIX)).await.ok()?;
        for (partition, end) in ends.into_iter().enumerate() {
            let partition = i32::try_from(partition).ok()?;
            let stored = self.reader.watermark(stage, partition).await.ok()?;
            let next_offset = stored.map_or(0, |watermark| watermark.next_offset);
            if next_offset < end {
                return None;
            }
        }
        Some(())
    }
}

fn user(number: usize) -> String {
    format!("u-{}", number % USERS)
}

fn item(number: usize) -> String {
    format!("i-{}", number % USERS)
}

fn event(number: usize, event_time_ms: i64) -> Event {
    let form = json!({
        "type": "ItemViewed", "user_id": user(number), "item_id": item(number),
        "session_id": "s", "event_time": event_time_ms,
    });
    read_event(&form, Defaults { now_ms: event_time_ms }).unwrap()
}

struct Sender {
    producer: Producer,
    clock: Clock,
}

impl Sender {
    async fn send(&self, number: usize, schema_id: u32, case: &str, written: fn(i64) -> i64) {
        let now_ms = self.clock.now_ms();
        let event = event(number, written(now_ms));
        let outgoing = Outgoing {
            topic: Topic::Events.name(PREFIX),
            key: Some(Bytes::from(user(number))),
            value: Some(Encoder::with_ids(|_| schema_id).event(&event).unwrap()),
            headers: vec![("case".to_owned(), Some(Bytes::from(case.to_owned())))],
            timestamp_ms: Some(now_ms),
            ..Outgoing::default()
        };
        drop(self.producer.send_when_room(&outgoing).await.unwrap());
    }
}

async fn records_of(brokers: &str, topic: Topic) -> i64 {
    admin::end_offsets(brokers, &topic.name(PREFIX)).await.map_or(0, |ends| ends.iter().sum())
}

async fn letters(brokers: &str) -> Vec<Record> {
    let brokers = brokers.to_owned();
    let reading = tokio::task::spawn(async move {
        tokio::task::block_in_place(|| {
            let mut letters = Vec::new();
            let topic = Topic::DeadLetters.name(PREFIX);
            tail::read_all(&brokers, &topic, &mut |record| letters.push(record)).unwrap();
            letters
        })
    });
    reading.await.unwrap()
}

/// Our schema of a viewed item with another type of time: the registry lets each of them pass.
async fn registered(client: &RegistryClient, declared: &Value) -> u32 {
    let own = schemas::of_event(EventType::ItemViewed);
    let mut schema: Value = serde_json::from_str(own.text).unwrap();
    let fields = schema["fields"].as_array_mut().unwrap();
    let time = fields.iter_mut().find(|field| field["name"] == "event_time").unwrap();
    time["type"] = declared.clone();
    let subject = subject_of(&Topic::Events.name(PREFIX), own.full_name);
    client.register(&subject, &schema.to_string()).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn events_in_a_wrong_unit_are_all_dead_letters_that_name_it_and_change_no_state() {
    let (up, clock) = (Up::start(), Clock::system());
    let brokers = up.text("kafka");
    let registry = config::Registry::default();
    let client = RegistryClient::new(up.text("registry"), &registry, clock.clone()).unwrap();
    let own = Encoder::register_all(&client, PREFIX).await.unwrap();
    let own_id = own.event_schema_id(EventType::ItemViewed);
    let producer = Producer::new(brokers, ProducerSettings::default()).unwrap();
    let sender = Sender { producer, clock: clock.clone() };
    let redis = config::Redis { read_timeout_ms: 2_000, ..config::Redis::default() };
    let reader = Reader::connect(up.text("redis"), &redis, clock.clone());
    let states = States { reader: reader.unwrap(), clock };

    for number in 0..GOOD_EVENTS {
        sender.send(number, own_id, "good", |ms| ms).await;
    }
    let good = i64::try_from(GOOD_EVENTS).unwrap();
    wait_for(BOUND, async || (records_of(brokers, Topic::Valid).await == good).then_some(())).await;
    let before = states.settled(brokers).await;

    let mistakes = mistakes();
    for mistake in &mistakes {
        let id = match &mistake.declared {
            None => own_id,
            Some(declared) => registered(&client, declared).await,
        };
        for number in 0..EVENTS_PER_CASE {
            sender.send(number, id, mistake.name, mistake.written).await;
        }
    }
    let sent = i64::try_from(mistakes.len() * EVENTS_PER_CASE).unwrap();
    let have_landed =
        async || (records_of(brokers, Topic::DeadLetters).await == sent).then_some(());
    wait_for(BOUND * 2, have_landed).await;

    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for letter in letters(brokers).await {
        let text = |name: &str| String::from_utf8_lossy(letter.header(name).unwrap()).into_owned();
        let mistake = mistakes.iter().find(|mistake| mistake.name == text("case")).unwrap();
        assert_eq!(text("upnext.dlq.reason"), mistake.reason, "{}", mistake.name);
        assert_eq!(text("upnext.dlq.pointer"), "/event_time");
        let detail = text("upnext.dlq.detail");
        assert!(detail.contains(mistake.said), "{}: {detail}", mistake.name);
        *counts.entry(mistake.name.to_owned()).or_default() += 1;
    }
    let expected = mistakes.iter().map(|mistake| (mistake.name.to_owned(), EVENTS_PER_CASE));
    assert_eq!(counts, expected.collect());
    // What is not in the valid topic reaches nobody's state; and the state says the same.
    assert_eq!(records_of(brokers, Topic::Valid).await, good);
    assert!(states.settled(brokers).await == before, "state changed");
}
