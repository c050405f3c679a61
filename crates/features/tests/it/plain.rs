//! Without faults: what is counted, what is skipped, what is told.

use std::collections::BTreeSet;
use std::time::Duration;

use bytes::Bytes;
use upnext_common::event::Subject;
use upnext_common::item::ItemHash;
use upnext_common::metrics::{EventLabels, StageLabels};
use upnext_common::topic::Topic;
use upnext_features::Drained;
use upnext_kafka::Outgoing;
use upnext_store::{Keys, Place, Stage};
use upnext_testkit::eventually_async;

use crate::verify::{compare, verify};
use crate::world::{BOUND, World};

#[test]
fn the_store_compares_positions_where_states_keep_them() {
    assert_eq!(upnext_store::POSITION_AT, upnext_state::header::POSITION_AT);
}

#[tokio::test(flavor = "multi_thread")]
async fn state_equals_a_single_pass_and_is_told_once() {
    let mut world = World::new(1).await;
    world.write(600).await;
    let daemon = world.start();
    world.settled().await;
    let drained = daemon.drained().await;
    let verified = verify(&world).await;
    assert!(verified.users > 20 && verified.items > 50, "{verified:?}");
    // Repeated positions and repeated ids are not counted again.
    assert!(drained.events > 500 && drained.events <= verified.events, "{drained:?} {verified:?}");
    assert!(drained.signals > drained.events);
    let users = StageLabels { stage: "users" };
    assert!(world.metrics.duplicates.get_or_create(&users).get() > 0);
    assert_eq!(world.metrics.state_resets.get_or_create(&users).get(), 0);
    assert!(world.metrics.render().contains("upnext_feature_freshness_seconds_count"));
    // A second run has nothing to do.
    let again = world.start();
    world.settled().await;
    assert_eq!(again.drained().await, Drained::default());
    assert_eq!(verify(&world).await, verified);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_changed_item_is_told_to_serving() {
    let mut world = World::new(2).await;
    let daemon = world.start();
    world.write(200).await;
    world.settled().await;
    let changed = world.reader.changed_since(&Place::default(), Duration::ZERO).await.unwrap();
    let told: BTreeSet<u64> = changed.items.iter().map(|item| item.0).collect();
    let mut stored = BTreeSet::new();
    let on_batch = |batch: Vec<(ItemHash, Bytes)>| {
        stored.extend(batch.into_iter().map(|(item, _)| item.0));
    };
    world.reader.all_items(on_batch).await.unwrap();
    assert!(!stored.is_empty());
    assert_eq!(told, stored);
    daemon.drained().await;
}

fn garbage(topic: String) -> Outgoing {
    let value = Some(Bytes::from_static(b"\x01garbage"));
    Outgoing { topic, partition: Some(0), value, ..Outgoing::default() }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_read_is_skipped_and_counted() {
    let mut world = World::new(3).await;
    let daemon = world.start();
    world.write(50).await;
    world.send(&[garbage(world.topic(Topic::Valid))]).await;
    world.write(50).await;
    world.settled().await;
    let labels = EventLabels { verdict: "unreadable", reason: "users" };
    assert_eq!(world.metrics.events.get_or_create(&labels).get(), 1);
    verify(&world).await;
    world.send(&[garbage(world.topic(Topic::Signals))]).await;
    world.settled().await;
    let labels = EventLabels { verdict: "unreadable", reason: "items" };
    assert_eq!(world.metrics.events.get_or_create(&labels).get(), 1);
    daemon.drained().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_is_in_redis_soon_after_it_is_in_the_log() {
    let mut world = World::new(4).await;
    let daemon = world.start();
    world.write(1).await;
    world.settled().await;
    let before = world.progress(Stage::Items).await;
    world.write(30).await;
    eventually_async(BOUND, async || world.progress(Stage::Items).await > before).await;
    world.settled().await;
    let users = StageLabels { stage: "users" };
    let flushes = world.metrics.flushed_states.get_or_create(&users).get();
    assert!((1..=60).contains(&flushes), "{flushes} puts for 31 events");
    daemon.drained().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_daemon_that_finds_nothing_yet_waits_and_drains() {
    let mut world = World::new(5).await;
    let address = world.stack.stop_registry().await;
    let waiting = world.start();
    assert_eq!(waiting.drained().await, Drained::default());
    world.stack.resume_registry(address).await;
    let daemon = world.start();
    world.write(20).await;
    world.settled().await;
    daemon.drained().await;
    verify(&world).await;
}

/// The control: an oracle that cannot fail proves nothing.
#[tokio::test(flavor = "multi_thread")]
async fn the_oracle_finds_what_is_wrong() {
    let mut world = World::new(6).await;
    let daemon = world.start();
    world.write(150).await;
    world.settled().await;
    daemon.drained().await;
    verify(&world).await;
    let keys = Keys::new(&world.config.redis.key_prefix);
    let (user, item) = (keys.user(Subject::User("u1")), keys.item(ItemHash::of("m1")));
    assert!(world.stack.redis.command(&format!("APPEND {user} x")).starts_with(':'));
    assert!(world.stack.redis.command(&format!("DEL {item}")).starts_with(":1"));
    let (_, mut wrong) = compare(&world).await;
    wrong.sort();
    assert_eq!(wrong, ["User(\"u1\")", "m1"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_blob_that_cannot_be_read_stops_its_partition_until_somebody_looked() {
    let mut world = World::new(8).await;
    let daemon = world.start();
    world.write(150).await;
    world.settled().await;
    daemon.drained().await;
    let key = Keys::new(&world.config.redis.key_prefix).user(Subject::User("u1"));
    let redis = &world.stack.redis;
    let kept = redis.command(&format!("COPY {key} kept"));
    assert!(kept.starts_with(":1"), "{kept}");
    assert!(redis.command(&format!("APPEND {key} x")).starts_with(':'));
    let users = StageLabels { stage: "users" };
    let daemon = world.start();
    world.write(150).await;
    let resets = || world.metrics.state_resets.get_or_create(&users).get();
    eventually_async(BOUND, async || resets() >= 2).await;
    assert!(world.stack.redis.command(&format!("RENAME kept {key}")).starts_with("+OK"));
    world.settled().await;
    daemon.drained().await;
    verify(&world).await;
}
