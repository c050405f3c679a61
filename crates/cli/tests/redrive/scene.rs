//! The parts that are not killed, the processes that are, and events that name a schema nobody has registered yet.

use std::collections::{BTreeMap, BTreeSet};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use tokio::sync::mpsc;
use upnext_common::clock::Clock;
use upnext_common::config;
use upnext_common::deadline::Deadline;
use upnext_common::event::{Device, Event, EventBody};
use upnext_common::topic::Topic;
use upnext_contract::framing::frame;
use upnext_contract::{Decoder, Encoder, RegistryClient, subject_of, unframe};
use upnext_kafka::{Outgoing, Producer, ProducerSettings, Record, admin, scan, tail};
use upnext_store::{Reader, Stage};
use upnext_testkit::{Stack, eventually_async};

use crate::BOUND;
use crate::logs::Logs;

const USERS: u64 = 200;
const ITEMS: u64 = 60;
/// One event in so many is written as it should be.
const GOOD_EVERY: u64 = 10;
/// What an event has more once the new version of its schema is registered: a union's branch, null.
const NOTHING_MORE: u8 = 0;
const CLICKED: &str = include_str!("../../../../schemas/events/ItemClicked.avsc");

/// How many dead letters.
#[expect(clippy::disallowed_methods, reason = "a script asks the test for more of them")]
pub(crate) fn size() -> u64 {
    std::env::var("REDRIVE_LETTERS").map_or(600, |text| text.parse().unwrap())
}

#[expect(clippy::disallowed_methods, reason = "a script names another broker to the test")]
fn outside_brokers() -> Option<String> {
    std::env::var("REDRIVE_BROKERS").ok().filter(|text| !text.is_empty())
}

pub(crate) struct Killable {
    command: Command,
    child: Child,
}

impl Killable {
    pub(crate) fn kill_and_restart(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        self.child = self.command.spawn().unwrap();
    }
}

impl Drop for Killable {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

pub(crate) struct Scene {
    stack: Stack,
    brokers: String,
    prefix: String,
    encoder: Encoder,
    /// The id that the registry gives next.
    next_id: u32,
    data_dir: tempfile::TempDir,
}

impl Scene {
    pub(crate) async fn start() -> Self {
        let stack = Stack::start().await;
        let brokers = outside_brokers().unwrap_or_else(|| stack.brokers());
        let prefix = format!("redrive-{}.", std::process::id());
        let kafka = config::Kafka { topic_prefix: prefix.clone(), ..config::Kafka::default() };
        admin::ensure_topics(&brokers, &kafka).await.unwrap();
        let client = registry(&stack.registry_url());
        let encoder = Encoder::register_all(&client, &prefix).await.unwrap();
        let probe = r#"{"type": "record", "name": "Probe", "fields": []}"#;
        let next_id = client.register("probe-Probe", probe).await.unwrap() + 1;
        let data_dir = tempfile::tempdir().unwrap();
        Self { stack, brokers, prefix, encoder, next_id, data_dir }
    }

    pub(crate) fn brokers(&self) -> String {
        self.brokers.clone()
    }

    pub(crate) fn prefix(&self) -> &str {
        &self.prefix
    }

    pub(crate) fn client(&self) -> Arc<RegistryClient> {
        Arc::new(registry(&self.stack.registry_url()))
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_upnext"));
        command
            .args(arguments)
            .env("UPNEXT_KAFKA__BROKERS", &self.brokers)
            .env("UPNEXT_KAFKA__TOPIC_PREFIX", &self.prefix)
            .env("UPNEXT_INGEST__GROUP", format!("{}ingest", self.prefix))
            .env("UPNEXT_FEATURES__GROUP", format!("{}features", self.prefix))
            .env("UPNEXT_REGISTRY__URL", self.stack.registry_url())
            // An id that nobody has registered is believed to be none at once, and asked for again soon.
            .env("UPNEXT_REGISTRY__UNKNOWN_GRACE_MS", "100")
            .env("UPNEXT_REGISTRY__NEGATIVE_TTL_MS", "100")
            // Nearly everything is rejected here, and that is what is wanted.
            .env("UPNEXT_INGEST__REJECT_PAUSE_SHARE", "1.0")
            .env("UPNEXT_REDIS__URL", self.stack.redis_url())
            .env("UPNEXT_DATA_DIR", self.data_dir.path())
            .env("UPNEXT_OPS__LISTEN", "127.0.0.1:0")
            .env("UPNEXT_LOG__FILTER", "warn")
            .stdin(Stdio::null());
        command
    }

