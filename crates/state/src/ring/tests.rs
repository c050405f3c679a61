//! The ring against sorting everything.

use proptest::prelude::*;

use super::*;
use crate::sample::cases;

fn ring_event(time_ms: i64, item: u64, session: u64) -> RingEvent {
    RingEvent { kind: EventType::ItemClicked, item: Some(ItemHash(item)), time_ms, session }
}

fn arrivals() -> impl Strategy<Value = Vec<RingEvent>> {
    let one = (0..50_i64, 0..4_u64, 0..3_u64);
    proptest::collection::vec(
        one.prop_map(|(t, item, session)| ring_event(t, item, session)),
        0..150,
    )
}

fn filled(events: &[RingEvent]) -> Ring {
    let mut ring = Ring::default();
    events.iter().for_each(|event| ring.insert(*event));
    ring
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn it_keeps_the_newest_in_stable_order(events in arrivals()) {
        let mut sorted = events.clone();
        sorted.sort_by_key(|event| event.time_ms);
        let newest = &sorted[sorted.len().saturating_sub(RING_MAX)..];
        let ring = filled(&events);
        prop_assert_eq!(ring.events(), newest);
    }

    #[test]
    fn a_sequence_has_no_neighbours_alike(events in arrivals(), session in 0..3_u64, until in 0..60_i64) {
        let ring = filled(&events);
        let found: Vec<ItemHash> = ring.sequence(Some(session), until).collect();
        let mut naive: Vec<ItemHash> = ring.events().iter().rev()
            .filter(|event| event.session == session && event.time_ms <= until)
            .filter_map(|event| event.item)
            .collect();
        naive.dedup();
        prop_assert_eq!(found, naive);
    }

    #[test]
    fn merging_keeps_the_newest_of_both(left in arrivals(), right in arrivals()) {
        let (left, right) = (filled(&left), filled(&right));
        let merged = left.merged(&right);
        let mut times: Vec<i64> =
            left.events().iter().chain(right.events()).map(|event| event.time_ms).collect();
        times.sort_unstable();
        let newest = &times[times.len().saturating_sub(RING_MAX)..];
        let found: Vec<i64> = merged.events().iter().map(|event| event.time_ms).collect();
        prop_assert_eq!(found, newest);
    }
}

#[test]
fn searches_and_hides_are_no_interest() {
    let mut hide = ring_event(1, 7, 0);
    hide.kind = EventType::ItemHidden;
    let search = RingEvent { kind: EventType::Searched, item: None, time_ms: 2, session: 0 };
    let ring = filled(&[hide, search]);
    assert_eq!(ring.sequence(None, i64::MAX).count(), 0);
    assert!(!ring.knows_session(0));
    assert!(filled(&[ring_event(1, 7, 0)]).knows_session(0));
}

#[test]
fn a_full_ring_takes_nothing_older_than_its_oldest() {
    let events: Vec<RingEvent> = (100..164).map(|time| ring_event(time, 1, 0)).collect();
    let mut ring = filled(&events);
    assert!(!ring.takes(99) && ring.takes(100));
    ring.insert(ring_event(99, 2, 0));
    assert_eq!(ring.events(), events);
}
