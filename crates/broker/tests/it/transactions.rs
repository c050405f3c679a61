//! Transactions as librdkafka makes them.

use rdkafka::consumer::Consumer;
use rdkafka::message::Message;
use rdkafka::producer::{FutureProducer, Producer};
use rdkafka::{Offset, TopicPartitionList};

use crate::support::{Bench, LIMIT, record, send};

const COMMITTED: [(&str, &str); 1] = [("isolation.level", "read_committed")];
const UNCOMMITTED: [(&str, &str); 1] = [("isolation.level", "read_uncommitted")];

impl Bench {
    fn transactional(&self, id: &str) -> FutureProducer {
        let producer = self.producer(&[("transactional.id", id)]);
        producer.init_transactions(LIMIT).expect("taken over");
        producer
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_committed_reader_sees_what_was_committed_and_no_more() {
    let bench = Bench::start().await;
    bench.create("ledger", 1, &[]).await;
    let producer = bench.transactional("ledger");
    for (value, commits) in [("one", true), ("two", false), ("three", true)] {
        producer.begin_transaction().unwrap();
        send(&producer, "ledger", value).await;
        if commits {
            producer.commit_transaction(LIMIT).unwrap();
        } else {
            producer.abort_transaction(LIMIT).unwrap();
        }
    }
    producer.begin_transaction().unwrap();
    send(&producer, "ledger", "open").await;
    assert_eq!(bench.values("ledger", &COMMITTED), ["one", "three"]);
    assert_eq!(bench.values("ledger", &UNCOMMITTED), ["one", "two", "three", "open"]);
    producer.commit_transaction(LIMIT).unwrap();
    assert_eq!(bench.values("ledger", &COMMITTED), ["one", "three", "open"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_successor_fences_its_predecessor() {
    let bench = Bench::start().await;
    bench.create("fenced", 1, &[]).await;
    let old = bench.transactional("holder");
    old.begin_transaction().unwrap();
    send(&old, "fenced", "old").await;
    let new = bench.transactional("holder");
    let refused = old.commit_transaction(LIMIT).unwrap_err();
    assert!(refused.to_string().to_lowercase().contains("fence"), "{refused}");
    new.begin_transaction().unwrap();
    send(&new, "fenced", "new").await;
    new.commit_transaction(LIMIT).unwrap();
    assert_eq!(bench.values("fenced", &COMMITTED), ["new"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn consumed_offsets_are_committed_with_what_was_made_of_them() {
    let bench = Bench::start().await;
    bench.create("in", 1, &[]).await;
    bench.create("out", 1, &[]).await;
    send(&bench.producer(&[]), "in", "x").await;
    let producer = bench.transactional("transform");
    let mut outcomes = Vec::new();
    for commits in [false, true] {
        let consumer = bench.consumer("transform", &COMMITTED);
        consumer.subscribe(&["in"]).unwrap();
        outcomes.push(record(&consumer).offset());
        producer.begin_transaction().unwrap();
        send(&producer, "out", &format!("commits: {commits}")).await;
        let position = consumer.position().unwrap();
        let group = consumer.group_metadata().unwrap();
        producer.send_offsets_to_transaction(&position, &group, LIMIT).unwrap();
        if commits {
            producer.commit_transaction(LIMIT).unwrap();
        } else {
            producer.abort_transaction(LIMIT).unwrap();
        }
    }
    assert_eq!(outcomes, [0, 0], "the abort left the offset where it was");
    assert_eq!(bench.values("out", &COMMITTED), ["commits: true"]);
    let mut list = TopicPartitionList::new();
    list.add_partition("in", 0);
    let committed = bench.consumer("transform", &[]).committed_offsets(list, LIMIT).unwrap();
    assert_eq!(committed.elements()[0].offset(), Offset::Offset(1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn transactions_survive_a_restart() {
    let bench = Bench::start().await;
    bench.create("kept", 1, &[]).await;
    let producer = bench.transactional("keeper");
    producer.begin_transaction().unwrap();
    send(&producer, "kept", "aborted").await;
    producer.abort_transaction(LIMIT).unwrap();
    producer.begin_transaction().unwrap();
    send(&producer, "kept", "committed").await;
    producer.commit_transaction(LIMIT).unwrap();
    producer.begin_transaction().unwrap();
    send(&producer, "kept", "left open").await;

    let left = bench.after_kill().await;
    assert_eq!(left.values("kept", &COMMITTED), ["committed"]);
    let successor = left.transactional("keeper");
    successor.begin_transaction().unwrap();
    send(&successor, "kept", "later").await;
    successor.commit_transaction(LIMIT).unwrap();
    assert_eq!(left.values("kept", &COMMITTED), ["committed", "later"]);
}
