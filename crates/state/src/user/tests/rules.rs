//! The rules one by one: clamping, lateness, repeats, pairs, sessions, hiding, erasure.

use super::*;
use crate::half_life::{DAY_MS, HOUR_MS};

fn click(number: u64, time_ms: i64, session: u64, item: u64) -> Event {
    event(number, time_ms, session, body(EventType::ItemClicked, item))
}

fn hash(item: u64) -> ItemHash {
    ItemHash::of(&format!("m{item}"))
}

/// Pairs as (signal's item, other, distance, direction).
fn pairs(signals: &[Signal]) -> Vec<(ItemHash, ItemHash, u8, Direction)> {
    let pair = |signal: &Signal| match &signal.what {
        What::Pair { other, distance, direction } => {
            Some((signal.item, *other, *distance, *direction))
        }
        What::Count { .. } => None,
    };
    signals.iter().filter_map(pair).collect()
}

fn counts(signals: &[Signal]) -> Vec<(ItemHash, EventType, bool, bool)> {
    let count = |signal: &Signal| match &signal.what {
        What::Count { kind, is_repeat, opens_session, item_id } => {
            assert_eq!(ItemHash::of(item_id), signal.item);
            Some((signal.item, *kind, *is_repeat, *opens_session))
        }
        What::Pair { .. } => None,
    };
    signals.iter().filter_map(count).collect()
}

#[test]
fn an_arriving_item_pairs_with_the_five_before_it() {
    let events: Vec<Event> =
        (0..7).map(|at| click(at, NOON_MS + at.cast_signed(), 0, at)).collect();
    let (_, signals) = run(&events);
    let last: Vec<_> = pairs(&signals).split_off(2 * (1 + 2 + 3 + 4 + 5));
    let mut expected = Vec::new();
    for (earlier, distance) in [(5, 1), (4, 2), (3, 3), (2, 4), (1, 5)] {
        expected.push((hash(earlier), hash(6), distance, Direction::Forward));
        expected.push((hash(6), hash(earlier), distance, Direction::Backward));
    }
    assert_eq!(last, expected);
}

#[test]
fn a_repeat_counts_but_forms_no_pairs() {
    let events = [
        click(1, NOON_MS, 0, 1),
        click(2, NOON_MS + 1, 0, 2),
        event(3, NOON_MS + 2, 0, body(EventType::ItemLiked, 2)),
        click(4, NOON_MS + 3, 0, 1),
    ];
    let (_, signals) = run(&events);
    let repeats: Vec<bool> = counts(&signals).iter().map(|count| count.2).collect();
    assert_eq!(repeats, [false, false, true, false]);
    // The return to item 1 pairs with item 2 alone: two steps back stands item 1 itself.
    let forward: Vec<_> =
        pairs(&signals).into_iter().filter(|pair| pair.3 == Direction::Forward).collect();
    let expected =
        [(hash(1), hash(2), 1, Direction::Forward), (hash(2), hash(1), 1, Direction::Forward)];
    assert_eq!(forward, expected);
}

#[test]
fn pairs_stay_within_a_session_and_within_time() {
    let events = [
        click(1, NOON_MS, 0, 1),
        click(2, NOON_MS + 1, 1, 2),
        click(3, NOON_MS + 10, 0, 3),
        // Arrives last, happened before item 3: it must not pair with the future.
        click(4, NOON_MS + 5, 0, 4),
    ];
    let (_, signals) = run(&events);
    let forward: Vec<_> = pairs(&signals)
        .into_iter()
        .filter(|pair| pair.3 == Direction::Forward)
        .map(|pair| (pair.0, pair.1))
        .collect();
    assert_eq!(forward, [(hash(1), hash(3)), (hash(1), hash(4))]);
}

#[test]
fn the_first_interest_of_a_session_opens_it() {
    let events = [
        event(1, NOON_MS, 0, body(EventType::Searched, 0)),
        click(2, NOON_MS + 1, 0, 1),
        click(3, NOON_MS + 2, 0, 2),
        click(4, NOON_MS + 3, 9, 2),
    ];
    let (state, signals) = run(&events);
    let opens: Vec<bool> = counts(&signals).iter().map(|count| count.3).collect();
    assert_eq!(opens, [true, false, true]);
    assert_eq!(state.sessions(), 2);
}

