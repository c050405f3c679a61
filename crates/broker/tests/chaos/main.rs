//! The broker under kills, under many writes of few keys, and over time; with real clients. The long forms are ignored
//! here and run by `scripts/chaos-broker`, which gives their size.
#![expect(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    clippy::print_stderr,
    reason = "tests whose long forms print their figures; sizes and roles come from the environment"
)]

mod compaction;
mod kills;
mod pressure;
mod process;
mod retention;

use std::time::Duration;

use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::Message;
use rdkafka::{Offset, TopicPartitionList};

use process::BrokerProcess;

/// The longest a single step may take.
const LIMIT: Duration = Duration::from_secs(60);

/// How large a long form is: the environment's word, else `default`.
fn size(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|size| size.parse().ok()).unwrap_or(default)
}

fn client(broker: &BrokerProcess, settings: &[(&str, &str)]) -> ClientConfig {
    let mut client = ClientConfig::new();
    client.set("bootstrap.servers", broker.address());
    client.set("reconnect.backoff.max.ms", "200");
    client.set_log_level(RDKafkaLogLevel::Emerg);
    for (name, value) in settings {
        client.set(*name, *value);
    }
    client
}

async fn create(broker: &BrokerProcess, topic: &str, partitions: i32, settings: &[(&str, &str)]) {
    let admin: AdminClient<DefaultClientContext> = client(broker, &[]).create().unwrap();
    let mut new = NewTopic::new(topic, partitions, TopicReplication::Fixed(1));
    for (name, value) in settings {
        new = new.set(name, value);
    }
    let made = admin.create_topics(&[new], &AdminOptions::new()).await.unwrap();
    made.into_iter().for_each(|made| drop(made.unwrap()));
}

/// A record as it was read.
struct Found {
    partition: i32,
    offset: i64,
    key: String,
    /// `None` is a tombstone.
    value: Option<String>,
}

/// Everything on a topic that is committed, partition after partition.
fn read_all(broker: &BrokerProcess, topic: &str, partitions: i32) -> Vec<Found> {
    let mut found = Vec::new();
    for partition in 0..partitions {
        let consumer: BaseConsumer = client(
            broker,
            &[
                ("group.id", "reader"),
                ("enable.auto.commit", "false"),
                ("enable.partition.eof", "true"),
                ("isolation.level", "read_committed"),
                ("check.crcs", "true"),
            ],
        )
        .create()
        .unwrap();
        let mut start = TopicPartitionList::new();
        start.add_partition_offset(topic, partition, Offset::Beginning).unwrap();
        consumer.assign(&start).unwrap();
        loop {
            match consumer.poll(LIMIT).expect("something in time") {
                Ok(record) => found.push(Found {
                    partition,
                    offset: record.offset(),
                    key: text(record.key()).unwrap_or_default(),
                    value: text(record.payload()),
                }),
                Err(KafkaError::PartitionEOF(_)) => break,
                Err(error) => panic!("cannot read {topic}: {error}"),
            }
        }
    }
    found
}

fn text(bytes: Option<&[u8]>) -> Option<String> {
    bytes.map(|bytes| String::from_utf8_lossy(bytes).into_owned())
}

/// Where partition 0 of a topic begins and ends.
fn watermarks(broker: &BrokerProcess, topic: &str) -> (i64, i64) {
    let consumer: BaseConsumer = client(broker, &[("group.id", "asker")]).create().unwrap();
    consumer.fetch_watermarks(topic, 0, LIMIT).unwrap()
}

/// Looks again and again until it is so; what was seen last is part of the complaint.
async fn until<T: std::fmt::Debug>(
    bound: Duration,
    mut look: impl FnMut() -> T,
    is_so: impl Fn(&T) -> bool,
) -> T {
    let step = Duration::from_millis(100);
    let mut waited = Duration::ZERO;
    loop {
        let seen = look();
        if is_so(&seen) {
            return seen;
        }
        assert!(waited < bound, "after {bound:?} it is still {seen:?}");
        tokio::time::sleep(step).await;
        waited += step;
    }
}
