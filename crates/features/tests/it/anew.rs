//! Topics that are deleted and created again: what is counted stays, what is new is added, nothing is doubled.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use upnext_common::clock::Clock;
use upnext_common::deadline::Deadline;
use upnext_common::metrics::StageLabels;
use upnext_common::position::{SOURCE_EPOCH, SOURCE_OFFSET, SOURCE_PARTITION};
use upnext_common::topic::Topic;
use upnext_contract::{Decoder, unframe};
use upnext_features::FeaturesError;
use upnext_kafka::{Outgoing, Record, admin, tail};
use upnext_state::replay::{OwnedSubject, SignalReplay};
use upnext_state::{Position, SignalBatch, UserState};
use upnext_store::{Stage, StoreError};
use upnext_testkit::eventually_async;

use crate::world::{BOUND, PARTITIONS, World};

/// Everything that stands in a topic, in offset order within each partition.
fn records(world: &World, topic: Topic) -> Vec<Record> {
    let mut found = Vec::new();
    let (brokers, topic) = (world.stack.brokers(), world.topic(topic));
    tokio::task::block_in_place(|| {
        tail::read_all(&brokers, &topic, &mut |record| found.push(record)).expect("it is read");
    });
    found.sort_by_key(|record| (record.partition, record.offset));
    found
}

/// The topic as new.
pub(crate) async fn make_anew(world: &World, topic: Topic) {
    let brokers = world.stack.brokers();
    admin::delete_topic(&brokers, &world.topic(topic)).await.expect("it can be deleted");
    admin::ensure_topics(&brokers, &world.config.kafka).await.expect("it can be created");
}

/// Waits until every partition of the stage is in its second epoch, and all is applied.
async fn settled_anew(world: &World, stage: Stage) {
    eventually_async(BOUND, async || {
        let mut epochs = Vec::new();
        for partition in 0..PARTITIONS {
            let stored = world.reader.watermark(stage, partition).await.ok().flatten();
            epochs.push(stored.map(|stored| stored.epoch));
        }
        epochs.iter().all(|epoch| *epoch == Some(1))
    })
    .await;
    world.settled().await;
}

/// Partition, then epoch and offset.
fn source(record: &Record) -> (String, (u32, i64)) {
    let text = |name| String::from_utf8(record.header(name).unwrap_or_default().to_vec());
    let [partition, offset, epoch] =
        [SOURCE_PARTITION, SOURCE_OFFSET, SOURCE_EPOCH].map(|name| text(name).expect("text"));
    let epoch = if epoch.is_empty() { 0 } else { epoch.parse().expect("a number") };
    (partition, (epoch, offset.parse().expect("a number")))
}

/// One pass over the logs of all epochs; `forgets` source positions between them.
async fn users(
    world: &World,
    epochs: &[Vec<Record>],
    forgets: bool,
) -> HashMap<OwnedSubject, UserState> {
    let decoder = Decoder::new(Arc::clone(&world.client));
    let mut users = HashMap::<OwnedSubject, UserState>::new();
    let mut last = BTreeMap::new();
    for (epoch, records) in (0..).zip(epochs) {
        if forgets {
            last.clear();
        }
        for record in records {
            let (partition, offset) = source(record);
            let place = (record.partition, partition);
            if last.get(&place).is_some_and(|last| *last >= offset) {
                continue;
            }
            last.insert(place, offset);
            let event = decoder.event(record.value.as_deref().unwrap_or_default()).await;
            let event = event.expect("it was written by ingest");
            let state = users.entry(event.subject().expect("somebody").into()).or_default();
            let at = Position { epoch, next_offset: record.offset, next_index: 0 };
            state.apply_at(&event, record.timestamp_ms, at, &mut Vec::new());
        }
    }
    users
}

async fn check_users(world: &World, expected: &HashMap<OwnedSubject, UserState>) {
    assert!(expected.len() > 20);
    for (subject, state) in expected {
        let deadline = Deadline::after(Clock::system().instant(), BOUND);
        let stored = world.reader.users(&[subject.as_subject()], deadline).await;
        let stored = stored.expect("the store answers").remove(0);
        assert_eq!(stored.as_deref(), Some(&state.encode()[..]), "{subject:?}");
    }
}

