//! kill -9 of each daemon and of the broker in turn, under load, as separate processes: nothing is lost, nothing is
//! counted twice.
//!
//! Afterwards every record of the raw topic stands in the valid topic or in the dead letters under its source
//! position, and what Redis holds equals, byte for byte, a single pass over the logs in memory.

#![expect(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a test says what went wrong by panicking, and what it saw on standard error"
)]

mod logs;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::mpsc;
use upnext_broker::{Broker, BrokerConfig};
use upnext_common::clock::Clock;
use upnext_common::config;
use upnext_common::deadline::Deadline;
use upnext_common::event::{Device, Event, EventBody};
use upnext_common::topic::Topic;
use upnext_contract::{Decoder, Encoder, RegistryClient};
use upnext_kafka::{Delivery, Outgoing, Producer, ProducerSettings, admin, tail};
use upnext_registry::{Registry, RegistryConfig};
use upnext_store::{Reader, Stage};
use upnext_testkit::{Redis, eventually_async, free_port};

use logs::Logs;

const PREFIX: &str = "upnext.";
const EVENTS_PER_TICK: u64 = 10;
const TICK: Duration = Duration::from_millis(10);
const USERS: u64 = 300;
const ITEMS: u64 = 80;
/// One record in so many is garbage.
const GARBAGE_EVERY: u64 = 50;
/// Load between two kills.
const BETWEEN_KILLS: Duration = Duration::from_secs(2);
const SETTLE_BOUND: Duration = Duration::from_secs(90);
/// Tells this test binary to be the broker of another run of itself: `port data_dir`.
const BROKER_ROLE: &str = "UPNEXT_TEST_BROKER_ROLE";