    pub(crate) fn daemon(&self, verb: &str) -> Killable {
        let mut command = self.command(&[verb]);
        command.stdout(Stdio::null());
        let child = command.spawn().unwrap();
        Killable { command, child }
    }

    pub(crate) fn redrive(&self, more: &[&str]) -> Child {
        let mut command = self.command(&["dlq", "redrive", "--yes", "--format", "json"]);
        command.args(more).stdout(Stdio::piped()).spawn().unwrap()
    }

    /// Events under the id that is not registered yet, and some as they should be; gives how many of these.
    pub(crate) async fn write_events(&self, count: u64) -> u64 {
        let producer = Producer::new(&self.brokers, ProducerSettings::default()).unwrap();
        let start_ms = Clock::system().now_ms() - 3_600_000;
        let mut good = 0;
        let mut number = 0;
        let mut deliveries = Vec::new();
        let mut dead = 0;
        while dead < count {
            let event = event(number, start_ms + i64::try_from(number).unwrap() * 50);
            number += 1;
            let framed = self.encoder.event(&event).unwrap();
            let is_good = number.is_multiple_of(GOOD_EVERY);
            (good, dead) = if is_good { (good + 1, dead) } else { (good, dead + 1) };
            let record = Outgoing {
                topic: Topic::Events.name(&self.prefix),
                key: event.key().map(|key| Bytes::copy_from_slice(key.as_bytes())),
                value: Some(if is_good { framed } else { self.as_next_version(&framed) }),
                timestamp_ms: Some(event.event_time_ms),
                ..Outgoing::default()
            };
            deliveries.push(producer.send_when_room(&record).await.unwrap());
        }
        for delivery in deliveries {
            delivery.await.unwrap();
        }
        good
    }

    fn as_next_version(&self, framed: &[u8]) -> Bytes {
        let (_, content) = unframe(framed).unwrap();
        let mut longer = BytesMut::from(content);
        longer.put_u8(NOTHING_MORE);
        frame(self.next_id, &longer)
    }

    /// The fix: the version that the dead letters name is registered, and gets the id they name.
    pub(crate) async fn register_what_they_name(&self) {
        let mut schema: serde_json::Value = serde_json::from_str(CLICKED).unwrap();
        let field = serde_json::json!(
            {"name": "campaign", "doc": "What led here.", "type": ["null", "string"], "default": null});
        schema["fields"].as_array_mut().unwrap().push(field);
        let topic = Topic::Events.name(&self.prefix);
        let subject = subject_of(&topic, "upnext.events.v1.ItemClicked");
        let id = self.client().register(&subject, &schema.to_string()).await.unwrap();
        assert_eq!(id, self.next_id);
    }

    pub(crate) async fn ends(&self, topic: Topic) -> Vec<i64> {
        admin::end_offsets(&self.brokers, &topic.name(&self.prefix)).await.unwrap()
    }

    pub(crate) async fn wait_for_ledger(&self, count: u64) {
        eventually_async(BOUND, async || self.redriven().await >= count).await;
    }

    /// Entries of the ledger that stand.
    pub(crate) async fn redriven(&self) -> u64 {
        let topic = Topic::Redriven.name(&self.prefix);
        let stretches = scan::stretches(&self.brokers, &topic, None).await.unwrap();
        let mut records = scan::read(&self.brokers, &topic, &stretches).unwrap();
        let mut count = 0;
        while let Some(record) = records.recv().await {
            record.unwrap();
            count += 1;
        }
        count
    }

