//! One generation after the other, and what must not be lost on the way.

use std::sync::Barrier;
use std::time::Duration;

use upnext_common::clock::Clock;
use upnext_common::config;

use super::*;

fn served(generation: u32, world: Arc<World>) -> Served {
    let redis = config::Redis::default();
    let reader = Reader::connect("redis://127.0.0.1:9", &redis, Clock::system()).unwrap();
    Served { generation: Generation(generation), world, reader: Arc::new(reader) }
}

fn item(item_id: &str, title: &str) -> Item {
    Item { item_id: item_id.to_owned(), title: Some(title.to_owned()), ..Item::default() }
}

fn title(world: &World, item_id: &str) -> Option<String> {
    world.record(item_id)?.title.clone()
}

fn worlds() -> Arc<Worlds> {
    Arc::new(Worlds::new(served(0, Arc::new(World::new(Metrics::new())))))
}

fn begun(worlds: &Arc<Worlds>) -> Next {
    let next = worlds.begin(&Metrics::new());
    next.fill();
    next
}

#[tokio::test]
async fn the_next_world_knows_the_catalogue_from_before_and_from_meanwhile() {
    let worlds = worlds();
    worlds.apply_items(&[(5, item("a", "new")), (6, item("gone", "x"))]);
    worlds.apply_items(&[(7, Item { deleted: true, ..item("gone", "x") })]);
    let next = begun(&worlds);
    worlds.apply_items(&[(4, item("a", "old")), (8, item("b", "meanwhile"))]);
    assert_eq!(title(&next.world, "a").as_deref(), Some("new"));
    assert_eq!(title(&next.world, "b").as_deref(), Some("meanwhile"));
    // A withdrawal stays one: what was older than it cannot come back.
    next.world.apply_items(&[(6, item("gone", "x"))]);
    assert_eq!(title(&next.world, "gone"), None);
    worlds.take_over(served(1, Arc::clone(&next.world)), 0);
    drop(next);
    assert_eq!(worlds.served().generation, Generation(1));
    worlds.apply_items(&[(9, item("c", "after"))]);
    assert_eq!(title(&worlds.world(), "c").as_deref(), Some("after"));
}

#[tokio::test]
async fn a_request_keeps_the_generation_that_it_took() {
    let worlds = worlds();
    let taken = worlds.served();
    let next = begun(&worlds);
    worlds.take_over(served(1, Arc::clone(&next.world)), 0);
    worlds.apply_items(&[(1, item("late", "x"))]);
    assert_eq!(taken.generation, Generation(0));
    assert!(!taken.world.knows("late") && worlds.world().knows("late"));
}

#[tokio::test]
async fn a_world_that_was_given_up_gets_nothing_any_more() {
    let worlds = worlds();
    let (first, second) = (begun(&worlds), begun(&worlds));
    drop(first);
    worlds.apply_items(&[(1, item("a", "x"))]);
    assert!(second.world.knows("a"));
    let world = Arc::clone(&second.world);
    drop(second);
    worlds.apply_items(&[(2, item("b", "x"))]);
    assert!(!world.knows("b") && worlds.next().is_none());
}

/// The catalogue writes while one world after the other is taken over: the last one knows all of it.
#[tokio::test]
async fn no_record_misses_the_world_that_is_taken_over_meanwhile() {
    const SWAPS: u32 = 100;
    const WRITES: i64 = 40;
    let worlds = worlds();
    let round = Arc::new(Barrier::new(2));
    let (theirs, turn) = (Arc::clone(&worlds), Arc::clone(&round));
    let writer = std::thread::spawn(move || {
        for swap in 0..i64::from(SWAPS) {
            turn.wait();
            for at in swap * WRITES..(swap + 1) * WRITES {
                theirs.apply_items(&[(at, item(&at.to_string(), "x"))]);
            }
            turn.wait();
        }
    });
    for number in 1..=SWAPS {
        let next = begun(&worlds);
        round.wait();
        worlds.take_over(served(number, Arc::clone(&next.world)), 0);
        round.wait();
    }
    writer.join().unwrap();
    let all = 0..i64::from(SWAPS) * WRITES;
    let missing: Vec<i64> = all.filter(|at| !worlds.world().knows(&at.to_string())).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

#[tokio::test]
async fn whoever_waits_for_vectors_of_a_world_that_is_left_waits_for_the_next_ones() {
    let worlds = worlds();
    worlds.apply_items(&[(1, item("a", "x"))]);
    let next = begun(&worlds);
    let indexed = worlds.indexed();
    tokio::pin!(indexed);
    assert!(futures::poll!(indexed.as_mut()).is_pending());
    worlds.take_over(served(1, Arc::clone(&next.world)), 0);
    tokio::time::timeout(Duration::from_secs(20), indexed).await.unwrap();
}
