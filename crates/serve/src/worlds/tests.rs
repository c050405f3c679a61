//! One generation after the other, and what must not be lost on the way.

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

#[tokio::test]
async fn the_next_world_knows_the_catalogue_from_before_and_from_meanwhile() {
    let metrics = Metrics::new();
    let worlds = Worlds::new(served(0, Arc::new(World::new(metrics.clone()))));
    worlds.apply_items(&[(5, item("a", "new")), (6, item("gone", "x"))]);
    worlds.apply_items(&[(7, Item { deleted: true, ..item("gone", "x") })]);
    let next = worlds.begin(&metrics);
    worlds.apply_items(&[(4, item("a", "old")), (8, item("b", "meanwhile"))]);
    assert_eq!(title(&next, "a").as_deref(), Some("new"));
    assert_eq!(title(&next, "b").as_deref(), Some("meanwhile"));
    // A withdrawal stays one: what was older than it cannot come back.
    next.apply_items(&[(6, item("gone", "x"))]);
    assert_eq!(title(&next, "gone"), None);
    worlds.take_over(served(1, Arc::clone(&next)), 0);
    assert_eq!(worlds.served().generation, Generation(1));
    worlds.apply_items(&[(9, item("c", "after"))]);
    assert_eq!(title(&worlds.world(), "c").as_deref(), Some("after"));
}

#[tokio::test]
async fn a_request_keeps_the_generation_that_it_took() {
    let metrics = Metrics::new();
    let worlds = Worlds::new(served(0, Arc::new(World::new(metrics.clone()))));
    let taken = worlds.served();
    let next = worlds.begin(&metrics);
    worlds.take_over(served(1, next), 0);
    worlds.apply_items(&[(1, item("late", "x"))]);
    assert_eq!(taken.generation, Generation(0));
    assert!(!taken.world.knows("late") && worlds.world().knows("late"));
}
