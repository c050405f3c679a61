//! A stack, valid events written as ingest writes them, and daemons that come and go.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::task::JoinHandle;
use upnext_common::clock::Clock;
use upnext_common::config::Config;
use upnext_common::drain::Drain;
use upnext_common::event::Event;
use upnext_common::metrics::Metrics;
use upnext_common::position::{SOURCE_EPOCH, SOURCE_OFFSET, SOURCE_PARTITION, SOURCE_TOPIC};
use upnext_common::topic::Topic;
use upnext_contract::{Encoder, RegistryClient};
use upnext_features::{Drained, Features, FeaturesError};
use upnext_kafka::{Header, Outgoing, Producer, ProducerSettings, admin};
use upnext_store::{Reader, Stage};
use upnext_testkit::{RedisCluster, Stack, eventually_async};

use crate::crowd::Crowd;

pub(crate) const PARTITIONS: i32 = 2;
pub(crate) const BOUND: Duration = Duration::from_secs(90);

/// Everything around the daemon under test.
pub(crate) struct World {
    pub(crate) stack: Stack,
    /// Where state is on a cluster; the stack's own Redis is idle then.
    pub(crate) cluster: Option<RedisCluster>,
    pub(crate) redis_url: String,
    pub(crate) config: Config,
    pub(crate) metrics: Metrics,
    pub(crate) reader: Reader,
    pub(crate) client: Arc<RegistryClient>,
    pub(crate) crowd: Crowd,
    /// What producers write beside.
    pub(crate) headers: Vec<Header>,
    encoder: Encoder,
    producer: Producer,
    raw_epoch: u32,
    /// What stands in each source partition, so that ingest can read it again.
    sources: HashMap<i32, Vec<(Event, i64)>>,
}

/// A running daemon.
pub(crate) struct Daemon {
    drain: Drain,
    task: JoinHandle<Result<Drained, FeaturesError>>,
}

impl Daemon {
    /// Why it could not go on.
    pub(crate) async fn failed(self) -> FeaturesError {
        self.task.await.expect("the daemon did not die").expect_err("the daemon went on")
    }

    /// Asks it to stop and gives what it says.
    pub(crate) async fn drained(self) -> Drained {
        self.drain.start();
        self.task.await.expect("the daemon did not die").expect("the daemon did not fail")
    }

    /// Ends it in the middle of whatever it does, as far as that can be done within one process.
    pub(crate) async fn killed(self) {
        self.task.abort();
        self.task.await.ok();
    }
}

impl World {
    pub(crate) async fn new(seed: u64) -> Self {
        Self::grouped(seed, 1).await
    }

    /// With keys in groups.
    pub(crate) async fn grouped(seed: u64, groups: u32) -> Self {
        Self::on(seed, groups, None).await
    }

    /// With keys in groups on a cluster of three.
    pub(crate) async fn clustered(seed: u64) -> Self {
        let cluster = tokio::task::block_in_place(RedisCluster::start);
        Self::on(seed, 16, Some(cluster)).await
    }

    async fn on(seed: u64, groups: u32, cluster: Option<RedisCluster>) -> Self {
        let stack = Stack::start().await;
        let redis_url = cluster.as_ref().map_or_else(|| stack.redis_url(), RedisCluster::url);
        let mut config = Config::default();
        config.redis.key_groups = groups;
        config.kafka.partitions = PARTITIONS;
        config.kafka.signals_partitions = PARTITIONS;
        config.features.flush_ms = 20;
        config.features.flush_events_max = 150;
        config.features.cached_states_max = 16;
        // A busy test machine is not a frozen store.
        config.redis.read_timeout_ms = 2_000;
        config.redis.write_timeout_ms = 10_000;
        let brokers = stack.brokers();
        admin::ensure_topics(&brokers, &config.kafka).await.expect("topics can be made");
        let clock = Clock::system();
        let client = RegistryClient::new(&stack.registry_url(), &config.registry, clock.clone());
        let client = Arc::new(client.expect("the settings hold"));
        let drain = Drain::new();
        let prefix = &config.kafka.topic_prefix;
        let registered = Encoder::register_patiently(&client, prefix, &drain).await;
        let producer = Producer::new(&brokers, ProducerSettings::default());
        Self {
            reader: Reader::connect(&redis_url, &config.redis, clock).expect("the address is one"),
            encoder: registered.expect("our schemas are taken").expect("nobody drains"),
            producer: producer.expect("the settings hold"),
            metrics: Metrics::new(),
            crowd: Crowd::new(seed),
            headers: Vec::new(),
            raw_epoch: 0,
            sources: HashMap::new(),
            client,
            config,
            stack,
            cluster,
            redis_url,
        }
    }

    /// The daemon, not started.
    pub(crate) fn features(&self) -> Features {
        Features {
            config: self.config.clone(),
            brokers: self.stack.brokers(),
            registry_url: self.stack.registry_url(),
            redis_url: self.redis_url.clone(),
            metrics: self.metrics.clone(),
            clock: Clock::system(),
        }
    }

    pub(crate) fn start(&self) -> Daemon {
        let drain = Drain::new();
        let features = self.features();
        let task = tokio::spawn(features.run(drain.clone()));
        Daemon { drain, task }
    }

    pub(crate) fn topic(&self, topic: Topic) -> String {
        topic.name(&self.config.kafka.topic_prefix)
    }

