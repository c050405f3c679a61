//! Panes against counting by hand.

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use upnext_common::event::{Event, EventType};

use super::*;
use crate::sample::{NOON_MS, cases, delayed, histories, view};

const LATE_MS: u64 = 600_000;

fn panes(events: &[Event], window: Window) -> (Panes, i64) {
    let mut panes = Panes::default();
    let mut newest_ms = 0;
    for event in events {
        newest_ms = event.event_time_ms.max(newest_ms);
        panes.add(window, event.event_type(), event.event_time_ms, newest_ms);
    }
    (panes, newest_ms)
}

/// Counts by pane-aligned definition, from all events.
fn naive(events: &[Event], window: Window, now_ms: i64) -> Counts {
    let pane = |time_ms: i64| time_ms.div_euclid(window.pane_ms);
    let mut sums = Counts::default();
    for event in events {
        let index = pane(event.event_time_ms);
        if index > pane(now_ms - window.width_ms) && index <= pane(now_ms) {
            sums[usize::from(event.event_type().code())] += 1;
        }
    }
    sums
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn windows_equal_counting_by_hand(
        events in histories(), seed: u64, idle_ms in prop_oneof![
            -SKEW_MS..=0_i64, 0..400_000_i64, 0..100_000_000_i64
        ],
    ) {
        let arrived = delayed(&events, LATE_MS, seed);
        for window in WINDOWS {
            let (panes, newest_ms) = panes(&arrived, window);
            let now_ms = newest_ms + idle_ms;
            prop_assert_eq!(panes.counts(window, now_ms), naive(&events, window, now_ms));
        }
    }

    #[test]
    fn what_is_missed_happened_in_the_oldest_pane(events in histories(), idle_ms in 0..4_000_000_i64) {
        for window in WINDOWS {
            let (panes, newest_ms) = panes(&events, window);
            let now_ms = newest_ms + idle_ms;
            let since = |from_ms: i64| {
                let inside = |event: &&Event| event.event_time_ms > from_ms;
                u32::try_from(events.iter().filter(inside).count()).unwrap()
            };
            let counted: u32 = panes.counts(window, now_ms).iter().sum();
            let whole = since(now_ms - window.width_ms);
            let without_edge = since(now_ms - window.width_ms + window.pane_ms);
            prop_assert!((without_edge..=whole).contains(&counted));
        }
    }

    #[test]
    fn order_of_arrival_does_not_matter(events in histories(), a: u64, b: u64) {
        for window in WINDOWS {
            let (first, _) = panes(&delayed(&events, LATE_MS, a), window);
            let (second, newest_ms) = panes(&delayed(&events, LATE_MS, b), window);
            prop_assert_eq!(first.counts(window, newest_ms), second.counts(window, newest_ms));
        }
    }

    #[test]
    fn merged_panes_count_both(events in histories(), cut in 0..200_usize) {
        let (left, right) = events.split_at(cut.min(events.len()));
        for window in WINDOWS {
            let ((left, left_ms), (right, right_ms)) = (panes(left, window), panes(right, window));
            let newest_ms = left_ms.max(right_ms);
            let merged = left.merged(&right, window, newest_ms);
            prop_assert_eq!(&merged, &right.merged(&left, window, newest_ms));
            prop_assert_eq!(merged.counts(window, newest_ms), naive(&events, window, newest_ms));
        }
    }

    #[test]
    fn encoded_panes_come_back(events in histories()) {
        for window in WINDOWS {
            let (panes, _) = panes(&events, window);
            let mut writer = Writer::default();
            panes.write(&mut writer);
            let mut scanner = Scanner::new(&writer.0);
            prop_assert_eq!(Panes::read(&mut scanner, window), Ok(panes));
            prop_assert_eq!(scanner.end(), Ok(()));
        }
    }
}

/// How many of 4,000 histories a reader who stands behind the newest event counts wrong, when `prune` follows each
/// event.
fn wrong(prune: impl Fn(&mut Panes, Window, i64)) -> usize {
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let mut wrong = 0;
    let dense = proptest::collection::vec(0..330_000_i64, 1..24);
    for _ in 0..4_000 {
        let times_ms = dense.new_tree(&mut runner).unwrap().current();
        let viewed = |time_ms| view(1, NOON_MS + time_ms, 1);
        let events: Vec<Event> = times_ms.into_iter().map(viewed).collect();
        let is_wrong = |window: Window| {
            let mut kept = Panes::default();
            let mut newest_ms = 0;
            for event in &events {
                newest_ms = event.event_time_ms.max(newest_ms);
                kept.add(window, event.event_type(), event.event_time_ms, newest_ms);
                prune(&mut kept, window, newest_ms);
            }
            let now_ms = newest_ms - SKEW_MS;
            kept.counts(window, now_ms) != naive(&events, window, now_ms)
        };
        wrong += usize::from(WINDOWS.into_iter().any(is_wrong));
    }
    wrong
}

/// The trap: panes pruned at the window itself, when a reader a little behind still has to see them.
#[test]
fn without_the_margin_a_reader_behind_the_newest_event_misses_events() {
    assert_eq!(wrong(|_, _, _| {}), 0);
    let without_margin = |panes: &mut Panes, window: Window, newest_ms: i64| {
        panes.forget((newest_ms - window.width_ms).div_euclid(window.pane_ms));
    };
    let wrong = wrong(without_margin);
    assert!(wrong > 400, "the guard makes a difference in {wrong} of 4,000 histories only");
}

#[test]
fn a_pane_counts_to_its_bound() {
    let mut panes = Panes::default();
    for _ in 0..=u32::from(PANE_COUNT_MAX) {
        panes.add(WINDOWS[2], EventType::ItemViewed, NOON_MS, NOON_MS);
    }
    let counts = panes.counts(WINDOWS[2], NOON_MS);
    assert_eq!(counts[0], u32::from(PANE_COUNT_MAX));
    let doubled = panes.merged(&panes, WINDOWS[2], NOON_MS).counts(WINDOWS[2], NOON_MS);
    assert_eq!(doubled, counts);
}

#[track_caller]
fn check(bytes: &[u8], expected: DecodeError) {
    let read = Panes::read(&mut Scanner::new(bytes), WINDOWS[0]);
    assert_eq!(read, Err(expected));
}

#[test]
fn malformed_panes_are_refused() {
    check(&[250, 1], DecodeError::Range("number of panes"));
    check(&[1, 2, 0], DecodeError::Range("pane mask"));
    check(&[1, 2, 0x80, 0x04], DecodeError::Range("pane mask"));
    check(&[1, 2, 1, 0xff, 0xff, 0x03], DecodeError::Range("pane count"));
    check(&[2, 2, 1, 1, 0, 1, 1], DecodeError::Range("pane step"));
    check(&[1, 2, 1], DecodeError::Truncated);
}
