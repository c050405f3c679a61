//! One item's state: properties over random signals, and the rules one by one.

use std::sync::Arc;

use proptest::prelude::*;
use upnext_common::item::ItemHash;

use super::*;
use crate::sample::cases;
use crate::signal::Direction;

const START_MS: i64 = 1_700_000_000_000;
const ITEM: ItemHash = ItemHash(1);

fn count(time_ms: i64, kind: EventType, is_repeat: bool, opens_session: bool) -> Signal {
    let what = What::Count { item_id: Arc::from("m1"), kind, is_repeat, opens_session };
    Signal { item: ITEM, time_ms, what }
}

fn pair(time_ms: i64, other: u64, distance: u8, direction: Direction) -> Signal {
    Signal { item: ITEM, time_ms, what: What::Pair { other: ItemHash(other), distance, direction } }
}

fn position(next_offset: i64, next_index: u32) -> ItemPosition {
    ItemPosition { epoch: 0, next_offset, next_index }
}

/// Signals over about 60 days, not quite in order.
fn signals() -> impl Strategy<Value = Vec<Signal>> {
    let one = (0..60 * 24_i64, 0..9_u8, 0..100_u64, 1..=5_u8, any::<(bool, bool)>());
    let made = one.prop_map(|(hour, code, other, distance, (is_repeat, opens))| {
        let time_ms = START_MS + hour * HOUR_MS;
        let kind = EventType::from_code(code).unwrap();
        match code {
            0..4 => pair(time_ms, other, distance, Direction::Forward),
            4 => pair(time_ms, other, distance, Direction::Backward),
            _ => count(time_ms, kind, is_repeat, opens && kind.is_interaction()),
        }
    });
    proptest::collection::vec(made, 1..60).prop_map(|mut all| {
        all.sort_by_key(|signal| signal.time_ms / (36 * HOUR_MS));
        all
    })
}

fn run(signals: &[Signal]) -> ItemState {
    let mut state = ItemState::new();
    for (signal, offset) in signals.iter().zip(0..) {
        assert!(state.apply(signal, position(offset, 0)));
    }
    state
}

/// Sum of what each matching signal is worth at `now_ms`.
fn exact(
    signals: &[Signal],
    now_ms: i64,
    half_life_ms: i64,
    worth: impl Fn(&Signal) -> f64,
) -> f64 {
    signals.iter().map(|signal| worth(signal) * factor(now_ms - signal.time_ms, half_life_ms)).sum()
}

