//! The bounded list against exact counts.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::half_life::DAY_MS;
use crate::sample::cases;

#[test]
fn weights_fall_with_distance() {
    for distance in 1..=5_u8 {
        let expected = f64::from(distance).powf(-1.5);
        let found = weight(distance, Direction::Forward);
        assert!((found - expected).abs() < 1e-15, "{distance}");
        assert!((weight(distance, Direction::Backward) - 0.1 * expected).abs() < 1e-15);
    }
    assert!(weight(0, Direction::Forward) + weight(6, Direction::Forward) < f64::MIN_POSITIVE);
}

/// (days since the one before, other, distance)
fn arrivals(others: u64) -> impl Strategy<Value = Vec<(i64, u64, u8)>> {
    proptest::collection::vec((0..9_i64, 0..others, 1..=5_u8), 1..150)
}

/// The list, the exact weights by other, and the exact total, at the last arrival.
fn run(arrivals: &[(i64, u64, u8)]) -> (Pairs, BTreeMap<u64, f64>, f64) {
    let mut pairs = Pairs::default();
    let mut exact = BTreeMap::<u64, f64>::new();
    for (days, other, distance) in arrivals {
        pairs.age(days * DAY_MS);
        let factor = factor(days * DAY_MS, PAIR_HALF_LIFE_MS);
        exact.values_mut().for_each(|weight| *weight *= factor);
        let weight = weight(*distance, Direction::Forward);
        pairs.add(ItemHash(*other), weight);
        *exact.entry(*other).or_default() += weight;
    }
    let total = exact.values().sum();
    (pairs, exact, total)
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn the_total_is_exact_whatever_was_dropped(arrivals in arrivals(300)) {
        let (pairs, exact, total) = run(&arrivals);
        prop_assert!((pairs.total / total - 1.0).abs() < 1e-9);
        prop_assert!(pairs.kept.len() <= PAIRS_MAX);
        for pair in &pairs.kept {
            prop_assert!(pair.weight <= exact[&pair.other.0] * (1.0 + 1e-9));
        }
    }

    #[test]
    fn up_to_64_others_are_exact(arrivals in arrivals(64)) {
        let (pairs, exact, _) = run(&arrivals);
        prop_assert_eq!(pairs.kept.len(), exact.len());
        for pair in &pairs.kept {
            prop_assert!((pair.weight / exact[&pair.other.0] - 1.0).abs() < 1e-9);
        }
    }
}

#[test]
fn a_newcomer_replaces_the_weakest_without_inheriting() {
    let mut pairs = Pairs::default();
    for other in 0..64 {
        pairs.add(ItemHash(other), if other == 9 { 0.5 } else { 2.0 });
    }
    pairs.add(ItemHash(777), 0.1);
    assert!(pairs.kept.iter().all(|pair| pair.other != ItemHash(9)));
    let newcomer = pairs.kept.iter().find(|pair| pair.other == ItemHash(777)).unwrap();
    assert_eq!(newcomer.weight.to_bits(), f64::to_bits(0.1));
    assert!((pairs.total - 126.6).abs() < 1e-9);
}
