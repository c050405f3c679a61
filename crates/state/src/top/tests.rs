//! Top items against exact sums.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::half_life::{HOUR_MS, decay};
use crate::sample::cases;

/// (hours, item, session)
fn visits(items: u64) -> impl Strategy<Value = Vec<(i64, u64, u64)>> {
    proptest::collection::vec((0..2_000_i64, 0..items, 0..4_u64), 1..60)
}

fn filled(visits: &[(i64, u64, u64)]) -> (Top, i64) {
    let mut top = Top::default();
    let mut newest_ms = 0;
    for (hours, item, session) in visits {
        let time_ms = hours * HOUR_MS;
        newest_ms = time_ms.max(newest_ms);
        top.add(ItemHash(*item), time_ms, *session);
    }
    (top, newest_ms)
}

fn exact(visits: &[(i64, u64, u64)], now_ms: i64) -> BTreeMap<u64, (f64, u32)> {
    let mut sums = BTreeMap::<u64, (f64, u32)>::new();
    for (hours, item, _) in visits {
        let sum = sums.entry(*item).or_default();
        sum.0 += decay(1.0, now_ms - hours * HOUR_MS, TOP_HALF_LIFE_MS);
        sum.1 += 1;
    }
    sums
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn without_eviction_weights_are_exact_sums(visits in visits(20)) {
        let (top, newest_ms) = filled(&visits);
        let expected = exact(&visits, newest_ms);
        let found = top.at(newest_ms);
        prop_assert_eq!(found.len(), expected.len());
        for item in &found {
            let (weight, repeats) = expected[&item.item.0];
            prop_assert!((item.weight - weight).abs() < 1e-5 * weight.max(1.0));
            prop_assert_eq!(item.repeats, repeats);
        }
        prop_assert!(found.is_sorted_by(|a, b| a.weight >= b.weight));
    }

    #[test]
    fn it_is_bounded_and_keeps_the_newcomer(visits in visits(90)) {
        let (top, newest_ms) = filled(&visits);
        let found = top.at(newest_ms);
        prop_assert!(found.len() <= TOP_MAX);
        let last = ItemHash(visits[visits.len() - 1].1);
        prop_assert!(found.iter().any(|item| item.item == last));
    }

    #[test]
    fn merging_adds_up(left in visits(12), right in visits(12)) {
        let ((a, a_ms), (b, b_ms)) = (filled(&left), filled(&right));
        let now_ms = a_ms.max(b_ms);
        let merged = a.merged(&b).at(now_ms);
        let both: Vec<_> = left.into_iter().chain(right).collect();
        let (whole, _) = filled(&both);
        let read = |items: &[TopItem]| -> Vec<_> {
            items.iter().map(|top| (top.item, top.weight.to_bits(), top.repeats)).collect()
        };
        prop_assert_eq!(read(&merged), read(&whole.at(now_ms)));
    }
}

#[test]
fn sessions_are_counted_when_they_change() {
    let (top, now_ms) = filled(&[(1, 5, 1), (2, 5, 1), (3, 5, 2)]);
    let item = top.at(now_ms)[0];
    assert_eq!((item.repeats, item.sessions, item.last_ms), (3, 2, 3 * HOUR_MS));
}

#[test]
fn the_weakest_makes_room() {
    let mut visits: Vec<(i64, u64, u64)> =
        (0..32_u64).map(|item| (item.cast_signed(), item, 0)).collect();
    visits.push((40, 0, 0));
    visits.push((50, 99, 0));
    let (top, _) = filled(&visits);
    let kept = |item: u64| top.0.iter().any(|kept| kept.item.0 == item);
    assert!(kept(0) && kept(99) && !kept(1), "the oldest single visit goes");
}
