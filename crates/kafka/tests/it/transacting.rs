//! Records written all or none, by one writer at a time; and stretches of a topic read to their ends.

use bytes::Bytes;
use upnext_kafka::scan::{self, Stretch};
use upnext_kafka::{KafkaError, Outgoing, ProducerSettings, Transactions, admin};

use crate::ground::{Ground, outgoing, within};

async fn writer(ground: &Ground) -> Transactions {
    let settings = ProducerSettings::default();
    within(Transactions::take_over(&ground.brokers, "writer", settings)).await.unwrap()
}

/// What stands in a topic for readers of what is committed.
async fn values(ground: &Ground, topic: &str) -> Vec<String> {
    let stretches = within(scan::stretches(&ground.brokers, topic, None)).await.unwrap();
    read(ground, topic, &stretches).await
}

async fn read(ground: &Ground, topic: &str, stretches: &[Stretch]) -> Vec<String> {
    let mut records = scan::read(&ground.brokers, topic, stretches).unwrap();
    let mut found = Vec::new();
    while let Some(record) = within(records.recv()).await {
        found.push(String::from_utf8(record.unwrap().value.unwrap().to_vec()).unwrap());
    }
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_written_together_is_seen_together() {
    let ground = Ground::with_topic("a", 1).await;
    ground.create("b", 1).await;
    let writer = writer(&ground).await;
    for round in ["1", "2"] {
        let pair = [outgoing("a", 0, round), outgoing("b", 0, round)];
        within(writer.write(&pair)).await.unwrap();
    }
    assert_eq!(values(&ground, "a").await, ["1", "2"]);
    assert_eq!(values(&ground, "b").await, ["1", "2"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_is_refused_undoes_all_and_the_next_goes_on() {
    let ground = Ground::with_topic("a", 1).await;
    let writer = writer(&ground).await;
    let giant = Outgoing { value: Some(Bytes::from(vec![0; 9 << 20])), ..outgoing("a", 0, "") };
    let refused = within(writer.write(&[outgoing("a", 0, "1"), giant])).await;
    assert!(matches!(refused, Err(KafkaError::Refused { .. })), "{refused:?}");
    within(writer.write(&[outgoing("a", 0, "2")])).await.unwrap();
    assert_eq!(values(&ground, "a").await, ["2"]);
}

/// What waits behind it on another partition is not sent any more, and told nothing.
#[tokio::test(flavor = "multi_thread")]
async fn one_that_is_refused_is_told_though_others_wait() {
    let ground = Ground::with_topic("a", 2).await;
    within(admin::set_batch_bytes_max(&ground.brokers, "a", 1_000)).await.unwrap();
    let settings = ProducerSettings { batch_bytes_max: 1, ..ProducerSettings::default() };
    let taken = Transactions::take_over(&ground.brokers, "writer", settings);
    let writer = within(taken).await.unwrap();
    let mut records = vec![outgoing("a", 0, "small"); 2_000];
    records.push(outgoing("a", 1, &"x".repeat(2_000)));
    let refused = within(writer.write(&records)).await;
    assert!(matches!(refused, Err(KafkaError::Refused { .. })), "{refused:?}");
    within(writer.write(&[outgoing("a", 0, "2")])).await.unwrap();
    assert_eq!(values(&ground, "a").await, ["2"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_takes_over_shuts_the_earlier_one_out() {
    let ground = Ground::with_topic("a", 1).await;
    let first = writer(&ground).await;
    within(first.write(&[outgoing("a", 0, "first")])).await.unwrap();
    let second = writer(&ground).await;
    let fenced = within(first.write(&[outgoing("a", 0, "too late")])).await;
    assert!(matches!(fenced, Err(KafkaError::Fenced { .. })), "{fenced:?}");
    within(second.write(&[outgoing("a", 0, "second")])).await.unwrap();
    assert_eq!(values(&ground, "a").await, ["first", "second"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stretch_begins_at_a_time_and_ends_where_it_is_told() {
    let ground = Ground::with_topic("a", 2).await;
    let producer = ground.producer();
    for (number, partition) in [(1, 0), (2, 0), (3, 1), (4, 0)] {
        let record = Outgoing {
            timestamp_ms: Some(number * 1_000),
            ..outgoing("a", partition, &number.to_string())
        };
        within(producer.send(&record).unwrap()).await.unwrap();
    }
    let since = within(scan::stretches(&ground.brokers, "a", Some(2_000))).await.unwrap();
    let expected = [(0, 1, 3), (1, 0, 1)];
    let found = since.iter().map(|found| (found.partition, found.start, found.end));
    assert_eq!(found.collect::<Vec<_>>(), expected);
    let later = within(scan::stretches(&ground.brokers, "a", Some(9_000))).await.unwrap();
    assert!(later.iter().all(Stretch::is_empty), "{later:?}");
    assert!(read(&ground, "a", &later).await.is_empty());
    let one = Stretch { partition: 0, start: 1, end: 2 };
    assert_eq!((one.length(), read(&ground, "a", &[one]).await), (1, vec!["2".to_owned()]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_that_is_not_there_is_said() {
    let ground = Ground::start().await;
    let found = within(scan::stretches(&ground.brokers, "nowhere", None)).await;
    assert!(matches!(found, Err(KafkaError::Topic { .. })), "{found:?}");
}