#[test]
fn impressions_count_every_item_and_leave_the_ring_alone() {
    let (state, signals) = run(&[event(1, NOON_MS, 0, body(EventType::ItemsShown, 4))]);
    let shown = EventType::ItemsShown;
    assert_eq!(counts(&signals), [(hash(4), shown, false, false), (hash(5), shown, false, false)]);
    assert!(state.recent().is_empty() && state.top_items(NOON_MS).is_empty());
    assert_eq!(state.windows(NOON_MS)[0][usize::from(shown.code())], 1);
}

#[test]
fn a_time_after_the_record_is_clamped() {
    let mut state = UserState::new();
    let mut signals = Vec::new();
    let ahead = view(1, NOON_MS + 90 * DAY_MS, 1);
    assert_eq!(state.apply(&ahead, NOON_MS, 0, &mut signals), Applied::Counted);
    assert_eq!((state.newest_ms(), signals[0].time_ms), (NOON_MS, NOON_MS));
    // The trap: unclamped, one event from the future would make all real ones late.
    let real = view(2, NOON_MS + 1, 2);
    assert_eq!(state.apply(&real, NOON_MS + 1, 1, &mut signals), Applied::Counted);
    assert_eq!(state.windows(NOON_MS + 1)[0][0], 2);
}

#[test]
fn what_no_window_and_no_ring_can_hold_is_too_late() {
    let late_ms = NOON_MS - 25 * HOUR_MS;
    let mut events: Vec<Event> = (0..64).map(|at| view(at, NOON_MS, at)).collect();
    let (mut roomy, _) = run(&events[..63]);
    let (mut full, _) = run(&events);
    let mut out = Vec::new();
    assert_eq!(roomy.apply(&view(99, late_ms, 1), NOON_MS, 70, &mut out), Applied::Counted);
    out.clear();
    let before = full.encode();
    assert_eq!(full.apply(&view(99, late_ms, 1), NOON_MS, 70, &mut out), Applied::TooLate);
    assert_eq!((full.encode(), out.len()), (before, 0));
    // Still inside the longest window: counted, though the ring is full of newer ones.
    events.push(view(100, NOON_MS - 23 * HOUR_MS, 1));
    assert_eq!(run(&events).0.windows(NOON_MS)[2][0], 65);
    // An impression has no place in the ring and is late as soon as no window holds it.
    let shown = event(101, late_ms, 0, body(EventType::ItemsShown, 1));
    let (mut young, _) = run(&events[..1]);
    assert_eq!(young.apply(&shown, NOON_MS, 70, &mut out), Applied::TooLate);
}

#[test]
fn a_known_event_id_is_a_duplicate_until_64_others_came() {
    let mut state = run(&[view(7, NOON_MS, 1)]).0;
    let mut out = Vec::new();
    let before = state.encode();
    assert_eq!(state.apply(&view(7, NOON_MS, 1), NOON_MS, 5, &mut out), Applied::Duplicate);
    assert_eq!((state.encode(), out.len(), state.next_offset()), (before, 0, 1));
    for number in 100..164 {
        let applied =
            state.apply(&view(number, NOON_MS, 1), NOON_MS, number.cast_signed(), &mut out);
        assert_eq!(applied, Applied::Counted);
    }
    assert_eq!(state.apply(&view(7, NOON_MS, 1), NOON_MS, 500, &mut out), Applied::Counted);
}

#[test]
fn hidden_items_are_kept_once_and_bounded() {
    let hide = |number, item| event(number, NOON_MS, 0, body(EventType::ItemHidden, item));
    let mut events = vec![hide(0, 1), hide(1, 1)];
    assert_eq!(run(&events).0.hidden(), [hash(1)]);
    events.extend((2..140).map(|at| hide(at, at)));
    let (state, _) = run(&events);
    assert_eq!(state.hidden().len(), HIDDEN_MAX);
    assert_eq!(state.hidden().last(), Some(&hash(139)));
    assert!(!state.hidden().contains(&hash(1)));
}

#[test]
fn an_erasure_leaves_only_the_position() {
    let mut events: Vec<Event> = (0..10).map(|at| view(at, NOON_MS, at)).collect();
    events.push(event(11, NOON_MS - 90 * DAY_MS, 0, EventBody::UserErased));
    let (state, signals) = run(&events);
    let position = Position { next_offset: 11, ..Position::default() };
    assert_eq!(state, UserState::at_position(position));
    assert!(state.is_empty());
    assert_eq!(signals, run(&events[..10]).1);
}
