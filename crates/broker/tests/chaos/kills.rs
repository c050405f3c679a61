//! `kill -9` under load: nothing acknowledged is lost, nothing of an idempotent producer stands twice, and a
//! transaction is there as a whole or not at all.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rdkafka::ClientContext;
use rdkafka::message::{BorrowedMessage, Message};
use rdkafka::producer::{BaseRecord, DeliveryResult, Producer, ProducerContext, ThreadedProducer};
use std::sync::Mutex;

use crate::{BrokerProcess, LIMIT, client, create, read_all, size, until};

const PARTITIONS: i32 = 4;
const TRANSACTION_RECORDS: usize = 20;

/// Where each value was acknowledged to stand.
#[derive(Clone, Default)]
struct Acknowledged(Arc<Mutex<HashMap<String, (i32, i64)>>>);

impl Acknowledged {
    fn count(&self) -> usize {
        self.0.lock().unwrap().len()
    }

    fn note(&self, record: &BorrowedMessage<'_>) {
        let value = String::from_utf8_lossy(record.payload().unwrap_or_default()).into_owned();
        self.0.lock().unwrap().insert(value, (record.partition(), record.offset()));
    }
}

impl ClientContext for Acknowledged {}

impl ProducerContext for Acknowledged {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        // What is not acknowledged may be there or not.
        if let Ok(record) = result {
            self.note(record);
        }
    }
}

/// Writes as fast as is acknowledged until told to stop; the number of values that were sent.
fn write(producer: &ThreadedProducer<Acknowledged>, topic: &str, stop: &AtomicBool) -> u64 {
    let mut sent = 0;
    while !stop.load(Ordering::Acquire) {
        let value = format!("{sent:012}-{}", "x".repeat(200));
        let key = sent.to_string();
        let record = BaseRecord::to(topic).key(&key).payload(&value);
        match producer.send(record) {
            Ok(()) => sent += 1,
            Err(_) => producer.poll(Duration::from_millis(5)),
        }
    }
    producer.flush(LIMIT).unwrap();
    sent
}

struct Outcome {
    sent: u64,
    acknowledged: usize,
    lost: usize,
    doubled: usize,
}

async fn kill_under_load(rounds: u64) -> Outcome {
    let mut broker = BrokerProcess::start();
    // Small segments, so that kills hit rolling and settling too; and a second topic that is compacted all the time.
    create(&broker, "load", PARTITIONS, &[("segment.bytes", "300000")]).await;
    let settings = [
        ("enable.idempotence", "true"),
        ("message.timeout.ms", "0"),
        ("linger.ms", "2"),
        ("queue.buffering.max.messages", "5000"),
    ];
    let acknowledged = Acknowledged::default();
    let producer: ThreadedProducer<Acknowledged> =
        client(&broker, &settings).create_with_context(acknowledged.clone()).unwrap();
    let stop = Arc::new(AtomicBool::new(false));
    let writing = {
        let stop = Arc::clone(&stop);
        std::thread::spawn(move || write(&producer, "load", &stop))
    };
    for round in 1..=rounds {
        let before = acknowledged.count();
        until(LIMIT, || acknowledged.count(), |count| *count >= before + 1_000).await;
        broker.kill_and_restart();
        eprintln!("kill {round}: {} acknowledged before it", acknowledged.count());
    }
    stop.store(true, Ordering::Release);
    let sent = writing.join().unwrap();
    outcome(&broker, sent, &acknowledged)
}

fn outcome(broker: &BrokerProcess, sent: u64, acknowledged: &Acknowledged) -> Outcome {
    let mut standing: BTreeMap<String, Vec<(i32, i64)>> = BTreeMap::new();
    for found in read_all(broker, "load", PARTITIONS) {
        let value = found.value.unwrap();
        standing.entry(value).or_default().push((found.partition, found.offset));
    }
    let acknowledged = acknowledged.0.lock().unwrap();
    let is_lost = |value: &&String| {
        !standing.get(*value).is_some_and(|places| places.contains(&acknowledged[*value]))
    };
    Outcome {
        sent,
        acknowledged: acknowledged.len(),
        lost: acknowledged.keys().filter(is_lost).count(),
        doubled: standing.values().filter(|places| places.len() > 1).count(),
    }
}

#[track_caller]
fn check(outcome: &Outcome, rounds: u64) {
    let Outcome { sent, acknowledged, lost, doubled } = outcome;
    eprintln!(
        "{rounds} kills: {sent} sent, {acknowledged} acknowledged, {lost} lost, {doubled} doubled"
    );
    assert_eq!((*lost, *doubled), (0, 0));
    assert!(*acknowledged as u64 == *sent, "the producer waits for ever, so all were acknowledged");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn acknowledged_writes_survive_kills_and_none_is_doubled() {
    check(&kill_under_load(3).await, 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "long: scripts/chaos-broker"]
async fn long_acknowledged_writes_survive_kills_and_none_is_doubled() {
    let rounds = size("BROKER_CHAOS_ROUNDS", 20);
    check(&kill_under_load(rounds).await, rounds);
}

/// Commits transactions over two partitions and kills the broker in the midst of ends.
async fn kill_transactions(rounds: u64) {
    let mut broker = BrokerProcess::start();
    create(&broker, "ledger", 2, &[]).await;
    let mut committed = Vec::new();
    for round in 0..rounds {
        let settings = [("transactional.id", "ledger"), ("transaction.timeout.ms", "60000")];
        let producer: ThreadedProducer<Acknowledged> =
            client(&broker, &settings).create_with_context(Acknowledged::default()).unwrap();
        producer.init_transactions(LIMIT).unwrap();
        for at in 0..20 {
            let name = format!("{round}-{at}");
            producer.begin_transaction().unwrap();
            for record in 0..TRANSACTION_RECORDS {
                let partition = i32::try_from(record % 2).unwrap();
                let sent = BaseRecord::to("ledger").partition(partition).key("k").payload(&name);
                producer.send(sent).map_err(|(error, _)| error).unwrap();
            }
            if at == 19 {
                producer.flush(LIMIT).unwrap();
                // The end is asked for while the broker dies: it is decided, or it is not.
                let ending = std::thread::spawn(move || producer.commit_transaction(LIMIT).is_ok());
                broker.kill_and_restart();
                if ending.join().unwrap() {
                    committed.push(name);
                }
                break;
            }
            producer.commit_transaction(LIMIT).unwrap();
            committed.push(name);
        }
    }
    let taken_over: ThreadedProducer<Acknowledged> =
        client(&broker, &[("transactional.id", "ledger")])
            .create_with_context(Acknowledged::default())
            .unwrap();
    taken_over.init_transactions(LIMIT).unwrap();
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for found in read_all(&broker, "ledger", 2) {
        *counts.entry(found.value.unwrap()).or_default() += 1;
    }
    let is_half = |count: &&usize| **count != TRANSACTION_RECORDS;
    assert_eq!(counts.values().filter(is_half).count(), 0, "{counts:?}");
    assert!(committed.iter().all(|name| counts.contains_key(name)), "a committed one is missing");
    eprintln!("{rounds} kills at an end: {} committed, all whole", committed.len());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_transaction_stands_whole_or_not_at_all() {
    kill_transactions(2).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "long: scripts/chaos-broker"]
async fn long_a_transaction_stands_whole_or_not_at_all() {
    kill_transactions(size("BROKER_CHAOS_ROUNDS", 20)).await;
}
