//! Whole topics without a group.

use rdkafka::config::ClientConfig;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use tokio::sync::mpsc;
use upnext_common::drain::Drain;
use upnext_kafka::KafkaError;
use upnext_kafka::tail::{self, TailEvent};

use crate::ground::{BOUND, Ground, borrowed, numbered, text, within};

/// The values told until caught up.
async fn until_caught_up(events: &mut mpsc::Receiver<TailEvent>) -> Vec<String> {
    let mut found = Vec::new();
    loop {
        match within(events.recv()).await.expect("an event") {
            TailEvent::Record(record) => found.push(text(&record)),
            TailEvent::CaughtUp => return found,
        }
    }
}

async fn next_value(events: &mut mpsc::Receiver<TailEvent>) -> String {
    match within(events.recv()).await.expect("an event") {
        TailEvent::Record(record) => text(&record),
        TailEvent::CaughtUp => panic!("caught up twice"),
    }
}

async fn read_all(brokers: &str, topic: &str) -> Result<(u64, Vec<String>), KafkaError> {
    let (brokers, topic) = (brokers.to_owned(), topic.to_owned());
    let (sender, receiver) = tokio::sync::oneshot::channel();
    std::thread::spawn(move || {
        let mut found = Vec::new();
        let count = tail::read_all(&brokers, &topic, &mut |record| found.push(text(&record)));
        sender.send(count.map(|count| (count, found))).unwrap();
    });
    within(receiver).await.unwrap()
}

#[tokio::test]
async fn what_stands_is_told_then_what_comes() {
    let ground = Ground::with_topic("t", 3).await;
    for partition in 0..3 {
        let values = numbered(&format!("p{partition}-"), 50);
        ground.write("t", partition, &borrowed(&values)).await;
    }
    let mut events = tail::follow(&ground.brokers, "t", true, Drain::new()).unwrap();
    let found = until_caught_up(&mut events).await;
    assert_eq!(found.len(), 150);
    for partition in 0..3 {
        let prefix = format!("p{partition}-");
        let own = found.iter().filter(|value| value.starts_with(&prefix)).cloned();
        assert_eq!(own.collect::<Vec<_>>(), numbered(&prefix, 50), "in order");
    }
    ground.write("t", 1, &["new"]).await;
    assert_eq!(next_value(&mut events).await, "new");
}

#[tokio::test]
async fn an_empty_topic_is_caught_up_with_at_once() {
    let ground = Ground::with_topic("t", 2).await;
    let mut events = tail::follow(&ground.brokers, "t", true, Drain::new()).unwrap();
    assert!(until_caught_up(&mut events).await.is_empty());
}

#[tokio::test]
async fn from_now_on_means_nothing_old() {
    let ground = Ground::with_topic("t", 1).await;
    ground.write("t", 0, &["old"]).await;
    let mut events = tail::follow(&ground.brokers, "t", false, Drain::new()).unwrap();
    assert!(until_caught_up(&mut events).await.is_empty());
    ground.write("t", 0, &["new"]).await;
    assert_eq!(next_value(&mut events).await, "new");
}

/// The last offsets of such a partition hold no record, so counting offsets never reaches its end.
#[tokio::test]
async fn an_end_that_holds_no_record_is_reached() {
    let ground = Ground::with_topic("t", 1).await;
    ground.write("t", 0, &["a", "b"]).await;
    let brokers = ground.brokers.clone();
    let (done, aborted) = tokio::sync::oneshot::channel();
    std::thread::spawn(move || {
        abort_a_transaction(&brokers);
        done.send(()).unwrap();
    });
    within(aborted).await.unwrap();
    let mut events = tail::follow(&ground.brokers, "t", true, Drain::new()).unwrap();
    assert_eq!(until_caught_up(&mut events).await, ["a", "b"]);
    let (count, found) = read_all(&ground.brokers, "t").await.unwrap();
    assert_eq!((count, found), (2, vec!["a".to_owned(), "b".to_owned()]));
}

fn abort_a_transaction(brokers: &str) {
    let producer: BaseProducer = ClientConfig::new()
        .set("bootstrap.servers", brokers)
        .set("transactional.id", "aborts")
        .create()
        .unwrap();
    producer.init_transactions(BOUND).unwrap();
    producer.begin_transaction().unwrap();
    producer.send(BaseRecord::<str, str>::to("t").partition(0).payload("never")).unwrap();
    producer.flush(BOUND).unwrap();
    producer.abort_transaction(BOUND).unwrap();
}

#[tokio::test]
async fn a_topic_that_is_not_there_yet_is_waited_for() {
    let ground = Ground::start().await;
    let mut events = tail::follow(&ground.brokers, "late", true, Drain::new()).unwrap();
    ground.create("late", 1).await;
    ground.write("late", 0, &["a"]).await;
    // Caught up comes before or after the record, depending on which was first.
    let mut found = until_caught_up(&mut events).await;
    if found.is_empty() {
        found.push(next_value(&mut events).await);
    }
    assert_eq!(found, ["a"]);
}

#[tokio::test]
async fn partitions_that_are_added_are_followed_from_their_beginning() {
    let ground = Ground::with_topic("t", 1).await;
    let mut events = tail::follow(&ground.brokers, "t", false, Drain::new()).unwrap();
    assert!(until_caught_up(&mut events).await.is_empty());
    ground.grow("t", 3).await;
    // Written before they are followed.
    ground.write("t", 2, &["c", "d"]).await;
    ground.write("t", 1, &["b"]).await;
    let mut found = Vec::new();
    for _ in 0..3 {
        found.push(next_value(&mut events).await);
    }
    found.sort();
    assert_eq!(found, ["b", "c", "d"]);
    ground.write("t", 0, &["a"]).await;
    assert_eq!(next_value(&mut events).await, "a");
}

#[tokio::test]
async fn following_survives_a_restart_of_the_broker() {
    let mut ground = Ground::with_topic("t", 1).await;
    ground.write("t", 0, &["a"]).await;
    let mut events = tail::follow(&ground.brokers, "t", true, Drain::new()).unwrap();
    assert_eq!(until_caught_up(&mut events).await, ["a"]);
    ground.stop().await;
    ground.restart().await;
    ground.write("t", 0, &["b"]).await;
    assert_eq!(next_value(&mut events).await, "b");
}

#[tokio::test]
async fn following_ends_with_the_drain() {
    let ground = Ground::with_topic("t", 1).await;
    let drain = Drain::new();
    let mut events = tail::follow(&ground.brokers, "t", true, drain.clone()).unwrap();
    assert!(until_caught_up(&mut events).await.is_empty());
    drain.start();
    assert_eq!(within(events.recv()).await, None);
}

#[tokio::test]
async fn a_bounded_read_ends_where_the_topic_ended() {
    let ground = Ground::with_topic("t", 2).await;
    ground.write("t", 0, &["a", "b"]).await;
    ground.write("t", 1, &["c"]).await;
    let (count, mut found) = read_all(&ground.brokers, "t").await.unwrap();
    found.sort();
    assert_eq!((count, borrowed(&found)), (3, vec!["a", "b", "c"]));
}

#[tokio::test]
async fn a_bounded_read_of_no_topic_is_an_error() {
    let ground = Ground::start().await;
    let error = read_all(&ground.brokers, "none").await.unwrap_err();
    assert!(matches!(error, KafkaError::Topic { .. }), "{error}");
}
