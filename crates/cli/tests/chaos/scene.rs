//! Broker and registry, an ingest that can be killed, a load, and what stands in the topics.

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::mpsc;
use upnext_common::clock::Clock;
use upnext_common::config;
use upnext_common::event::{Device, Event, EventBody};
use upnext_common::topic::Topic;
use upnext_contract::{Encoder, RegistryClient};
use upnext_kafka::{Outgoing, Producer, ProducerSettings, Record, admin, tail};
use upnext_testkit::Stack;

const PREFIX: &str = "upnext.";
const TICK: Duration = Duration::from_millis(5);
const EVENTS_PER_TICK: u64 = 10;
const USERS: u64 = 500;
/// One record in so many is garbage.
const GARBAGE_EVERY: u64 = 50;

pub(crate) struct Scene {
    stack: Stack,
    directory: tempfile::TempDir,
    encoder: Encoder,
    producer: Producer,
}

/// One record of an outcome topic.
#[derive(Clone, Debug)]
pub(crate) struct Outcome {
    /// Topic and partition it stands in.
    place: (Topic, i32),
    /// Partition and offset of the raw record.
    pub(crate) source: (i32, i64),
    /// Why it is dead, if it is.
    pub(crate) reason: Option<String>,
}

impl Scene {
    pub(crate) async fn start() -> Self {
        let stack = Stack::start().await;
        let brokers = stack.brokers();
        admin::ensure_topics(&brokers, &config::Kafka::default()).await.unwrap();
        let settings = config::Registry::default();
        let client = RegistryClient::new(&stack.registry_url(), &settings, Clock::system());
        let encoder = Encoder::register_all(&client.unwrap(), PREFIX).await.unwrap();
        let producer = Producer::new(&brokers, ProducerSettings::default()).unwrap();
        Self { stack, directory: tempfile::tempdir().unwrap(), encoder, producer }
    }

    pub(crate) fn event(&self, number: u64, now_ms: i64) -> Outgoing {
        event(&self.encoder, number, now_ms)
    }

    pub(crate) async fn write(&self, record: &Outgoing) -> (i32, i64) {
        self.producer.send_when_room(record).await.unwrap().await.unwrap()
    }

    /// Positions of all raw records, in order.
    pub(crate) async fn raw(&self) -> Vec<(i32, i64)> {
        let records = self.read(Topic::Events).await;
        records.iter().map(|record| (record.partition, record.offset)).collect()
    }

    pub(crate) async fn outcomes(&self) -> Vec<Outcome> {
        let mut all = Vec::new();
        for topic in [Topic::Valid, Topic::DeadLetters] {
            let of = |record: &Record| Outcome::of(topic, record);
            all.extend(self.read(topic).await.iter().map(of));
        }
        all
    }

    async fn read(&self, topic: Topic) -> Vec<Record> {
        let (brokers, name) = (self.stack.brokers(), topic.name(PREFIX));
        let (sender, mut receiver) = mpsc::channel(1);
        let reading = std::thread::spawn(move || {
            let mut records = Vec::new();
            tail::read_all(&brokers, &name, &mut |record| records.push(record)).unwrap();
            records.sort_by_key(|record| (record.partition, record.offset));
            sender.blocking_send(records).ok();
        });
        let records = receiver.recv().await.expect("the topic can be read");
        reading.join().unwrap();
        records
    }
}

impl Outcome {
    fn of(topic: Topic, record: &Record) -> Self {
        let text = |name: &str| {
            let value = record.header(name).map(<[u8]>::to_vec);
            value.map(|value| String::from_utf8(value).unwrap())
        };
        let prefix = if topic == Topic::Valid { "upnext.source" } else { "upnext.dlq" };
        let number = |name: &str| text(&format!("{prefix}.{name}")).unwrap();
        Self {
            place: (topic, record.partition),
            source: (number("partition").parse().unwrap(), number("offset").parse().unwrap()),
            reason: text("upnext.dlq.reason"),
        }
    }
}

/// What a reader drops that goes by the last position of each source: each repeat, and nothing but repeats.
pub(crate) fn dropped_by_a_reader(outcomes: &[Outcome]) -> usize {
    let mut last: HashMap<((Topic, i32), i32), i64> = HashMap::new();
    let is_dropped = |outcome: &&Outcome| {
        let newest = last.entry((outcome.place, outcome.source.0)).or_insert(-1);
        let is_repeat = outcome.source.1 <= *newest;
        *newest = outcome.source.1.max(*newest);
        is_repeat
    };
    outcomes.iter().filter(is_dropped).count()
}

