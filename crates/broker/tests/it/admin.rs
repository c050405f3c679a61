//! Topics and their settings, as an operator works with them.

use std::collections::HashMap;

use rdkafka::admin::{AdminOptions, AlterConfig, NewPartitions, NewTopic, ResourceSpecifier};
use rdkafka::admin::{ConfigSource, TopicReplication};
use rdkafka::consumer::Consumer;
use rdkafka::message::Message;
use rdkafka::types::RDKafkaErrorCode;
use rdkafka::{Offset, TopicPartitionList};

use crate::support::{Bench, LIMIT, record, send};

fn partitions(bench: &Bench, topic: &str) -> usize {
    let metadata = bench.admin().inner().fetch_metadata(Some(topic), LIMIT).expect("metadata");
    metadata.topics()[0].partitions().len()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_topic_is_made_grown_and_deleted() {
    let bench = Bench::start_with(|config| config.auto_create_topics = false).await;
    let (admin, options) = (bench.admin(), AdminOptions::new());
    bench.create("cycle", 2, &[]).await;
    assert_eq!(partitions(&bench, "cycle"), 2);
    let again = NewTopic::new("cycle", 2, TopicReplication::Fixed(1));
    let again = admin.create_topics(&[again], &options).await.unwrap().remove(0);
    assert_eq!(again.unwrap_err().1, RDKafkaErrorCode::TopicAlreadyExists);
    let grow = |count| NewPartitions::new("cycle", count);
    admin.create_partitions(&[grow(5)], &options).await.unwrap().remove(0).unwrap();
    assert_eq!(partitions(&bench, "cycle"), 5);
    let shrunk = admin.create_partitions(&[grow(3)], &options).await.unwrap().remove(0);
    assert_eq!(shrunk.unwrap_err().1, RDKafkaErrorCode::InvalidPartitions);
    admin.delete_topics(&["cycle"], &options).await.unwrap().remove(0).unwrap();
    assert_eq!(partitions(&bench, "cycle"), 0);
    let gone = admin.delete_topics(&["cycle"], &options).await.unwrap().remove(0);
    assert_eq!(gone.unwrap_err().1, RDKafkaErrorCode::UnknownTopicOrPartition);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_topic_that_cannot_be_is_refused() {
    let bench = Bench::start().await;
    let refused = async |topic: NewTopic<'_>| {
        let made = bench.admin().create_topics(&[topic], &AdminOptions::new()).await;
        made.unwrap().remove(0).unwrap_err().1
    };
    let topic = |name| NewTopic::new(name, 1, TopicReplication::Fixed(1));
    let many = NewTopic::new("a", 1, TopicReplication::Fixed(3));
    assert_eq!(refused(many).await, RDKafkaErrorCode::InvalidReplicationFactor);
    let name = topic("no/slash");
    assert_eq!(refused(name).await, RDKafkaErrorCode::InvalidTopic);
    let setting = topic("a").set("no.such.setting", "1");
    assert_eq!(refused(setting).await, RDKafkaErrorCode::InvalidConfig);
    let value = topic("a").set("retention.ms", "soon");
    assert_eq!(refused(value).await, RDKafkaErrorCode::InvalidConfig);
    let count = NewTopic::new("a", 100_000, TopicReplication::Fixed(1));
    assert_eq!(refused(count).await, RDKafkaErrorCode::InvalidPartitions);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn settings_are_described_replaced_and_kept() {
    let bench = Bench::start().await;
    bench.create("set", 1, &[("cleanup.policy", "compact"), ("retention.ms", "5000")]).await;
    let options = AdminOptions::new();
    let entries = HashMap::from([("segment.ms", "7000")]);
    let alter = AlterConfig { specifier: ResourceSpecifier::Topic("set"), entries };
    bench.admin().alter_configs(&[alter], &options).await.unwrap().remove(0).unwrap();
    let bench = bench.restart().await;
    let described = bench
        .admin()
        .describe_configs(
            &[ResourceSpecifier::Topic("set"), ResourceSpecifier::Broker(1)],
            &options,
        )
        .await
        .unwrap();
    let topic = described[0].as_ref().unwrap();
    let value = |name: &str| {
        let entry = topic.get(name).unwrap();
        (entry.value.as_deref().unwrap(), &entry.source)
    };
    assert_eq!(value("segment.ms"), ("7000", &ConfigSource::DynamicTopic));
    assert_eq!(value("retention.ms"), ("-1", &ConfigSource::Default));
    assert_eq!(value("cleanup.policy"), ("delete", &ConfigSource::Default));
    let broker = described[1].as_ref().unwrap();
    assert_eq!(broker.get("num.partitions").unwrap().value.as_deref(), Some("4"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unknown_topic_is_made_only_where_that_is_wanted() {
    let makes = Bench::start().await;
    assert_eq!(send(&makes.producer(&[]), "wanted", "x").await, 0);
    assert_eq!(partitions(&makes, "wanted"), 4);
    let refuses = Bench::start_with(|config| config.auto_create_topics = false).await;
    let metadata = refuses.admin().inner().fetch_metadata(Some("unwanted"), LIMIT).unwrap();
    assert!(metadata.topics()[0].error().is_some());
    assert!(refuses.admin().inner().fetch_metadata(None, LIMIT).unwrap().topics().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn deleted_records_are_gone_also_after_a_restart() {
    let bench = Bench::start().await;
    bench.create("short", 1, &[]).await;
    let producer = bench.producer(&[]);
    for at in 0..10 {
        send(&producer, "short", &at.to_string()).await;
    }
    let mut before = TopicPartitionList::new();
    before.add_partition_offset("short", 0, Offset::Offset(6)).unwrap();
    let deleted = bench.admin().delete_records(&before, &AdminOptions::new()).await.unwrap();
    assert_eq!(deleted.elements()[0].offset(), Offset::Offset(6));
    assert_eq!(bench.values("short", &[]), ["6", "7", "8", "9"]);
    drop(producer);
    let bench = bench.restart().await;
    let consumer = bench.consumer("g", &[]);
    assert_eq!(consumer.fetch_watermarks("short", 0, LIMIT).unwrap(), (6, 10));
    // Who still stands before the start is sent to it.
    let mut list = TopicPartitionList::new();
    list.add_partition_offset("short", 0, Offset::Offset(2)).unwrap();
    consumer.assign(&list).unwrap();
    assert_eq!(record(&consumer).offset(), 6);
}
