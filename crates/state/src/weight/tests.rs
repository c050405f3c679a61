//! Weights against sums of floating point, and against themselves in another order.

use proptest::prelude::*;

use super::*;
use crate::half_life::{DAY_MS, decay};
use crate::sample::cases;

const MONTH_MS: i64 = 30 * DAY_MS;

fn sum(times_ms: &[i64]) -> Weight<MONTH_MS> {
    let mut ones = times_ms.iter().map(|time_ms| Weight::one(*time_ms));
    let first = ones.next().unwrap();
    ones.fold(first, |mut sum, one| {
        sum.add(&one);
        sum
    })
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn sums_are_exact_in_any_order(
        mut times_ms in proptest::collection::vec(-120 * DAY_MS..120 * DAY_MS, 1..40), seed: u64,
        idle_ms in 0..600 * DAY_MS,
    ) {
        let forward = sum(&times_ms);
        let at = usize::try_from(seed).unwrap_or(0) % times_ms.len();
        times_ms.rotate_left(at);
        let turned = sum(&times_ms);
        times_ms.sort_unstable();
        prop_assert_eq!(forward, turned);
        prop_assert_eq!(forward, sum(&times_ms));
        let now_ms = times_ms[times_ms.len() - 1] + idle_ms;
        let expected: f64 = times_ms.iter().map(|time_ms| decay(1.0, now_ms - time_ms, MONTH_MS)).sum();
        let found = forward.at(Fade::to(now_ms));
        prop_assert!((found - expected).abs() <= 1e-5 * expected, "{} {}", found, expected);
    }

    #[test]
    fn ranks_order_as_weights_do(
        left in proptest::collection::vec(0..600 * DAY_MS, 1..20),
        right in proptest::collection::vec(0..600 * DAY_MS, 1..20),
    ) {
        let (a, b) = (sum(&left), sum(&right));
        let fade = Fade::to(601 * DAY_MS);
        if a.rank() == b.rank() {
            prop_assert_eq!(a.at(fade).to_bits(), b.at(fade).to_bits());
        } else {
            prop_assert_eq!(a.rank() > b.rank(), a.at(fade) > b.at(fade));
        }
    }
}

#[test]
fn an_interaction_weighs_one_and_half_a_month_later() {
    for time_ms in [-MONTH_MS, -1, 0, 1, 77 * DAY_MS + 123_456_789] {
        let one = Weight::<MONTH_MS>::one(time_ms);
        for (later_ms, expected) in [(0, 1.0), (MONTH_MS, 0.5), (10 * MONTH_MS, 1.0 / 1_024.0)] {
            let found = one.at(Fade::to(time_ms + later_ms));
            assert!((found / expected - 1.0).abs() < 1e-5, "{time_ms} {later_ms} {found}");
        }
    }
}

proptest! {
    #![proptest_config(cases())]

    /// Over years, with interactions that come up to a month late.
    #[test]
    fn what_is_cut_off_is_the_same_in_any_order_within_lateness(
        mut times_ms in proptest::collection::vec(0..1_200 * DAY_MS, 1..40), seed: u64,
    ) {
        times_ms.sort_unstable();
        let in_order = sum(&times_ms);
        times_ms.sort_by_key(|time_ms| {
            let dice = time_ms.cast_unsigned().wrapping_mul(seed | 1) >> 20;
            time_ms + (dice % MONTH_MS.cast_unsigned()).cast_signed()
        });
        prop_assert_eq!(in_order, sum(&times_ms));
        times_ms.sort_unstable();
        let now_ms = times_ms[times_ms.len() - 1];
        let expected: f64 = times_ms.iter().map(|time_ms| decay(1.0, now_ms - time_ms, MONTH_MS)).sum();
        let found = in_order.at(Fade::to(now_ms));
        prop_assert!((found - expected).abs() <= 1e-5 * expected, "{} {}", found, expected);
    }
}

#[test]
fn growth_is_a_power_of_two() {
    for part_ms in (0..MONTH_MS).step_by(7_654_321).chain([1, MONTH_MS - 1]) {
        let expected = (part_ms as f64 / MONTH_MS as f64).exp2();
        let found = growth(part_ms, MONTH_MS);
        assert!((found / expected - 1.0).abs() < 2e-7, "{part_ms} {found} {expected}");
    }
}

#[test]
fn what_is_too_old_to_matter_is_cut_off() {
    let mut both = sum(&[0; 1_000]);
    both.add(&Weight::one(5 * MONTH_MS));
    assert_eq!((both.units, both.depth), ((1_000 + 32) << PLACES, 5));
    both.add(&Weight::one(60 * MONTH_MS));
    assert_eq!((both.units, both.depth), (1 << PLACES << DEPTH_MAX, DEPTH_MAX));
    let left = both.at(Fade::to(200 * MONTH_MS));
    assert!(left < f64::MIN_POSITIVE, "{left}");
}

#[test]
fn it_grows_to_its_bound_and_no_further() {
    let mut much = Weight::<MONTH_MS>::one(0);
    for _ in 0..50 {
        let same = much;
        much.add(&same);
    }
    assert_eq!(much.units, UNITS_MAX);
    much.add(&Weight::one(-MONTH_MS));
    assert_eq!((much.units, much.depth), (UNITS_MAX, 1));
    let nothing = Weight::<MONTH_MS>::of(0.0, 5);
    assert!(nothing.rank() < Weight::<MONTH_MS>::one(-900 * MONTH_MS).rank());
}
