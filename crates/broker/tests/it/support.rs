//! A broker on a free port with its own directory, and clients of it.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::{BorrowedMessage, Message};
use rdkafka::producer::{FutureProducer, FutureRecord};
use rdkafka::{Offset, TopicPartitionList};
use tempfile::TempDir;
use upnext_broker::{Broker, BrokerConfig};

/// The longest anything may take.
pub(crate) const LIMIT: Duration = Duration::from_secs(30);
const STEP: Duration = Duration::from_millis(100);

pub(crate) struct Bench {
    pub broker: Broker,
    pub directory: TempDir,
}

pub(crate) fn loopback(port: u16) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, port))
}

pub(crate) fn config(directory: &Path) -> BrokerConfig {
    BrokerConfig::new(loopback(0), directory)
}

impl Bench {
    pub(crate) async fn start() -> Self {
        Self::start_with(|_| {}).await
    }

    pub(crate) async fn start_with(change: impl FnOnce(&mut BrokerConfig)) -> Self {
        let directory = TempDir::new().expect("a directory");
        let mut config = config(directory.path());
        change(&mut config);
        let broker = Broker::start(config).await.expect("a broker");
        Self { broker, directory }
    }

    /// Stops the broker and starts one on the same directory.
    pub(crate) async fn restart(self) -> Self {
        self.broker.stop().await;
        let broker = Broker::start(config(self.directory.path())).await.expect("a broker");
        Self { broker, directory: self.directory }
    }

    /// A second broker on what would be left if this one were killed now.
    pub(crate) async fn after_kill(&self) -> Self {
        let directory = TempDir::new().expect("a directory");
        copy(self.directory.path(), directory.path());
        let broker = Broker::start(config(directory.path())).await.expect("a broker");
        Self { broker, directory }
    }

    pub(crate) fn client(&self, settings: &[(&str, &str)]) -> ClientConfig {
        let mut client = ClientConfig::new();
        client.set("bootstrap.servers", self.broker.address().to_string());
        client.set_log_level(RDKafkaLogLevel::Emerg);
        for (name, value) in settings {
            client.set(*name, *value);
        }
        client
    }

    pub(crate) fn admin(&self) -> AdminClient<DefaultClientContext> {
        self.client(&[]).create().expect("an admin client")
    }

    pub(crate) fn producer(&self, settings: &[(&str, &str)]) -> FutureProducer {
        let mut client = self.client(&[("acks", "all"), ("message.timeout.ms", "20000")]);
        for (name, value) in settings {
            client.set(*name, *value);
        }
        client.create().expect("a producer")
    }

    pub(crate) fn consumer(&self, group: &str, settings: &[(&str, &str)]) -> BaseConsumer {
        let mut client = self.client(&[
            ("group.id", group),
            ("enable.auto.commit", "false"),
            ("auto.offset.reset", "earliest"),
            ("enable.partition.eof", "true"),
            ("session.timeout.ms", "6000"),
            ("heartbeat.interval.ms", "200"),
        ]);
        for (name, value) in settings {
            client.set(*name, *value);
        }
        client.create().expect("a consumer")
    }

    pub(crate) async fn create(&self, topic: &str, partitions: i32, settings: &[(&str, &str)]) {
        let mut new = NewTopic::new(topic, partitions, TopicReplication::Fixed(1));
        for (name, value) in settings {
            new = new.set(name, value);
        }
        let made = self.admin().create_topics(&[new], &AdminOptions::new()).await;
        made.expect("an answer").remove(0).expect("a topic");
    }

    /// Everything on partition 0 of a topic, as a fresh reader sees it.
    pub(crate) fn values(&self, topic: &str, settings: &[(&str, &str)]) -> Vec<String> {
        let consumer = self.consumer("reader", settings);
        let mut start = TopicPartitionList::new();
        start.add_partition_offset(topic, 0, Offset::Beginning).expect("an offset");
        consumer.assign(&start).expect("assigned");
        let mut values = Vec::new();
        loop {
            match poll(&consumer).expect("something in time") {
                Ok(message) => values.push(payload(&message)),
                Err(KafkaError::PartitionEOF(_)) => return values,
                Err(error) => panic!("cannot read {topic}: {error}"),
            }
        }
    }
}

/// Sends and waits; the offset it came to stand at.
pub(crate) async fn send(producer: &FutureProducer, topic: &str, value: &str) -> i64 {
    let record = FutureRecord::to(topic).partition(0).key("key").payload(value);
    producer.send(record, LIMIT).await.map_err(|(error, _)| error).expect("delivered").offset
}

/// The next thing that happens; `None` if nothing does within the limit.
pub(crate) fn poll(consumer: &BaseConsumer) -> Option<Result<BorrowedMessage<'_>, KafkaError>> {
    let steps = LIMIT.as_millis() / STEP.as_millis();
    (0..steps).find_map(|_| consumer.poll(STEP))
}

/// The next record, within the limit.
#[track_caller]
pub(crate) fn record(consumer: &BaseConsumer) -> BorrowedMessage<'_> {
    loop {
        match poll(consumer).expect("something in time") {
            Ok(message) => return message,
            Err(KafkaError::PartitionEOF(_)) => {}
            Err(error) => panic!("cannot read: {error}"),
        }
    }
}

/// Polls the consumers until a condition holds, within the limit.
#[track_caller]
pub(crate) fn poll_until(consumers: &[&BaseConsumer], condition: impl Fn() -> bool) {
    for _ in 0..LIMIT.as_millis() / 20 {
        for consumer in consumers {
            if let Some(Err(error)) = consumer.poll(Duration::from_millis(10)) {
                assert!(matches!(error, KafkaError::PartitionEOF(_)), "{error}");
            }
        }
        if condition() {
            return;
        }
    }
    panic!("it did not come to that in {LIMIT:?}");
}

pub(crate) fn payload(message: &BorrowedMessage<'_>) -> String {
    String::from_utf8_lossy(message.payload().unwrap_or_default()).into_owned()
}

pub(crate) fn partitions(consumer: &BaseConsumer) -> Vec<i32> {
    let assignment = consumer.assignment().expect("an assignment");
    assignment.elements().iter().map(|element| element.partition()).collect()
}

fn copy(from: &Path, to: &Path) {
    for entry in std::fs::read_dir(from).expect("a directory") {
        let entry = entry.expect("an entry");
        let target = to.join(entry.file_name());
        if entry.file_type().expect("a type").is_dir() {
            std::fs::create_dir(&target).expect("made");
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), &target).expect("copied");
        }
    }
}
