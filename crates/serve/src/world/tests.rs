//! The columns under updates that come twice or out of order.

use super::*;

fn titled(item_id: &str, title: &str) -> Item {
    Item { item_id: item_id.to_owned(), title: Some(title.to_owned()), ..Item::default() }
}

#[test]
fn an_older_record_never_replaces_a_newer_one() {
    let world = World::new(Metrics::new());
    world.apply_items(&[(7, titled("a", "new"))]);
    world.apply_items(&[(5, titled("a", "old")), (6, titled("b", "other"))]);
    assert_eq!(world.record("a").unwrap().title.as_deref(), Some("new"));
    assert_eq!(world.record("b").unwrap().title.as_deref(), Some("other"));
    assert_eq!(world.metrics.live_items.get(), 2);
}

#[test]
fn a_withdrawn_item_has_no_record_and_can_come_back() {
    let world = World::new(Metrics::new());
    world.apply_items(&[(1, Item { deleted: true, ..titled("a", "gone") })]);
    assert!(world.record("a").is_none());
    world.apply_items(&[(2, titled("a", "back"))]);
    assert!(world.record("a").is_some());
    assert!(world.record("never").is_none());
}

#[tokio::test]
async fn what_is_put_is_indexed_once_the_vectors_are_made() {
    let world = World::new(Metrics::new());
    world.apply_items(&[(1, titled("a", "x"))]);
    {
        let waiting = world.indexed();
        tokio::pin!(waiting);
        let early = tokio::time::timeout(std::time::Duration::from_millis(5), &mut waiting).await;
        assert!(early.is_err(), "nothing has been made yet");
        world.refresh_vectors();
        waiting.await;
    }
    world.indexed().await;
}