/// `upnext ingest`, killed when it is dropped.
pub(crate) struct Daemon {
    start: Box<dyn Fn() -> Command + Send>,
    child: Child,
}

impl Daemon {
    pub(crate) fn start(scene: &Scene, settings: &[(&str, &str)]) -> Self {
        let (brokers, registry) = (scene.stack.brokers(), scene.stack.registry_url());
        let data_dir: PathBuf = scene.directory.path().join("data");
        let settings: Vec<(String, String)> =
            settings.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        let start = move || {
            let mut command = Command::new(env!("CARGO_BIN_EXE_upnext"));
            command
                .arg("ingest")
                .env("UPNEXT_KAFKA__BROKERS", &brokers)
                .env("UPNEXT_REGISTRY__URL", &registry)
                .env("UPNEXT_DATA_DIR", &data_dir)
                .env("UPNEXT_OPS__LISTEN", "127.0.0.1:0")
                .env("UPNEXT_LOG__FILTER", "warn")
                .envs(settings.clone())
                .stdin(Stdio::null())
                .stdout(Stdio::null());
            command
        };
        let child = start().spawn().expect("the process can be started");
        Self { start: Box::new(start), child }
    }

    pub(crate) fn has_ended(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }

    pub(crate) fn restart(&mut self) {
        self.child = (self.start)().spawn().expect("the process can be started");
    }

    pub(crate) fn kill_and_restart(&mut self) {
        self.child.kill().expect("the process can be killed");
        self.child.wait().expect("the process can be waited for");
        self.restart();
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// What was written where.
#[derive(Default)]
pub(crate) struct Sent {
    pub(crate) records: u64,
    /// Positions of what is garbage.
    pub(crate) garbage: Vec<(i32, i64)>,
}

/// Two thousand records a second until told to finish.
pub(crate) struct Load {
    stop: Arc<AtomicBool>,
    running: tokio::task::JoinHandle<Sent>,
}

impl Load {
    pub(crate) fn start(scene: &Scene) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let (producer, encoder) = (scene.producer.clone(), scene.encoder.clone());
        let running = tokio::spawn(produce(producer, encoder, Arc::clone(&stop)));
        Self { stop, running }
    }

    /// What was sent, all of it acknowledged.
    pub(crate) async fn finish(self) -> Sent {
        self.stop.store(true, Ordering::Release);
        self.running.await.unwrap()
    }
}

async fn produce(producer: Producer, encoder: Encoder, stop: Arc<AtomicBool>) -> Sent {
    let mut deliveries = Vec::new();
    let mut ticks = tokio::time::interval(TICK);
    let mut number = 0;
    while !stop.load(Ordering::Acquire) {
        ticks.tick().await;
        for _ in 0..EVENTS_PER_TICK {
            number += 1;
            let mut record = event(&encoder, number, Clock::system().now_ms());
            if number.is_multiple_of(GARBAGE_EVERY) {
                record.value = Some(Bytes::from_static(b"garbage"));
            }
            deliveries.push(producer.send_when_room(&record).await.unwrap());
        }
    }
    let mut sent = Sent::default();
    for delivery in deliveries {
        let position = delivery.await.unwrap();
        sent.records += 1;
        if sent.records.is_multiple_of(GARBAGE_EVERY) {
            sent.garbage.push(position);
        }
    }
    sent.garbage.sort_unstable();
    sent
}

fn event(encoder: &Encoder, number: u64, now_ms: i64) -> Outgoing {
    let mixed = number.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(23);
    let event = Event {
        event_id: format!("00000000-0000-4000-8000-{number:012x}"),
        event_time_ms: now_ms,
        user_id: Some(format!("u{}", mixed % USERS)),
        anonymous_id: None,
        session_id: "s1".to_owned(),
        surface: "home".to_owned(),
        decision_id: None,
        device: Device::Mobile,
        props: BTreeMap::new(),
        body: EventBody::ItemClicked { item_id: format!("i{}", mixed % 97) },
    };
    Outgoing {
        topic: Topic::Events.name(PREFIX),
        key: event.key().map(|key| Bytes::copy_from_slice(key.as_bytes())),
        value: Some(encoder.event(&event).unwrap()),
        timestamp_ms: Some(now_ms),
        ..Outgoing::default()
    }
}