#[track_caller]
fn check_close(found: f64, expected: f64) {
    assert!((found - expected).abs() <= 1e-9 * (1.0 + expected), "{found} is not {expected}");
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn decoding_what_was_encoded_changes_nothing(signals in signals()) {
        let state = run(&signals);
        let stored = ItemState::decode(&state.encode()).unwrap();
        prop_assert_eq!(stored.encode(), state.encode());
        prop_assert_eq!(stored, state);
    }

    /// Stored after `stored` signals of batches of three, begun again up to 20 signals before that, twice.
    #[test]
    fn a_crash_anywhere_equals_no_crash(
        signals in signals(), crashes in proptest::collection::vec((0..60_usize, 0..20_usize), 1..3),
    ) {
        let at = |number: usize| {
            let number = u32::try_from(number).unwrap();
            position(i64::from(number / 3), number % 3)
        };
        let follow = |state: &mut ItemState, from: usize, to: usize| {
            for (number, signal) in signals.iter().enumerate().take(to).skip(from) {
                state.apply(signal, at(number));
            }
        };
        let mut whole = ItemState::new();
        follow(&mut whole, 0, signals.len());
        let mut state = ItemState::new();
        let mut from = 0;
        for (stored, back) in crashes {
            let stored = stored.min(signals.len()).max(from);
            follow(&mut state, from, stored);
            state = ItemState::decode(&state.encode()).unwrap();
            from = stored.saturating_sub(back);
        }
        follow(&mut state, from, signals.len());
        prop_assert_eq!(state.encode(), whole.encode());
    }

    #[test]
    fn counters_equal_exact_sums(signals in signals(), idle_hours in 0..500_i64) {
        let state = run(&signals);
        let now_ms = state.at_ms() + idle_hours * HOUR_MS;
        let moment = state.at(now_ms);
        for kind in EventType::ALL {
            let worth = |signal: &Signal| match &signal.what {
                What::Count { kind: of, .. } => f64::from(u8::from(*of == kind)),
                What::Pair { .. } => 0.0,
            };
            let tally = moment.of(kind);
            check_close(tally.h1, exact(&signals, now_ms, HALF_LIVES_MS[0], worth));
            check_close(tally.h24, exact(&signals, now_ms, HALF_LIVES_MS[1], worth));
            check_close(tally.d7, exact(&signals, now_ms, HALF_LIVES_MS[2], worth));
            check_close(tally.total as f64, signals.iter().map(worth).sum());
        }
        let interest = |signal: &Signal| match &signal.what {
            What::Count { kind, is_repeat: false, .. } => f64::from(u8::from(kind.is_interaction())),
            What::Count { .. } | What::Pair { .. } => 0.0,
        };
        check_close(moment.interest.d7, exact(&signals, now_ms, HALF_LIVES_MS[2], interest));
        check_close(moment.interest.d30, exact(&signals, now_ms, HALF_LIVES_MS[3], interest));
        check_close(moment.interest.total as f64, signals.iter().map(interest).sum());
        let opening = |signal: &Signal| match &signal.what {
            What::Count { opens_session, .. } => f64::from(u8::from(*opens_session)),
            What::Pair { .. } => 0.0,
        };
        check_close(moment.openings, exact(&signals, now_ms, HALF_LIVES_MS[2], opening));
    }

    #[test]
    fn the_pair_total_is_exact(signals in signals(), idle_hours in 0..5_000_i64) {
        let state = run(&signals);
        let now_ms = state.at_ms() + idle_hours * HOUR_MS;
        let worth = |signal: &Signal| match &signal.what {
            What::Pair { distance, direction, .. } => weight(*distance, *direction),
            What::Count { .. } => 0.0,
        };
        let found = state.pair_total() * state.at(now_ms).pair_factor;
        check_close(found, exact(&signals, now_ms, PAIR_HALF_LIFE_MS, worth));
        let kept: f64 = state.pairs().iter().map(|pair| pair.weight).sum();
        prop_assert!(kept <= state.pair_total() * (1.0 + 1e-9));
    }

    #[test]
    fn replaying_any_suffix_changes_nothing(signals in signals(), cut in 0..60_usize) {
        let mut state = run(&signals);
        let before = state.encode();
        for (signal, offset) in signals.iter().zip(0..).skip(cut.min(signals.len())) {
            prop_assert!(!state.apply(signal, position(offset, 0)));
        }
        prop_assert_eq!(state.encode(), before);
    }

    #[test]
    fn no_bytes_make_it_panic(mut bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        if let Some(version) = bytes.first_mut() {
            *version = crate::header::ITEM_VERSION;
        }
        drop(ItemState::decode(&bytes));
    }

    #[test]
    fn a_cut_state_is_refused(signals in signals(), cut in 1..50_usize) {
        let bytes = run(&signals).encode();
        prop_assert!(ItemState::decode(&bytes[..bytes.len().saturating_sub(cut)]).is_err());
    }
}

#[test]
fn positions_within_a_batch_count_too() {
    let mut state = ItemState::new();
    let view = count(START_MS, EventType::ItemViewed, false, true);
    assert!(state.apply(&view, position(5, 2)));
    assert!(!state.apply(&view, position(5, 2)) && !state.apply(&view, position(5, 1)));
    assert!(!state.apply(&view, position(4, 9)));
    assert!(state.apply(&view, position(5, 3)) && state.apply(&view, position(6, 0)));
    assert_eq!(state.position(), position(6, 1));
    assert_eq!(state.interest_total(), 3);
}

#[test]
fn repeats_count_as_events_but_not_as_interest() {
    let state = run(&[
        count(START_MS, EventType::ItemClicked, false, true),
        count(START_MS + 1, EventType::ItemLiked, true, false),
        count(START_MS + 2, EventType::ItemsShown, false, false),
        count(START_MS + 3, EventType::ItemHidden, false, false),
    ]);
    assert_eq!(state.interest_total(), 1);
    assert_eq!((state.clicked_total(), state.shown_total()), (1, 1));
    assert_eq!((state.total(EventType::ItemLiked), state.total(EventType::ItemHidden)), (1, 1));
    assert_eq!(state.item_id(), "m1");
    assert_eq!((state.first_seen_ms(), state.last_seen_ms()), (Some(START_MS), START_MS + 3));
}

#[test]
fn a_late_event_is_first_seen_but_not_newest() {
    let view = |time_ms| count(time_ms, EventType::ItemViewed, false, false);
    let state = run(&[view(START_MS), view(START_MS - DAY_MS)]);
    assert_eq!((state.first_seen_ms(), state.at_ms()), (Some(START_MS - DAY_MS), START_MS));
    check_close(state.at(START_MS).of(EventType::ItemViewed).h24, 1.5);
}

#[test]
fn pairs_alone_leave_the_item_unnamed() {
    let state = run(&[pair(START_MS, 9, 1, Direction::Forward)]);
    assert_eq!((state.item_id(), state.first_seen_ms()), ("", None));
    assert_eq!(state.pairs().len(), 1);
    check_close(state.pair_total(), 1.0);
}

#[test]
fn a_reader_before_the_newest_signal_reads_its_moment() {
    let state = run(&[count(START_MS, EventType::ItemViewed, false, false)]);
    assert_eq!(state.at(START_MS - DAY_MS), state.at(START_MS));
}
