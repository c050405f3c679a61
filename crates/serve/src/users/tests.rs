//! A user's features from events, joined with the catalogue.

use upnext_common::event::{Event, EventBody};
use upnext_common::item::Item;

use super::erase::erasure;
use super::*;

const NOW: i64 = 1_760_000_000_000;

fn event(age_ms: i64, body: EventBody) -> Event {
    let event_time_ms = NOW - age_ms;
    Event { event_time_ms, body, ..erasure(Subject::User("u"), event_time_ms) }
}

/// A click at a time, for other tests too.
pub(crate) fn click_at(user_id: &str, item_id: &str, event_time_ms: i64) -> Event {
    Event { body: click(item_id), ..erasure(Subject::User(user_id), event_time_ms) }
}

fn state_of(events: &[Event]) -> UserState {
    let mut state = UserState::new();
    for (offset, event) in (0..).zip(events) {
        state.apply(event, event.event_time_ms, offset, &mut Vec::new());
    }
    state
}

fn live_of(items: &[(&str, Option<&str>)]) -> LiveItems {
    let mut live = LiveItems::new();
    for (item_id, category) in items {
        let item = Item {
            item_id: (*item_id).to_owned(),
            category: category.map(str::to_owned),
            ..Item::default()
        };
        live.put_item(&item).unwrap();
    }
    live
}

fn click(item_id: &str) -> EventBody {
    EventBody::ItemClicked { item_id: item_id.to_owned() }
}

#[test]
fn a_stranger_is_not_known() {
    let features = describe("u".to_owned(), None, &LiveItems::new(), NOW);
    assert!(!features.known);
    assert_eq!(features.features_as_of_ms, None);
    assert_eq!(features.windows.len(), 3);
}

#[test]
fn windows_recent_events_and_tastes_are_joined_with_the_catalogue() {
    let state = state_of(&[
        event(2 * 3_600_000, click("tea")),
        event(60_000, click("mug")),
        event(30_000, click("pot")),
        event(1_000, EventBody::Searched { query: "x".to_owned() }),
    ]);
    let live = live_of(&[("tea", Some("drinks")), ("mug", Some("kitchen"))]);
    let features = describe("u".to_owned(), Some(&state), &live, NOW);
    assert_eq!(features.features_as_of_ms, Some(NOW - 1_000));
    assert_eq!(features.windows["5m"], BTreeMap::from([("click", 2), ("search", 1)]));
    assert_eq!(features.windows["24h"]["click"], 3);
    let recent: Vec<_> = features.recent.iter().map(|e| (e.item_id.as_deref(), e.kind)).collect();
    let expected = [
        (None, "Searched"),
        (None, "ItemClicked"),
        (Some("mug"), "ItemClicked"),
        (Some("tea"), "ItemClicked"),
    ];
    assert_eq!(recent, expected);
    assert_eq!(features.top_items.len(), 3);
    assert!((features.tastes.values().sum::<f64>() - 1.0).abs() < 1e-9);
    assert!((features.tastes["kitchen"] - 0.5).abs() < 0.01, "{:?}", features.tastes);
}

#[test]
fn an_erased_user_is_a_stranger() {
    let state = state_of(&[event(2_000, click("tea")), event(1_000, EventBody::UserErased)]);
    assert!(!describe("u".to_owned(), Some(&state), &LiveItems::new(), NOW).known);
}
