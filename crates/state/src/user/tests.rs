//! One user's state: properties over random histories, and the rules one by one.

use proptest::prelude::*;

use super::*;
use crate::USER_BYTES_MAX;
use crate::sample::{NOON_MS, body, delayed, event, events, view};
use crate::top::TOP_MAX;

mod rules;
mod size;

/// Applies events at offsets 0, 1, …; returns the state and all signals.
fn run(events: &[Event]) -> (UserState, Vec<Signal>) {
    let mut state = UserState::new();
    let mut signals = Vec::new();
    for (event, offset) in events.iter().zip(0..) {
        state.apply(event, i64::MAX, offset, &mut signals);
    }
    (state, signals)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn a_round_trip_changes_nothing(events in events(250), seed: u64) {
        let events = delayed(&events, 3_000_000, seed);
        let mut kept = UserState::new();
        let mut stored = UserState::new();
        for (event, offset) in events.iter().zip(0..) {
            let (mut one, mut other) = (Vec::new(), Vec::new());
            kept.apply(event, i64::MAX, offset, &mut one);
            stored = UserState::decode(&stored.encode()).unwrap();
            stored.apply(event, i64::MAX, offset, &mut other);
            prop_assert_eq!(&one, &other);
        }
        prop_assert_eq!(&kept, &stored);
        prop_assert_eq!(kept.encode(), stored.encode());
    }

    #[test]
    fn replaying_any_suffix_changes_nothing(events in events(150), cut in 0..150_usize) {
        let (mut state, _) = run(&events);
        let before = state.encode();
        let mut signals = Vec::new();
        for (event, offset) in events.iter().zip(0..).skip(cut.min(events.len())) {
            let applied = state.apply(event, i64::MAX, offset, &mut signals);
            prop_assert_ne!(applied, Applied::Counted);
        }
        prop_assert_eq!(state.encode(), before);
        prop_assert!(signals.is_empty());
    }

    #[test]
    fn a_crash_anywhere_equals_no_crash(
        events in events(150), stored in 0..150_usize, back in 0..60_usize,
    ) {
        let stored = stored.min(events.len());
        let bytes = run(&events[..stored]).0.encode();
        let mut state = UserState::decode(&bytes).unwrap();
        for (event, offset) in events.iter().zip(0..).skip(stored.saturating_sub(back)) {
            state.apply(event, i64::MAX, offset, &mut Vec::new());
        }
        prop_assert_eq!(state.encode(), run(&events).0.encode());
    }

    #[test]
    fn merging_is_commutative_and_adds_up(events in events(200), cut in 0..200_usize) {
        let (left, right) = events.split_at(cut.min(events.len()));
        let ((a, _), (b, _)) = (run(left), run(right));
        let merged = a.merge(&b);
        prop_assert_eq!(merged.encode(), b.merge(&a).encode());
        for kind in EventType::ALL {
            prop_assert_eq!(merged.lifetime(kind), a.lifetime(kind) + b.lifetime(kind));
        }
        let whole = run(&events).0;
        let now_ms = whole.newest_ms();
        prop_assert_eq!(merged.windows(now_ms), whole.windows(now_ms));
        let times = |state: &UserState| -> Vec<i64> {
            state.recent().iter().map(|event| event.time_ms).collect()
        };
        prop_assert_eq!(times(&merged), times(&whole));
    }

    #[test]
    fn merging_with_nothing_changes_no_reading(events in events(100)) {
        let (state, _) = run(&events);
        let merged = state.merge(&UserState::new());
        let now_ms = state.newest_ms();
        prop_assert_eq!(merged.recent(), state.recent());
        prop_assert_eq!(merged.windows(now_ms), state.windows(now_ms));
        prop_assert_eq!(merged.top_items(now_ms), state.top_items(now_ms));
        prop_assert_eq!(merged.hidden(), state.hidden());
    }

    #[test]
    fn no_bytes_make_it_panic(
        mut bytes in proptest::collection::vec(any::<u8>(), 0..300), now_ms: i64,
    ) {
        if let Some(version) = bytes.first_mut() {
            *version = crate::header::VERSION;
        }
        if let Ok(state) = UserState::decode(&bytes) {
            prop_assert_eq!(state.windows(now_ms).len(), WINDOWS.len());
        }
    }

    #[test]
    fn a_damaged_state_never_passes_for_more_than_it_is(
        events in events(60), at in 0..400_usize, bit in 0..8_u8,
    ) {
        let mut bytes = run(&events).0.encode();
        prop_assert!(UserState::decode(&bytes[..bytes.len() - 1]).is_err());
        let at = at % bytes.len();
        bytes[at] ^= 1 << bit;
        if let Ok(state) = UserState::decode(&bytes) {
            prop_assert!(state.recent().is_sorted_by_key(|event| event.time_ms));
            prop_assert!(state.top_items(NOON_MS).len() <= TOP_MAX);
        }
    }
}