/// Not a test of its own: the process that `kill_minus_nine_loses_and_doubles_nothing` kills as its broker.
#[tokio::test(flavor = "multi_thread")]
#[expect(
    clippy::disallowed_methods,
    reason = "a child of the test is told its role by its environment"
)]
async fn broker_process() {
    let Ok(role) = std::env::var(BROKER_ROLE) else { return };
    let (port, directory) = role.split_once(' ').unwrap();
    let listen: SocketAddr = format!("127.0.0.1:{port}").parse().unwrap();
    let broker = Broker::start(BrokerConfig::new(listen, PathBuf::from(directory))).await.unwrap();
    println!("broker at {}", broker.address());
    std::future::pending::<()>().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn kill_minus_nine_loses_and_doubles_nothing() {
    let scene = Scene::start().await;
    let load = Load::start(&scene).await;
    let mut children = scene.children();
    for round in 0..2 {
        for child in &mut children {
            tokio::time::sleep(BETWEEN_KILLS).await;
            eprintln!("round {round}: kill -9 of {}", child.name);
            child.kill_and_restart();
        }
    }
    tokio::time::sleep(BETWEEN_KILLS).await;
    let sent = load.finish().await;
    let logs = scene.settled_logs(sent).await;
    logs.check_nothing_is_lost();
    scene.check_state(&logs).await;
}

/// One process under test.
struct Killable {
    name: &'static str,
    command: Box<dyn Fn() -> Command + Send>,
    child: Child,
}

impl Killable {
    fn start(name: &'static str, command: Box<dyn Fn() -> Command + Send>) -> Self {
        let child = command().spawn().expect("the process can be started");
        Self { name, command, child }
    }

    fn kill_and_restart(&mut self) {
        self.child.kill().expect("the process can be killed");
        self.child.wait().expect("the process can be waited for");
        self.child = (self.command)().spawn().expect("the process can be started");
    }
}

impl Drop for Killable {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// The parts that are not killed, and what the killed ones are started with.
struct Scene {
    directory: tempfile::TempDir,
    redis: Redis,
    registry: Registry,
    brokers: String,
    broker: std::sync::Mutex<Option<Killable>>,
}

impl Scene {
    async fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let listen: SocketAddr = "127.0.0.1:0".parse().unwrap();
        let data_dir = directory.path().join("registry");
        let registry = Registry::start(RegistryConfig { listen, data_dir }).await.unwrap();
        let broker_port = free_port();
        let brokers = format!("127.0.0.1:{broker_port}");
        let at = directory.path().join("kafka");
        let broker = Killable::start("broker", Box::new(move || broker_command(broker_port, &at)));
        eventually_async(Duration::from_secs(20), async || {
            admin::check(&brokers, Duration::from_secs(1)).await.is_ok()
        })
        .await;
        admin::ensure_topics(&brokers, &config::Kafka::default()).await.unwrap();
        let redis = Redis::start();
        let broker = std::sync::Mutex::new(Some(broker));
        Self { directory, redis, registry, brokers, broker }
    }

    /// Ingest, features, serve, and the broker, in the order in which they are killed.
    fn children(&self) -> Vec<Killable> {
        let mut children: Vec<Killable> =
            ["ingest", "features", "serve"].into_iter().map(|verb| self.daemon(verb)).collect();
        children.extend(self.broker.lock().unwrap().take());
        children
    }

    fn daemon(&self, verb: &'static str) -> Killable {
        let (brokers, redis, registry) =
            (self.brokers.clone(), self.redis.url(), self.registry.url());
        let data_dir = self.directory.path().join("data");
        let start = move || {
            let mut command = Command::new(env!("CARGO_BIN_EXE_upnext"));
            command
                .arg(verb)
                .env("UPNEXT_KAFKA__BROKERS", &brokers)
                .env("UPNEXT_REGISTRY__URL", &registry)
                .env("UPNEXT_REDIS__URL", &redis)
                .env("UPNEXT_DATA_DIR", &data_dir)
                .env("UPNEXT_SERVE__LISTEN", "127.0.0.1:0")
                .env("UPNEXT_OPS__LISTEN", "127.0.0.1:0")
                .env("UPNEXT_LOG__FILTER", "warn")
                .stdin(Stdio::null())
                .stdout(Stdio::null());
            command
        };
        Killable::start(verb, Box::new(start))
    }

    fn client(&self) -> Arc<RegistryClient> {
        let settings = config::Registry::default();
        let client = RegistryClient::new(&self.registry.url(), &settings, Clock::system());
        Arc::new(client.unwrap())
    }

    /// Everything in the topics, once ingest and both stages have reached the ends.
    async fn settled_logs(&self, sent: u64) -> Logs {
        let redis = config::Redis { read_timeout_ms: 500, ..config::Redis::default() };
        let store = Reader::connect(&self.redis.url(), &redis, Clock::system()).unwrap();
        let mut logs = Logs::default();
        eventually_async(SETTLE_BOUND, async || {
            logs = self.read_logs().await;
            logs.raw.len() as u64 >= sent
                && logs.outcomes().len() == logs.raw.len()
                && self.has_reached(&store, Stage::Users, Topic::Valid).await
                && self.has_reached(&store, Stage::Items, Topic::Signals).await
        })
        .await;
        // Signals may have been appended between the look at the logs and the look at the watermarks.
        self.read_logs().await
    }

    async fn has_reached(&self, store: &Reader, stage: Stage, topic: Topic) -> bool {
        let Ok(ends) = admin::end_offsets(&self.brokers, &topic.name(PREFIX)).await else {
            return false;
        };
        for (end, partition) in ends.into_iter().zip(0..) {
            let found = store.watermark(stage, partition).await.ok().flatten();
            if end > 0 && found.is_none_or(|watermark| watermark.next_offset < end) {
                return false;
            }
        }
        true
    }

    async fn read_logs(&self) -> Logs {
        let brokers = self.brokers.clone();
        let read = move || {
            let topic = |topic: Topic| {
                let mut records = Vec::new();
                tail::read_all(&brokers, &topic.name(PREFIX), &mut |record| records.push(record))
                    .unwrap();
                records.sort_by_key(|record| (record.partition, record.offset));
                records
            };
            let raw = topic(Topic::Events);
            let raw = raw.iter().map(|record| (record.partition, record.offset)).collect();
            let (valid, dead) = (topic(Topic::Valid), topic(Topic::DeadLetters));
            Logs { raw, valid, dead, signals: topic(Topic::Signals) }
        };
        let (sender, mut receiver) = mpsc::channel(1);
        let reading = std::thread::spawn(move || sender.blocking_send(read()).ok());
        let logs = receiver.recv().await.expect("the logs can be read");
        reading.join().unwrap();
        logs
    }

    /// What Redis holds equals one pass over the logs.
    async fn check_state(&self, logs: &Logs) {
        let redis = config::Redis { read_timeout_ms: 2_000, ..config::Redis::default() };
        let store = Reader::connect(&self.redis.url(), &redis, Clock::system()).unwrap();
        let (users, said) = logs.users(&Decoder::new(self.client())).await;
        assert!(users.users.len() > 200, "{} users", users.users.len());
        for (subject, expected) in &users.users {
            let deadline = Deadline::after(Clock::system().instant(), Duration::from_secs(2));
            let found = store.users(&[subject.as_subject()], deadline).await.unwrap();
            let found = found[0].as_deref().unwrap_or_default();
            assert!(found == expected.encode(), "state of {subject:?} differs");
        }
        let (items, heard) = logs.items();
        assert_eq!(said, heard, "signals, each counted once, are what the events say");
        assert!(items.len() > 50, "{} items", items.len());
        for (item, expected) in &items {
            let deadline = Deadline::after(Clock::system().instant(), Duration::from_secs(2));
            let found = store.items(&[*item], deadline).await.unwrap();
            let found = found[0].as_deref().unwrap_or_default();
            assert!(found == expected.as_slice(), "state of item {item:?} differs");
        }
        eprintln!(
            "{} users and {} items are as a single pass says",
            users.users.len(),
            items.len()
        );
    }
}

fn broker_command(port: u16, data_dir: &Path) -> Command {
    let mut command = Command::new(std::env::current_exe().expect("a test knows its binary"));
    command
        .args(["--exact", "broker_process", "--nocapture"])
        .env(BROKER_ROLE, format!("{port} {}", data_dir.display()))
        .stdin(Stdio::null())
        .stdout(Stdio::null());
    command
}

/// A thousand events a second until told to finish.
struct Load {
    stop: Arc<AtomicBool>,
    running: tokio::task::JoinHandle<u64>,
}

impl Load {
    async fn start(scene: &Scene) -> Self {
        let encoder = Encoder::register_all(&scene.client(), PREFIX).await.unwrap();
        let producer = Producer::new(&scene.brokers, ProducerSettings::default()).unwrap();
        let stop = Arc::new(AtomicBool::new(false));
        let running = tokio::spawn(produce(producer, encoder, Arc::clone(&stop)));
        Self { stop, running }
    }

    /// How many records are acknowledged.
    async fn finish(self) -> u64 {
        self.stop.store(true, Ordering::Release);
        self.running.await.unwrap()
    }
}

async fn produce(producer: Producer, encoder: Encoder, stop: Arc<AtomicBool>) -> u64 {
    let mut deliveries: Vec<Delivery> = Vec::new();
    let mut ticks = tokio::time::interval(TICK);
    let mut number = 0;
    while !stop.load(Ordering::Acquire) {
        ticks.tick().await;
        for _ in 0..EVENTS_PER_TICK {
            number += 1;
            let record = record(&encoder, number);
            deliveries.push(producer.send_when_room(&record).await.unwrap());
        }
    }
    let mut acknowledged = 0;
    for delivery in deliveries {
        delivery.await.unwrap();
        acknowledged += 1;
    }
    acknowledged
}

fn record(encoder: &Encoder, number: u64) -> Outgoing {
    let now_ms = Clock::system().now_ms();
    let event = event(number, now_ms);
    let key = event.key().map(|key| Bytes::copy_from_slice(key.as_bytes()));
    let is_garbage = number.is_multiple_of(GARBAGE_EVERY);
    let value = if is_garbage { Bytes::from("garbage") } else { encoder.event(&event).unwrap() };
    let topic = Topic::Events.name(PREFIX);
    Outgoing { topic, key, value: Some(value), timestamp_ms: Some(now_ms), ..Outgoing::default() }
}

fn event(number: u64, now_ms: i64) -> Event {
    let mixed = number.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(23);
    let user = mixed % USERS;
    let item_id = format!("i{}", (mixed / USERS) % ITEMS);
    let is_known = user.is_multiple_of(3);
    let id = format!("u{user}");
    Event {
        event_id: format!("00000000-0000-4000-8000-{number:012x}"),
        event_time_ms: now_ms,
        user_id: is_known.then(|| id.clone()),
        anonymous_id: (!is_known).then_some(id),
        session_id: format!("s{user}-{}", number / 5_000),
        surface: "home".to_owned(),
        decision_id: None,
        device: Device::Mobile,
        props: BTreeMap::new(),
        body: if number.is_multiple_of(2) {
            EventBody::ItemClicked { item_id }
        } else {
            EventBody::ItemViewed { item_id }
        },
    }
}
