//! Broker, registry and a running ingest; records in, outcomes out.

use std::collections::BTreeMap;
use std::future::Future;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use upnext_common::clock::Clock;
use upnext_common::config::{self, Config};
use upnext_common::drain::Drain;
use upnext_common::event::{Device, Event, EventBody};
use upnext_common::metrics::Metrics;
use upnext_common::topic::Topic;
use upnext_contract::{Encoder, RegistryClient};
use upnext_http::Health;
use upnext_ingest::{Drained, Ingest, IngestError};
use upnext_kafka::tail::{self, TailEvent};
use upnext_kafka::{Outgoing, Producer, ProducerSettings, Record, admin};
use upnext_testkit::Stack;
use uuid::Uuid;

/// Longest wait for anything; reached only by a failure.
pub(crate) const BOUND: Duration = Duration::from_secs(60);
/// When everything in these tests happens.
pub(crate) const NOW_MS: i64 = 1_750_000_000_000;

pub(crate) struct Ground {
    pub(crate) stack: Stack,
    pub(crate) config: Config,
    pub(crate) brokers: String,
    pub(crate) registry_url: String,
    pub(crate) encoder: Encoder,
    pub(crate) producer: Producer,
    pub(crate) metrics: Metrics,
    pub(crate) health: Health,
    _files: tempfile::TempDir,
}

/// An ingest at work.
pub(crate) struct Running {
    pub(crate) drain: Drain,
    pub(crate) task: JoinHandle<Result<Drained, IngestError>>,
}

impl Running {
    pub(crate) async fn stop(self) -> Drained {
        self.drain.start();
        within(self.task).await.unwrap().unwrap()
    }
}

impl Ground {
    pub(crate) async fn start() -> Self {
        let stack = Stack::start().await;
        let (brokers, registry_url) = (stack.brokers(), stack.registry_url());
        let kafka = config::Kafka { partitions: 2, ..config::Kafka::default() };
        admin::ensure_topics(&brokers, &kafka).await.unwrap();
        let files = tempfile::tempdir().unwrap();
        let hasty = config::Registry { unknown_grace_ms: 0, ..config::Registry::default() };
        let data_dir = files.path().to_owned();
        let config = Config { kafka, registry: hasty, data_dir, ..Config::default() };
        let client = registry(&registry_url);
        let encoder = Encoder::register_all(&client, &config.kafka.topic_prefix).await.unwrap();
        let producer = Producer::new(&brokers, ProducerSettings::default()).unwrap();
        let metrics = Metrics::new();
        let health = Health::new(&[]);
        let _files = files;
        Self { stack, config, brokers, registry_url, encoder, producer, metrics, health, _files }
    }

    pub(crate) fn ingest(&self) -> Running {
        let ingest = Ingest {
            config: self.config.clone(),
            brokers: self.brokers.clone(),
            registry_url: self.registry_url.clone(),
            metrics: self.metrics.clone(),
            health: self.health.clone(),
            clock: Clock::system(),
            decoder: None,
        };
        let drain = Drain::new();
        Running { drain: drain.clone(), task: tokio::spawn(ingest.run(drain)) }
    }

    pub(crate) fn topic(&self, topic: Topic) -> String {
        topic.name(&self.config.kafka.topic_prefix)
    }

    /// An event as a producer would write it, to the partition it names.
    pub(crate) fn raw(&self, event: &Event, partition: i32) -> Outgoing {
        Outgoing {
            topic: self.topic(Topic::Events),
            partition: Some(partition),
            key: event.key().map(|key| Bytes::copy_from_slice(key.as_bytes())),
            value: Some(self.encoder.event(event).unwrap()),
            headers: vec![("trace".to_owned(), Some(Bytes::from_static(b"t1")))],
            timestamp_ms: Some(event.event_time_ms),
        }
    }

    pub(crate) fn garbage(&self, value: Option<&[u8]>, partition: i32) -> Outgoing {
        let value = value.map(Bytes::copy_from_slice);
        Outgoing { value, ..self.raw(&click("u", "i"), partition) }
    }

    /// Writes a record and says where it stands.
    pub(crate) async fn write(&self, record: &Outgoing) -> (i32, i64) {
        let delivery = within(self.producer.send_when_room(record)).await.unwrap();
        within(delivery).await.unwrap()
    }

    /// Writes so many events of one user to both partitions and says where each stands.
    pub(crate) async fn write_many(&self, prefix: &str, count: i32) -> Vec<(i32, i64)> {
        let mut deliveries = Vec::new();
        for number in 0..count {
            let record = self.raw(&click("u1", &format!("{prefix}{number}")), number % 2);
            deliveries.push(within(self.producer.send_when_room(&record)).await.unwrap());
        }
        let mut written = Vec::new();
        for delivery in deliveries {
            written.push(within(delivery).await.unwrap());
        }
        written
    }

    pub(crate) fn follow(&self, topic: Topic) -> Outcomes {
        let name = self.topic(topic);
        Outcomes(tail::follow(&self.brokers, &name, true, Drain::new()).unwrap())
    }
}

pub(crate) fn registry(url: &str) -> RegistryClient {
    RegistryClient::new(url, &config::Registry::default(), Clock::system()).unwrap()
}

/// What stands in an outcome topic, as it comes.
pub(crate) struct Outcomes(mpsc::Receiver<TailEvent>);

impl Outcomes {
    pub(crate) async fn next(&mut self) -> Record {
        loop {
            match within(self.0.recv()).await.unwrap() {
                TailEvent::Record(record) => return record,
                TailEvent::CaughtUp => {}
            }
        }
    }

    /// As [`Self::next`], however long nothing comes.
    pub(crate) async fn next_or_wait(&mut self) -> Record {
        loop {
            match self.0.recv().await {
                Some(TailEvent::Record(record)) => return record,
                Some(TailEvent::CaughtUp) => {}
                None => std::future::pending().await,
            }
        }
    }

    /// Everything that stands there now.
    pub(crate) async fn all(mut self) -> Vec<Record> {
        let mut found = Vec::new();
        while let TailEvent::Record(record) = within(self.0.recv()).await.unwrap() {
            found.push(record);
        }
        found
    }
}

pub(crate) fn click(user: &str, item: &str) -> Event {
    Event {
        event_id: Uuid::new_v4().to_string(),
        event_time_ms: NOW_MS,
        user_id: Some(user.to_owned()),
        anonymous_id: None,
        session_id: "s1".to_owned(),
        surface: "home".to_owned(),
        decision_id: None,
        device: Device::Mobile,
        props: BTreeMap::from([("a".to_owned(), "b".to_owned())]),
        body: EventBody::ItemClicked { item_id: item.to_owned() },
    }
}

pub(crate) fn header(record: &Record, name: &str) -> String {
    let value = record.header(name).unwrap_or_else(|| panic!("no header {name}"));
    String::from_utf8(value.to_vec()).unwrap()
}

/// Where an outcome says its record was read.
pub(crate) fn source(record: &Record) -> (i32, i64) {
    let prefix = if record.header("upnext.dlq.reason").is_some() { "dlq" } else { "source" };
    let number = |name: &str| header(record, &format!("upnext.{prefix}.{name}"));
    (number("partition").parse().unwrap(), number("offset").parse().unwrap())
}

pub(crate) async fn within<F: Future>(future: F) -> F::Output {
    tokio::time::timeout(BOUND, future).await.expect("an outcome within the bound")
}
