//! What does not depend on the order of arrival, as long as nothing is later than the longest window.

use proptest::strategy::ValueTree;

use super::*;
use crate::half_life::DAY_MS;
use crate::window::Counts;

/// No event arrives after one that is newer by more than this.
const LATE_MS: u64 = DAY_MS.cast_unsigned() + SKEW_MS.cast_unsigned();

/// Counts by the definition of a window, from all events.
fn by_hand(events: &[Event], now_ms: i64) -> [Counts; WINDOWS.len()] {
    WINDOWS.map(|window| {
        let pane = |time_ms: i64| time_ms.div_euclid(window.pane_ms);
        let mut sums = Counts::default();
        for event in events {
            let index = pane(event.event_time_ms);
            if index > pane(now_ms - window.width_ms) && index <= pane(now_ms) {
                sums[usize::from(event.event_type().code())] += 1;
            }
        }
        sums
    })
}

/// The newest events of the ring in order of time; those of one moment in order of arrival.
fn newest(events: &[Event]) -> Vec<(EventType, i64)> {
    let shown = |event: &&Event| event.event_type() != EventType::ItemsShown;
    let remembered: Vec<_> = events.iter().filter(shown).collect();
    let newest = &remembered[remembered.len().saturating_sub(crate::ring::RING_MAX)..];
    newest.iter().map(|event| (event.event_type(), event.event_time_ms)).collect()
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn windows_equal_counting_by_hand(
        events in histories(), seed: u64, idle_ms in prop_oneof![
            -SKEW_MS..=0_i64, 0..400_000_i64, 0..4_000_000_i64, 0..100_000_000_i64
        ],
    ) {
        let (state, _) = run(&delayed(&events, LATE_MS, seed));
        let now_ms = state.newest_ms() + idle_ms;
        prop_assert_eq!(state.windows(now_ms), by_hand(&events, now_ms));
    }

    #[test]
    fn order_of_arrival_does_not_matter(events in histories(), seed: u64) {
        let (state, _) = run(&delayed(&events, LATE_MS, seed));
        for kind in EventType::ALL {
            let expected = events.iter().filter(|event| event.event_type() == kind).count();
            prop_assert_eq!(state.lifetime(kind), u64::try_from(expected).unwrap());
        }
        prop_assert_eq!(state.newest_ms(), events[events.len() - 1].event_time_ms);
        let recent = state.recent().iter().map(|event| (event.kind, event.time_ms));
        prop_assert_eq!(recent.collect::<Vec<_>>(), newest(&events));
        let (in_order, _) = run(&events);
        prop_assert_eq!(state.recent(), in_order.recent());
    }

    /// What bounded lists read, as long as they are not full.
    #[test]
    fn neither_do_top_and_hidden_items_below_their_bounds(events in events(60), seed: u64) {
        let events: Vec<Event> = events.into_iter().filter(|event| {
            event.body.item_id().is_none_or(|id| id.len() < 3 || id < "m32")
        }).collect();
        prop_assume!(!events.is_empty());
        let (late, _) = run(&delayed(&events, LATE_MS, seed));
        let (in_order, _) = run(&events);
        let read = |state: &UserState| -> Vec<_> {
            let top = state.top_items(NOON_MS + 300 * DAY_MS);
            top.iter().map(|top| (top.item, top.weight.to_bits(), top.repeats, top.last_ms)).collect()
        };
        prop_assert_eq!(read(&late), read(&in_order));
        let hidden = |state: &UserState| {
            let mut items = state.hidden().to_vec();
            items.sort_unstable();
            items
        };
        prop_assert_eq!(hidden(&late), hidden(&in_order));
    }
}

/// How many of 4,000 histories are counted wrong: each with an event among them that is stamped in nanoseconds, so
/// that it seems to come from the far future. `record_ms` says what is believed to be the time of its record.
fn wrong(record_ms: impl Fn(&Event) -> i64) -> usize {
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let mut wrong = 0;
    for _ in 0..4_000 {
        let events = events(24).new_tree(&mut runner).unwrap().current();
        let mut state = UserState::new();
        let broken = Event { event_time_ms: NOON_MS * 1_000_000, ..view(999, 0, 1) };
        state.apply(&broken, record_ms(&events[0]), 0, &mut Vec::new());
        for (event, offset) in events.iter().zip(1..) {
            state.apply(event, record_ms(event), offset, &mut Vec::new());
        }
        let mut believed = vec![Event { event_time_ms: events[0].event_time_ms, ..broken }];
        believed.extend(events);
        let now_ms = believed[believed.len() - 1].event_time_ms;
        wrong += usize::from(state.windows(now_ms) != by_hand(&believed, now_ms));
    }
    wrong
}

/// The trap: one event from the future, and every real one is older than every window.
#[test]
fn without_the_records_time_one_event_from_the_future_hides_all_others() {
    assert_eq!(wrong(|event| event.event_time_ms), 0);
    assert_eq!(wrong(|_| i64::MAX), 4_000, "the guard is not what makes the difference");
}
