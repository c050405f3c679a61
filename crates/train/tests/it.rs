//! Learning from what stands in Kafka, over an embedded broker and registry.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says so")]

use std::collections::BTreeMap;

use upnext_common::clock::Clock;
use upnext_common::config::{self, Config, Train};
use upnext_common::event::{Device, Event, EventBody};
use upnext_common::item::Item;
use upnext_common::position::{SOURCE_OFFSET, SOURCE_PARTITION};
use upnext_common::topic::Topic;
use upnext_contract::{Encoder, RegistryClient};
use upnext_kafka::{Outgoing, Producer, ProducerSettings, admin};
use upnext_testkit::Stack;
use upnext_train::history::{HistoryError, fit_from_kafka, read_kafka};

const PREFIX: &str = "train-it.";

fn config() -> Config {
    let mut config =
        Config { train: Train { tower_epochs: 1, ..Train::default() }, ..Config::default() };
    config.kafka.topic_prefix = PREFIX.to_owned();
    config
}

fn view(session: &str, item: &str, time_ms: i64) -> Event {
    Event {
        event_id: uuid::Uuid::new_v4().to_string(),
        event_time_ms: time_ms,
        user_id: Some("u".to_owned()),
        anonymous_id: None,
        session_id: session.to_owned(),
        surface: "home".to_owned(),
        decision_id: None,
        device: Device::Unknown,
        props: BTreeMap::new(),
        body: EventBody::ItemViewed { item_id: item.to_owned() },
    }
}

/// A broker with our topics, and what is needed to write to them.
struct Ground {
    stack: Stack,
    producer: Producer,
    encoder: Encoder,
}

impl Ground {
    async fn new() -> Self {
        let stack = Stack::start().await;
        admin::ensure_topics(&stack.brokers(), &config().kafka).await.unwrap();
        let settings = config::Registry::default();
        let client =
            RegistryClient::new(&stack.registry_url(), &settings, Clock::system()).unwrap();
        let encoder = Encoder::register_all(&client, PREFIX).await.unwrap();
        let producer = Producer::new(&stack.brokers(), ProducerSettings::default()).unwrap();
        Self { stack, producer, encoder }
    }

    async fn send(
        &self,
        topic: Topic,
        key: &str,
        value: Option<bytes::Bytes>,
        (source, timestamp_ms): (Option<i64>, i64),
    ) {
        let header = |name: &str, number: i64| (name.to_owned(), Some(number.to_string().into()));
        let headers =
            source.map(|offset| [header(SOURCE_PARTITION, 0), header(SOURCE_OFFSET, offset)]);
        let outgoing = Outgoing {
            topic: topic.name(PREFIX),
            partition: None,
            key: Some(bytes::Bytes::copy_from_slice(key.as_bytes())),
            value,
            headers: headers.into_iter().flatten().collect(),
            timestamp_ms: Some(timestamp_ms),
        };
        self.producer.send(&outgoing).unwrap().await.unwrap();
    }

    async fn send_view(&self, session: &str, item: &str, time_ms: i64, source: i64) {
        let value = self.encoder.event(&view(session, item, time_ms)).unwrap();
        self.send(Topic::Valid, "u", Some(value), (Some(source), time_ms)).await;
    }

    async fn send_item(&self, item: &Item) {
        let value = self.encoder.item(item).unwrap();
        self.send(Topic::Items, &item.item_id, Some(value), (None, 1_000)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_history_is_each_event_once_in_order_of_time_and_the_newest_items() {
    let ground = Ground::new().await;
    ground.send_view("s", "b", 2_000, 1).await;
    ground.send_view("s", "a", 1_000, 0).await;
    // Ingest wrote the same record again after a crash.
    ground.send_view("s", "b", 2_000, 1).await;
    ground.send(Topic::Valid, "u", Some("garbage".into()), (Some(2), 1_000)).await;
    let item = |id: &str, price| Item { item_id: id.to_owned(), price, ..Item::default() };
    ground.send_item(&item("b", Some(1.0))).await;
    ground.send_item(&item("gone", None)).await;
    ground.send_item(&item("a", None)).await;
    ground.send_item(&item("b", Some(2.0))).await;
    ground.send(Topic::Items, "gone", None, (None, 1_000)).await;
    let (brokers, registry_url) = (ground.stack.brokers(), ground.stack.registry_url());
    let registry = config::Registry::default();
    let history =
        read_kafka(&brokers, PREFIX, &registry_url, &registry, Clock::system()).await.unwrap();
    let found = history.rows.iter().map(|row| (row.event.body.item_id().unwrap(), row.record_ms));
    assert_eq!(found.collect::<Vec<_>>(), [("a", 1_000), ("b", 2_000)]);
    let found = history.items.iter().map(|item| (item.item_id.as_str(), item.price));
    assert_eq!(found.collect::<Vec<_>>(), [("a", None), ("b", Some(2.0))]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_artifact_comes_from_kafka_alone() {
    let ground = Ground::new().await;
    for nth in 0..12 {
        let session = format!("s{}", nth / 3);
        ground.send_view(&session, &format!("i{}", nth % 3), 1_000 * nth, nth).await;
    }
    let (brokers, registry_url) = (ground.stack.brokers(), ground.stack.registry_url());
    let artifact =
        fit_from_kafka(&config(), &brokers, &registry_url, Clock::system(), |_| {}).await.unwrap();
    assert_eq!(artifact.about.data.events, 12);
    assert_eq!(artifact.static_list.len(), 3);
    assert!(artifact.tower.is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn trouble_on_the_way_is_an_upstream_fault() {
    let nowhere = format!("127.0.0.1:{}", upnext_testkit::free_port());
    let url = format!("http://{nowhere}");
    let error =
        fit_from_kafka(&config(), &nowhere, &url, Clock::system(), |_| {}).await.unwrap_err();
    assert!(matches!(error, HistoryError::Kafka(_)), "{error}");
    assert!(error.fault().may_retry());
    let ground = Ground::new().await;
    ground.send_view("s", "a", 1_000, 0).await;
    let error =
        fit_from_kafka(&config(), &ground.stack.brokers(), &url, Clock::system(), |_| {}).await;
    assert!(matches!(error.unwrap_err(), HistoryError::Decode(_)));
}