    /// `count` new events through ingest; now and then it crashes and repeats what it had written last.
    pub(crate) async fn write(&mut self, count: u64) {
        let mut outgoing = Vec::new();
        for _ in 0..count {
            let (event, record_ms) = self.crowd.next();
            let partition = partition_of(&event);
            let log = self.sources.entry(partition).or_default();
            log.push((event, record_ms));
            let again = if self.crowd.die.roll(40) == 0 { self.crowd.die.roll(9) } else { 0 };
            let log = &self.sources[&partition];
            let from = log.len().saturating_sub(1 + again as usize);
            // The newest is written, then the last ones once more.
            let order = std::iter::once(log.len() - 1).chain(from..log.len());
            let order: Vec<usize> = if again == 0 { vec![log.len() - 1] } else { order.collect() };
            for at in order {
                outgoing.push(self.valid(partition, at));
            }
        }
        self.send(&outgoing).await;
    }

    /// The raw topic is made anew as well: its positions begin at 0 again.
    pub(crate) fn forget_raw(&mut self) {
        self.sources.clear();
    }

    /// The raw topic alone is made anew, and ingest has noticed.
    pub(crate) fn begin_raw_anew(&mut self) {
        self.forget_raw();
        self.raw_epoch += 1;
    }

    /// As many raw records as there are positions of them.
    pub(crate) async fn fill_raw(&self) {
        let mut outgoing = Vec::new();
        for (partition, events) in &self.sources {
            let (topic, partition) = (self.topic(Topic::Events), Some(*partition));
            let raw =
                Outgoing { topic, partition, value: Some(Bytes::new()), ..Outgoing::default() };
            outgoing.extend(std::iter::repeat_n(raw, events.len()));
        }
        self.send(&outgoing).await;
    }

    /// Ingest writes everything once more that it has written so far.
    pub(crate) async fn repeat_all(&self) {
        let all = self
            .sources
            .iter()
            .flat_map(|(partition, events)| (0..events.len()).map(|at| self.valid(*partition, at)));
        self.send(&all.collect::<Vec<_>>()).await;
    }

    /// These events through ingest, without repeats.
    pub(crate) async fn write_all(&mut self, events: Vec<(Event, i64)>) {
        let mut outgoing = Vec::new();
        for (event, record_ms) in events {
            let partition = partition_of(&event);
            let log = self.sources.entry(partition).or_default();
            log.push((event, record_ms));
            let at = log.len() - 1;
            outgoing.push(self.valid(partition, at));
        }
        self.send(&outgoing).await;
    }

    fn valid(&self, partition: i32, at: usize) -> Outgoing {
        let (event, record_ms) = &self.sources[&partition][at];
        let text = |value: String| Some(Bytes::from(value));
        let mut headers = self.headers.clone();
        headers.extend([
            (SOURCE_TOPIC.to_owned(), text(self.topic(Topic::Events))),
            (SOURCE_PARTITION.to_owned(), text(partition.to_string())),
            (SOURCE_OFFSET.to_owned(), text(at.to_string())),
        ]);
        if self.raw_epoch > 0 {
            headers.push((SOURCE_EPOCH.to_owned(), text(self.raw_epoch.to_string())));
        }
        Outgoing {
            topic: self.topic(Topic::Valid),
            partition: Some(partition),
            key: event.key().map(|key| Bytes::from(key.to_owned())),
            value: Some(self.encoder.event(event).expect("the event fits")),
            headers,
            timestamp_ms: Some(*record_ms),
        }
    }

    /// Writes records as they are and waits until they are acknowledged.
    pub(crate) async fn send(&self, outgoing: &[Outgoing]) {
        for record in outgoing {
            // Acknowledgement is awaited by the flush.
            drop(self.producer.send_when_room(record).await.expect("the record is taken"));
        }
        self.producer.flush(BOUND).await.expect("everything is acknowledged");
    }

    /// Puts a blob where the daemon would not.
    pub(crate) async fn put(&self, key: &str, blob: &[u8]) {
        let mut text = String::new();
        for byte in blob {
            write!(text, "\\x{byte:02x}").expect("a string takes it");
        }
        assert!(self.stack.redis.command(&format!("SET {key} \"{text}\"")).starts_with("+OK"));
        let stored = self.reader.stored(&[key.to_owned()]).await.expect("the store answers");
        assert_eq!(stored, [Some(Bytes::copy_from_slice(blob))]);
    }

    /// Sum over partitions of how far a stage has come, as Redis says.
    pub(crate) async fn progress(&self, stage: Stage) -> Option<i64> {
        let mut sum = 0;
        for partition in 0..PARTITIONS {
            let watermark = self.reader.watermark(stage, partition).await.ok()?;
            sum += watermark.map_or(0, |watermark| watermark.next_offset);
        }
        Some(sum)
    }

    /// Waits until the users stage has come further by `records`.
    pub(crate) async fn advanced(&self, records: i64) {
        let before = self.progress(Stage::Users).await.unwrap_or(0);
        // What was written last may have been applied before this looked: there is nothing after the end.
        let aim = (before + records).min(self.end(&self.topic(Topic::Valid)).await);
        eventually_async(BOUND, async || {
            self.progress(Stage::Users).await.is_some_and(|now| now >= aim)
        })
        .await;
    }

    async fn end(&self, topic: &str) -> i64 {
        let ends = admin::end_offsets(&self.stack.brokers(), topic).await;
        ends.expect("the broker answers").iter().sum()
    }

    /// Waits until both stages have seen all there is.
    pub(crate) async fn settled(&self) {
        for (stage, topic) in [(Stage::Users, Topic::Valid), (Stage::Items, Topic::Signals)] {
            let topic = self.topic(topic);
            eventually_async(BOUND, async || {
                self.progress(stage).await == Some(self.end(&topic).await)
            })
            .await;
        }
    }
}

fn partition_of(event: &Event) -> i32 {
    let key = event.key().unwrap_or_default();
    i32::from(key.bytes().fold(0_u8, u8::wrapping_add)) % PARTITIONS
}
