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

/// The catalogue writes while one world after the other is taken over: each knows all of it.
#[tokio::test]
async fn no_record_misses_the_world_that_is_taken_over_meanwhile() {
    const SWAPS: u32 = 20;
    const ITEMS: u32 = 1_000;
    let worlds = worlds();
    let round = Arc::new(Barrier::new(2));
    let (theirs, turn) = (Arc::clone(&worlds), Arc::clone(&round));
    let writer = std::thread::spawn(move || {
        for swap in 1..=SWAPS {
            let title = swap.to_string();
            let record = |at: u32| (i64::from(swap), item(&at.to_string(), &title));
            let records: Vec<_> = (0..ITEMS).map(record).collect();
            turn.wait();
            theirs.apply_items(&records);
            turn.wait();
        }
    });
    for number in 1..=SWAPS {
        let next = begun(&worlds);
        // With lists made already, the swap falls into the time in which records are applied.
        next.world.refresh_lists(0);
        round.wait();
        worlds.take_over(served(number, Arc::clone(&next.world)), 0);
        round.wait();
        let (world, newest) = (worlds.world(), number.to_string());
        let is_new = |at: &u32| title(&world, &at.to_string()).as_deref() == Some(&newest);
        assert_eq!((0..ITEMS).filter(is_new).count(), ITEMS as usize, "after {number} swaps");
    }
    writer.join().unwrap();
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
