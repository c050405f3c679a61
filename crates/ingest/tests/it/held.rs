//! What operators rely on: a broken upstream is held, what is too large is a dead letter, a made-up id costs little.

use std::time::Duration;

use bytes::Bytes;
use upnext_common::topic::Topic;
use upnext_kafka::admin;
use upnext_testkit::eventually_async;

use crate::ground::{BOUND, Ground, click, header, source, within};

#[tokio::test(flavor = "multi_thread")]
async fn a_partition_that_is_nearly_all_garbage_is_held_and_the_others_flow() {
    let mut ground = Ground::start().await;
    ground.config.ingest.reject_pause_records_min = 50;
    ground.config.ingest.reject_probe_ms = 50;
    let running = ground.ingest();
    let mut dead = ground.follow(Topic::DeadLetters);
    let mut valid = ground.follow(Topic::Valid);
    for _ in 0..60 {
        ground.write(&ground.garbage(Some(b"garbage"), 0)).await;
    }
    for _ in 0..50 {
        dead.next().await;
    }
    let is_held = async || ground.metrics.render().contains("upnext_ingest_held_partitions 1");
    eventually_async(BOUND, is_held).await;
    let check = ground.health.checks()["ingest"].clone();
    assert!(!check.is_ready && check.detail.ends_with("partitions 0"), "{check:?}");
    assert!(ground.health.is_ready(), "the others are not taken away for it");
    ground.write(&ground.raw(&click("u", "beside"), 1)).await;
    assert_eq!(source(&valid.next().await), (1, 0));
    // One by one the rest goes through, and when good ones come the partition goes on by itself.
    for item in ["a", "b", "c", "d"] {
        ground.write(&ground.raw(&click("u", item), 0)).await;
    }
    for offset in 60..64 {
        assert_eq!(source(&valid.next().await), (0, offset));
    }
    let is_open = async || ground.metrics.render().contains("upnext_ingest_held_partitions 0");
    eventually_async(BOUND, is_open).await;
    let text = ground.metrics.render();
    assert!(text.contains("upnext_ingest_rejected_alarm 1"), "{text}");
    let drained = running.stop().await;
    assert_eq!((drained.accepted, drained.rejected), (5, 60), "held, not lost");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_too_large_for_its_topic_is_a_dead_letter_in_its_place() {
    let ground = Ground::start().await;
    for topic in [Topic::Valid, Topic::DeadLetters] {
        let name = ground.topic(topic);
        admin::set_batch_bytes_max(&ground.brokers, &name, 20_000).await.unwrap();
        let told = admin::batch_bytes_max(&ground.brokers, &name).await;
        assert_eq!(told.unwrap(), 20_000);
    }
    let mut large = ground.raw(&click("u1", "large"), 0);
    large.headers.push(("large".to_owned(), Some(Bytes::from(vec![b'x'; 19_800]))));
    let mut written = Vec::new();
    for number in 0..300 {
        // So many small ones that they would share a batch larger than the topic takes.
        let small = ground.raw(&click("u1", &format!("i{number}")), 0);
        let record = if number == 150 { &large } else { &small };
        written.push(within(ground.producer.send_when_room(record)).await.unwrap());
    }
    for delivery in written {
        within(delivery).await.unwrap();
    }
    let running = ground.ingest();
    let letter = ground.follow(Topic::DeadLetters).next().await;
    assert_eq!((source(&letter), letter.value.is_some()), ((0, 150), false));
    assert_eq!(header(&letter, "upnext.dlq.reason"), "size");
    let mut valid = ground.follow(Topic::Valid);
    for offset in (0..300).filter(|offset| *offset != 150) {
        assert_eq!(source(&valid.next().await), (0, offset));
    }
    let drained = running.stop().await;
    assert_eq!((drained.accepted, drained.rejected), (299, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn many_made_up_ids_are_dead_letters_at_few_calls() {
    let mut ground = Ground::start().await;
    ground.config.ingest.reject_pause_share = 1.0;
    // All stand there when the first is met, so that all are old enough together.
    ground.config.registry.unknown_grace_ms = 2_000;
    let front = crate::front::Front::before(&ground.registry_url).await;
    ground.registry_url.clone_from(&front.url);
    let whole = ground.raw(&click("u", "i"), 0).value.unwrap();
    // A registry that does not list its ids, as some real ones, is asked for one after the other.
    let count: u32 = if ground.stack.is_embedded() { 2_000 } else { 100 };
    for number in 0..count {
        let id = 1_000_000 + number * 7;
        let value = [&[0], &id.to_be_bytes()[..], &whole[5..]].concat();
        ground.write(&ground.garbage(Some(&value), 0)).await;
    }
    let running = ground.ingest();
    let mut dead = ground.follow(Topic::DeadLetters);
    for _ in 0..count {
        assert_eq!(header(&dead.next().await, "upnext.dlq.reason"), "unknown_schema_id");
    }
    let drained = tokio::time::timeout(Duration::from_secs(30), running.stop()).await.unwrap();
    assert_eq!(drained.rejected, u64::from(count));
}
