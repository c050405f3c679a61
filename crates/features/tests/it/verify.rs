//! A second oracle, which shares nothing with the product's: one pass over both logs in memory, held against what
//! stands in Redis. Both must agree.

use std::collections::{BTreeMap, HashMap};

use upnext_common::clock::Clock;
use upnext_common::deadline::Deadline;
use upnext_common::event::EventType;
use upnext_common::item::ItemHash;
use upnext_common::topic::Topic;
use upnext_contract::{Decoder, unframe};
use upnext_kafka::{Record, tail};
use upnext_state::replay::{OwnedSubject, SignalReplay};
use upnext_state::{ItemState, Replay, SignalBatch};

use crate::oracle;
use crate::world::{BOUND, World};

/// What was compared and found equal.
#[derive(Debug, PartialEq)]
pub(crate) struct Verified {
    pub(crate) users: usize,
    pub(crate) items: usize,
    pub(crate) events: u64,
}

/// Holds every user and every item in Redis against a single pass, byte for byte.
pub(crate) async fn verify(world: &World) -> Verified {
    let (verified, wrong) = compare(world).await;
    assert!(wrong.is_empty(), "{} of {verified:?} are wrong: {wrong:?}", wrong.len());
    let told = oracle::report(world).await;
    assert!(told.is_clean(), "{told:?}");
    assert_eq!(told.items.states.checked, verified.items as u64);
    verified
}

/// What was compared, and who or what differs.
pub(crate) async fn compare(world: &World) -> (Verified, Vec<String>) {
    let mut wrong = Vec::new();
    let valid = records(world, Topic::Valid);
    let (replay, events) = replayed(world, valid).await;
    let stored = users(world, &replay).await;
    for (subject, state) in &replay.users {
        // A subject whose every event was a repeat was never stored.
        let expected = (state.next_offset() > 0).then(|| state.encode());
        if stored[subject] != expected {
            wrong.push(format!("{subject:?}"));
        }
    }
    let items = item_states(world);
    let stored = stored_items(world).await;
    let extra = stored.keys().filter(|hash| !items.contains_key(hash));
    wrong.extend(extra.map(|hash| format!("extra {hash:?}")));
    for (hash, state) in &items {
        if stored.get(hash) != Some(&state.encode()) {
            wrong.push(state.item_id().to_owned());
        }
    }
    agree(&replay.items, &items);
    (Verified { users: replay.users.len(), items: items.len(), events }, wrong)
}

/// What the signals log says must be what the events say: all of it, once. Only the order of partitions, and with
/// it the last bits of sums, may differ.
fn agree(by_events: &HashMap<ItemHash, ItemState>, by_signals: &HashMap<ItemHash, ItemState>) {
    assert_eq!(by_events.len(), by_signals.len());
    for (hash, expected) in by_events {
        let found = &by_signals[hash];
        assert_eq!(found.item_id(), expected.item_id());
        for kind in EventType::ALL {
            assert_eq!(found.total(kind), expected.total(kind), "{} {kind:?}", found.item_id());
        }
        assert_eq!(found.interest_total(), expected.interest_total());
        let ratio = (found.pair_total() + 1e-9) / (expected.pair_total() + 1e-9);
        assert!((ratio - 1.0).abs() < 1e-9, "{}: {ratio}", found.item_id());
        assert_eq!(found.first_seen_ms(), expected.first_seen_ms());
    }
}

/// Everything that stands in a topic, by partition, in offset order.
fn records(world: &World, topic: Topic) -> BTreeMap<i32, Vec<Record>> {
    let mut found = BTreeMap::<i32, Vec<Record>>::new();
    let (brokers, topic) = (world.stack.brokers(), world.topic(topic));
    tokio::task::block_in_place(|| {
        let mut keep = |record: Record| found.entry(record.partition).or_default().push(record);
        tail::read_all(&brokers, &topic, &mut keep).expect("the topic can be read");
    });
    found
}

/// Both stages in memory; each source position counts once. Also how many events were not repeats.
async fn replayed(world: &World, valid: BTreeMap<i32, Vec<Record>>) -> (Replay, u64) {
    let decoder = Decoder::new(std::sync::Arc::clone(&world.client));
    let mut replay = Replay::new();
    let mut events = 0;
    for records in valid.into_values() {
        let mut last = HashMap::<Vec<u8>, i64>::new();
        for record in records {
            let value = record.value.clone().unwrap_or_default();
            let Ok(event) = decoder.event(&value).await else { continue };
            let header = |name| record.header(name).unwrap_or_default().to_vec();
            let source = header(upnext_common::position::SOURCE_PARTITION);
            let offset = header(upnext_common::position::SOURCE_OFFSET);
            let offset: i64 = String::from_utf8(offset).unwrap_or_default().parse().unwrap_or(-1);
            if last.get(&source).is_some_and(|known| *known >= offset) {
                continue;
            }
            last.insert(source, offset);
            events += 1;
            replay.apply_at(&event, record.timestamp_ms, record.offset);
        }
    }
    (replay, events)
}

fn item_states(world: &World) -> HashMap<ItemHash, ItemState> {
    let mut items = HashMap::new();
    for records in records(world, Topic::Signals).into_values() {
        let mut replay = SignalReplay::default();
        for record in records {
            let value = record.value.unwrap_or_default();
            let (_, payload) = unframe(&value).expect("signals are framed");
            let batch = SignalBatch::decode(payload).expect("signals are batches");
            replay.apply(&batch, record.offset);
        }
        items.extend(replay.items);
    }
    items
}

async fn users(world: &World, replay: &Replay) -> HashMap<OwnedSubject, Option<Vec<u8>>> {
    let mut stored = HashMap::new();
    for subject in replay.users.keys() {
        let deadline = Deadline::after(Clock::system().instant(), BOUND);
        let blobs = world.reader.users(&[subject.as_subject()], deadline).await;
        let blob = blobs.expect("the store answers").remove(0);
        stored.insert(subject.clone(), blob.map(|blob| blob.to_vec()));
    }
    stored
}

async fn stored_items(world: &World) -> HashMap<ItemHash, Vec<u8>> {
    let mut stored = HashMap::new();
    let on_batch = |batch: Vec<(ItemHash, bytes::Bytes)>| {
        stored.extend(batch.into_iter().map(|(item, blob)| (item, blob.to_vec())));
    };
    world.reader.all_items(on_batch).await.expect("the store answers");
    stored
}