    /// Everything in the topics, once so many valid events are there and both stages have reached the ends.
    pub(crate) async fn settled_logs(&self, valid: u64) -> Logs {
        let store = self.store();
        eventually_async(BOUND, async || {
            let logs = self.read_logs().await;
            let sources: BTreeSet<_> = logs.valid.iter().map(crate::logs::source).collect();
            sources.len() as u64 >= valid
                && logs.outcomes().len() == logs.raw.len()
                && self.has_reached(&store, Stage::Users, Topic::Valid).await
                && self.has_reached(&store, Stage::Items, Topic::Signals).await
        })
        .await;
        // Signals may have been appended between the look at the logs and the look at the watermarks.
        self.read_logs().await
    }

    fn store(&self) -> Reader {
        let redis = config::Redis { read_timeout_ms: 2_000, ..config::Redis::default() };
        Reader::connect(&self.stack.redis_url(), &redis, Clock::system()).unwrap()
    }

    async fn has_reached(&self, store: &Reader, stage: Stage, topic: Topic) -> bool {
        for (end, partition) in self.ends(topic).await.into_iter().zip(0..) {
            let found = store.watermark(stage, partition).await.ok().flatten();
            if end > 0 && found.is_none_or(|watermark| watermark.next_offset < end) {
                return false;
            }
        }
        true
    }

    async fn read_logs(&self) -> Logs {
        let (brokers, prefix) = (self.brokers.clone(), self.prefix.clone());
        let read = move || {
            let topic = |topic: Topic| {
                let mut records: Vec<Record> = Vec::new();
                tail::read_all(&brokers, &topic.name(&prefix), &mut |record| records.push(record))
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
        let logs = receiver.recv().await.unwrap();
        reading.join().unwrap();
        logs
    }

    /// What Redis holds equals one pass over the logs, and counts every event; gives it.
    pub(crate) async fn check_state(&self, logs: &Logs, events: u64) -> BTreeMap<String, Vec<u8>> {
        let store = self.store();
        let deadline = || Deadline::after(Clock::system().instant(), Duration::from_secs(5));
        let mut state = BTreeMap::new();
        let (users, said) = logs.users(&Decoder::new(self.client())).await;
        let mut counted = 0;
        for (subject, expected) in &users.users {
            let found = store.users(&[subject.as_subject()], deadline()).await.unwrap();
            let found = found[0].as_deref().unwrap_or_default();
            assert!(found == expected.encode(), "state of {subject:?} differs");
            counted += upnext_common::event::EventType::ALL
                .map(|kind| expected.lifetime(kind))
                .iter()
                .sum::<u64>();
            state.insert(format!("{subject:?}"), found.to_vec());
        }
        assert_eq!(counted, events, "the states of users count every event once");
        let (items, heard) = logs.items();
        assert_eq!(said, heard, "signals, each counted once, are what the events say");
        for (item, expected) in &items {
            let found = store.items(&[*item], deadline()).await.unwrap();
            let found = found[0].as_deref().unwrap_or_default();
            assert!(found == expected.as_slice(), "state of item {item:?} differs");
            state.insert(format!("{item:?}"), found.to_vec());
        }
        state
    }
}

fn registry(url: &str) -> RegistryClient {
    RegistryClient::new(url, &config::Registry::default(), Clock::system()).unwrap()
}

fn event(number: u64, event_time_ms: i64) -> Event {
    Event {
        event_id: uuid::Uuid::new_v4().to_string(),
        event_time_ms,
        user_id: Some(format!("u{}", number % USERS)),
        anonymous_id: None,
        session_id: format!("s{}", number / 2_000),
        surface: "home".to_owned(),
        decision_id: None,
        device: Device::Mobile,
        props: BTreeMap::new(),
        body: EventBody::ItemClicked { item_id: format!("i{}", number * 7 % ITEMS) },
    }
}
