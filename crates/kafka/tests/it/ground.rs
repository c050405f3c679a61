//! The broker under test, and waits with a bound.

use std::collections::HashMap;
use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use rdkafka::admin::{
    AdminClient, AdminOptions, NewPartitions, NewTopic, ResourceSpecifier, TopicReplication,
};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::ClientConfig;
use tempfile::TempDir;
use upnext_broker::{Broker, BrokerConfig};
use upnext_common::drain::Drain;
use upnext_kafka::group::{Assignment, FromCommit, GroupSettings, Reader, Records, StartOffsets};
use upnext_kafka::{Outgoing, Producer, ProducerSettings, Record};

/// Longest wait for anything; reached only by a failure.
pub(crate) const BOUND: Duration = Duration::from_secs(30);

/// A broker on a free port with a directory of its own.
pub(crate) struct Ground {
    broker: Option<Broker>,
    directory: TempDir,
    pub(crate) brokers: String,
}

impl Ground {
    pub(crate) async fn start() -> Self {
        let directory = TempDir::new().unwrap();
        let broker = start_broker(SocketAddr::from(([127, 0, 0, 1], 0)), &directory).await;
        let brokers = broker.address().to_string();
        Self { broker: Some(broker), directory, brokers }
    }

    /// A broker with one topic of so many partitions.
    pub(crate) async fn with_topic(topic: &str, partitions: i32) -> Self {
        let ground = Self::start().await;
        ground.create(topic, partitions).await;
        ground
    }

    pub(crate) async fn create(&self, topic: &str, partitions: i32) {
        let admin = self.admin();
        let topic = NewTopic::new(topic, partitions, TopicReplication::Fixed(1));
        let options = AdminOptions::new().operation_timeout(Some(BOUND));
        for made in admin.create_topics([&topic], &options).await.unwrap() {
            made.unwrap();
        }
    }

    /// Adds partitions, until there are so many.
    pub(crate) async fn grow(&self, topic: &str, partitions: usize) {
        let admin = self.admin();
        let options = AdminOptions::new().operation_timeout(Some(BOUND));
        let wanted = NewPartitions::new(topic, partitions);
        for made in admin.create_partitions([&wanted], &options).await.unwrap() {
            made.unwrap();
        }
    }

    /// What a topic is configured to be.
    pub(crate) async fn settings(&self, topic: &str) -> HashMap<String, String> {
        let options = AdminOptions::new().request_timeout(Some(BOUND));
        let asked = [ResourceSpecifier::Topic(topic)];
        let mut told = self.admin().describe_configs(&asked, &options).await.unwrap();
        let entries = told.remove(0).unwrap().entries;
        entries.into_iter().filter_map(|entry| Some((entry.name, entry.value?))).collect()
    }

    fn admin(&self) -> AdminClient<DefaultClientContext> {
        ClientConfig::new().set("bootstrap.servers", &self.brokers).create().unwrap()
    }

    pub(crate) async fn stop(&mut self) {
        self.broker.take().unwrap().stop().await;
    }

    /// Starts again where it stood, on the same port.
    pub(crate) async fn restart(&mut self) {
        self.broker = Some(start_broker(self.brokers.parse().unwrap(), &self.directory).await);
    }

    pub(crate) fn producer(&self) -> Producer {
        Producer::new(&self.brokers, ProducerSettings::default()).unwrap()
    }

    /// Writes `values` to one partition, in order.
    pub(crate) async fn write(&self, topic: &str, partition: i32, values: &[&str]) {
        let producer = self.producer();
        let mut deliveries = Vec::new();
        for value in values {
            deliveries.push(producer.send(&outgoing(topic, partition, value)).unwrap());
        }
        for delivery in deliveries {
            within(delivery).await.unwrap();
        }
    }

    pub(crate) fn reader(&self, group: &str, topic: &str, drain: &Drain) -> Reader {
        self.reader_from(&Arc::new(FromCommit), GroupSettings::new(group, topic), drain)
    }

    pub(crate) fn reader_from<O: StartOffsets + 'static>(
        &self,
        offsets: &Arc<O>,
        mut settings: GroupSettings,
        drain: &Drain,
    ) -> Reader {
        settings.session_timeout_ms = 6_000;
        let offsets: Arc<dyn StartOffsets> = Arc::<O>::clone(offsets);
        Reader::start(&self.brokers, settings, offsets, drain.clone()).unwrap()
    }
}

async fn start_broker(listen: SocketAddr, directory: &TempDir) -> Broker {
    let config = BrokerConfig::new(listen, directory.path().to_owned());
    Broker::start(config).await.unwrap()
}

pub(crate) fn outgoing(topic: &str, partition: i32, value: &str) -> Outgoing {
    Outgoing {
        topic: topic.to_owned(),
        partition: Some(partition),
        value: Some(Bytes::copy_from_slice(value.as_bytes())),
        ..Outgoing::default()
    }
}

/// The outcome of `future`, which must come within the bound.
#[track_caller]
pub(crate) fn within<F: Future>(future: F) -> impl Future<Output = F::Output> {
    let place = std::panic::Location::caller();
    async move {
        match tokio::time::timeout(BOUND, future).await {
            Ok(output) => output,
            Err(_) => panic!("nothing within {BOUND:?} at {place}"),
        }
    }
}

pub(crate) async fn next(reader: &mut Reader) -> Assignment {
    within(reader.next()).await.expect("an assignment")
}

/// The next `count` values of a partition.
pub(crate) async fn values(records: &mut Records, count: usize) -> Vec<String> {
    let mut found = Vec::new();
    while found.len() < count {
        found.push(text(&within(records.recv()).await.expect("a record")));
    }
    found
}

pub(crate) fn text(record: &Record) -> String {
    String::from_utf8(record.value.as_ref().unwrap().to_vec()).unwrap()
}

/// `prefix0`, `prefix1`, …
pub(crate) fn numbered(prefix: &str, count: usize) -> Vec<String> {
    (0..count).map(|number| format!("{prefix}{number}")).collect()
}

pub(crate) fn borrowed(texts: &[String]) -> Vec<&str> {
    texts.iter().map(String::as_str).collect()
}