/// Items are what the one log of signals says, each position of each epoch of valid events once.
async fn check_items(world: &World) {
    let mut replays = BTreeMap::<i32, SignalReplay>::new();
    for record in records(world, Topic::Signals) {
        let batch = batch_of(&record);
        replays.entry(record.partition).or_default().apply(&batch, record.offset);
    }
    let expected = replays.into_values().flat_map(|replay| replay.items);
    let expected: HashMap<_, _> = expected.map(|(item, state)| (item, state.encode())).collect();
    let mut stored = HashMap::new();
    world
        .reader
        .all_items(|batch| {
            stored.extend(batch.into_iter().map(|(item, blob)| (item, blob.to_vec())))
        })
        .await
        .expect("the store answers");
    assert!(stored == expected, "{} items stored, {} expected", stored.len(), expected.len());
}

/// Events of before, in the log and gone with it; then the same ones again, and new ones.
async fn check_valid_made_anew(mut world: World, is_running: bool) {
    let daemon = world.start();
    world.write(250).await;
    world.settled().await;
    let before = records(&world, Topic::Valid);
    let daemon = if is_running {
        Some(daemon)
    } else {
        daemon.drained().await;
        None
    };
    world.fill_raw().await;
    make_anew(&world, Topic::Valid).await;
    let daemon = daemon.unwrap_or_else(|| world.start());
    world.repeat_all().await;
    world.write(120).await;
    settled_anew(&world, Stage::Users).await;
    daemon.drained().await;
    let epochs = [before, records(&world, Topic::Valid)];
    check_users(&world, &users(&world, &epochs, false).await).await;
    check_items(&world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn valid_events_made_anew_between_two_runs_are_added() {
    check_valid_made_anew(World::new(51).await, false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn valid_events_made_anew_under_a_running_daemon_are_added() {
    check_valid_made_anew(World::grouped(52, 3).await, true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_made_anew_is_known_when_it_has_grown_past_the_watermark() {
    let mut world = World::new(53).await;
    let daemon = world.start();
    world.write(60).await;
    world.settled().await;
    daemon.drained().await;
    let before = records(&world, Topic::Valid);
    // The raw topic too: it is empty, and its positions begin again.
    make_anew(&world, Topic::Valid).await;
    world.forget_raw();
    world.write(400).await;
    let daemon = world.start();
    settled_anew(&world, Stage::Users).await;
    daemon.drained().await;
    let epochs = [before, records(&world, Topic::Valid)];
    check_users(&world, &users(&world, &epochs, true).await).await;
    check_items(&world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn raw_events_made_anew_alone_are_news() {
    let mut world = World::new(50).await;
    let daemon = world.start();
    world.write(150).await;
    world.settled().await;
    world.begin_raw_anew();
    // All of them below the positions that were read.
    world.write(60).await;
    world.repeat_all().await;
    world.settled().await;
    daemon.drained().await;
    let epochs = [records(&world, Topic::Valid)];
    check_users(&world, &users(&world, &epochs, false).await).await;
    check_items(&world).await;
    let counted =
        world.metrics.state.applied_records.get_or_create(&StageLabels { stage: "users" });
    assert!(counted.get() > 0);
}

/// The newest epoch that users have told items of.
fn newest_told(world: &World) -> Option<u32> {
    let batches = records(world, Topic::Signals).into_iter().map(|record| batch_of(&record));
    batches.map(|batch| batch.source_epoch).max()
}

fn batch_of(record: &Record) -> SignalBatch {
    let value = record.value.as_deref().unwrap_or_default();
    SignalBatch::decode(unframe(value).expect("framed").1).expect("a batch")
}

fn older_epochs(world: &World) -> u64 {
    world.metrics.state.older_epochs.get_or_create(&StageLabels { stage: "items" }).get()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_epoch_outlives_the_store() {
    let mut world = World::new(57).await;
    let daemon = world.start();
    world.write(150).await;
    world.settled().await;
    make_anew(&world, Topic::Valid).await;
    world.forget_raw();
    world.write(150).await;
    settled_anew(&world, Stage::Users).await;
    // Under the running daemon, and between two.
    assert!(world.stack.redis.command("FLUSHALL").starts_with("+OK"));
    world.write(50).await;
    settled_anew(&world, Stage::Users).await;
    daemon.drained().await;
    assert!(world.stack.redis.command("FLUSHALL").starts_with("+OK"));
    let daemon = world.start();
    let before = records(&world, Topic::Signals).len();
    world.write(50).await;
    settled_anew(&world, Stage::Users).await;
    daemon.drained().await;
    assert_eq!(older_epochs(&world), 0);
    let told = records(&world, Topic::Signals);
    assert!(told.len() > before);
    check_items(&world).await;
    // Nothing of before the first epoch's end is left, and everything since is there.
    let epochs = [Vec::new(), records(&world, Topic::Valid)];
    check_users(&world, &users(&world, &epochs, true).await).await;
    assert_eq!(newest_told(&world), Some(1));
}

#[tokio::test(flavor = "multi_thread")]
async fn signals_of_an_epoch_that_is_over_are_dropped_aloud() {
    let mut world = World::new(58).await;
    let daemon = world.start();
    world.write(60).await;
    world.settled().await;
    assert_eq!(older_epochs(&world), 0);
    // As users would tell of a later epoch, and then of the first one again.
    let last = records(&world, Topic::Signals).pop().expect("something was said");
    let later = SignalBatch { source_epoch: 4, ..batch_of(&last) };
    let value = last.value.as_deref().unwrap_or_default();
    let framed = [&value[..5], &later.encode()].concat();
    let (topic, partition) = (world.topic(Topic::Signals), Some(last.partition));
    let value = Some(framed.into());
    world.send(&[Outgoing { topic, partition, value, ..Outgoing::default() }]).await;
    world.settled().await;
    world.write(60).await;
    world.settled().await;
    assert!(older_epochs(&world) > 0);
    daemon.drained().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn groups_that_lag_when_all_was_made_anew_forget_raw_positions_too() {
    let mut world = World::grouped(59, 3).await;
    let daemon = world.start();
    world.write(150).await;
    world.settled().await;
    daemon.drained().await;
    let before = records(&world, Topic::Valid);
    make_anew(&world, Topic::Valid).await;
    world.forget_raw();
    // The first flush of the new epoch broke off: one group has come there, the others have not.
    for partition in 0..PARTITIONS {
        let key = world.reader.keys().watermark(Stage::Users, partition, 2);
        assert!(world.stack.redis.command(&format!("SET {key} \"1 0\"")).starts_with("+OK"));
    }
    world.write(120).await;
    let daemon = world.start();
    settled_anew(&world, Stage::Users).await;
    daemon.drained().await;
    let epochs = [before, records(&world, Topic::Valid)];
    check_users(&world, &users(&world, &epochs, true).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn signals_made_anew_are_added_to_items() {
    let mut world = World::new(54).await;
    let daemon = world.start();
    world.write(150).await;
    world.settled().await;
    daemon.drained().await;
    let before = records(&world, Topic::Signals).len();
    make_anew(&world, Topic::Signals).await;
    let daemon = world.start();
    world.write(40).await;
    settled_anew(&world, Stage::Items).await;
    let drained = daemon.drained().await;
    assert!(before > 0 && drained.signals > 0, "{before} {drained:?}");
    // The users stage did not begin again.
    let users = world.reader.watermark(Stage::Users, 0).await.unwrap().unwrap();
    assert_eq!(users.epoch, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn another_number_of_partitions_is_refused() {
    let mut world = World::new(55).await;
    let daemon = world.start();
    world.write(60).await;
    world.settled().await;
    daemon.drained().await;
    world.config.kafka.partitions = PARTITIONS + 1;
    make_anew(&world, Topic::Valid).await;
    let refused = world.start().failed().await;
    let said = refused.to_string();
    assert!(matches!(refused, FeaturesError::Store(StoreError::Layout { .. })), "{said}");
    assert!(!refused.fault().may_retry());
    assert!(said.contains("groups=1 valid=2 signals=2") && said.contains("valid=3"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn another_number_of_key_groups_is_refused() {
    let mut world = World::new(56).await;
    let daemon = world.start();
    world.write(20).await;
    world.settled().await;
    daemon.drained().await;
    world.config.redis.key_groups = 4;
    let refused = world.start().failed().await;
    assert!(matches!(refused, FeaturesError::Store(StoreError::Layout { .. })), "{refused}");
    world.config.redis.key_groups = 0;
    let refused = world.start().failed().await;
    assert!(matches!(refused, FeaturesError::Store(StoreError::Settings { .. })), "{refused}");
}
