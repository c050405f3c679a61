//! A retention of five minutes: with records that are old already, and in the long form by waiting.

use std::time::Duration;

use rdkafka::producer::{FutureProducer, FutureRecord};
use upnext_common::clock::Clock;

use crate::{BrokerProcess, LIMIT, client, create, read_all, until, watermarks};

const MINUTE_MS: i64 = 60_000;

async fn write(broker: &BrokerProcess, topic: &str, name: &str, timestamp_ms: i64) {
    let producer: FutureProducer = client(broker, &[("acks", "all")]).create().unwrap();
    for at in 0..100 {
        let value = format!("{name}-{at}-{}", "x".repeat(200));
        let record = FutureRecord::to(topic).key("k").payload(&value).timestamp(timestamp_ms + at);
        producer.send(record, LIMIT).await.map_err(|(error, _)| error).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn segments_older_than_five_minutes_are_gone_by_the_times_of_their_records() {
    let mut broker = BrokerProcess::start();
    let settings = [("retention.ms", "300000"), ("segment.bytes", "5000")];
    create(&broker, "short", 1, &settings).await;
    let now_ms = Clock::system().now_ms();
    write(&broker, "short", "old", now_ms - 6 * MINUTE_MS).await;
    write(&broker, "short", "young", now_ms - MINUTE_MS).await;
    let (start, end) =
        until(LIMIT, || watermarks(&broker, "short"), |(start, _)| *start >= 80).await;
    assert_eq!(end, 200);
    assert!(start <= 100, "what is younger is there: from {start}");
    until(
        LIMIT,
        || broker.segments("short"),
        |names| names.first().is_some_and(|name| *name == format!("{start:020}.log")),
    )
    .await;
    let young = read_all(&broker, "short", 1);
    assert_eq!(
        young
            .iter()
            .filter(|it| it.value.as_ref().is_some_and(|value| value.starts_with("young")))
            .count(),
        100
    );
    broker.kill_and_restart();
    assert_eq!(watermarks(&broker, "short"), (start, end));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "long: scripts/chaos-broker"]
async fn long_five_minutes_in_real_time() {
    let broker = BrokerProcess::start();
    let settings = [("retention.ms", "300000"), ("segment.bytes", "5000")];
    create(&broker, "short", 1, &settings).await;
    write(&broker, "short", "now", Clock::system().now_ms()).await;
    let segments = broker.segments("short").len();
    let began_ms = Clock::system().now_ms();
    let bound = Duration::from_secs(400);
    until(bound, || watermarks(&broker, "short"), |(start, end)| start == end).await;
    let waited_ms = Clock::system().now_ms() - began_ms;
    assert!(waited_ms >= 5 * MINUTE_MS - 1_000, "gone too early, after {waited_ms} ms");
    let left = broker.segments("short").len();
    eprintln!("{segments} segments at first; after {waited_ms} ms {left} is left, empty");
    assert_eq!((left, broker.log_bytes("short")), (1, 0));
}
