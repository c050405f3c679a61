//! Exponentials, softmax and gelu, vectorised by the compiler.

use crate::level::{Level, by_level};

/// Below this the result is taken as that of this argument (about 1e-38): no denormals, no branches.
const LOWEST: f32 = -87.3;
const HIGHEST: f32 = 88.0;
/// Adding and subtracting 1.5 · 2²³ rounds to the nearest whole number, ties to even.
const ROUNDER: f32 = 12_582_912.0;
/// √(2/π) and the cubic coefficient of the tanh form of gelu (Hendrycks and Gimpel, 2016).
const GELU_OUTER: f32 = 0.797_884_6;
const GELU_CUBIC: f32 = 0.044_715;

/// `eˣ` in place; relative error below 3e-7 within [-87, 88], clamped outside.
pub fn exp_in_place(values: &mut [f32]) {
    exp_at(Level::best(), values);
}

/// Turns scores into shares that sum to 1. An empty slice stays empty.
pub fn softmax_in_place(values: &mut [f32]) {
    let highest = values.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    for value in values.iter_mut() {
        *value -= highest;
    }
    exp_in_place(values);
    let total: f32 = values.iter().sum();
    for value in values.iter_mut() {
        *value /= total;
    }
}

/// gelu in its tanh form, in place: `x · σ(2 √(2/π) (x + 0.044715 x³))`.
pub fn gelu(values: &mut [f32]) {
    gelu_at(Level::best(), values);
}

/// The derivative of [`gelu`] at each value, in place.
pub fn gelu_slope(values: &mut [f32]) {
    gelu_slope_at(Level::best(), values);
}

by_level!(exp_at = exp_body(values: &mut [f32]));
by_level!(gelu_at = gelu_body(values: &mut [f32]));
by_level!(gelu_slope_at = gelu_slope_body(values: &mut [f32]));

/// Range reduction by ln 2 in two parts, then Cephes' polynomial of degree 5.
#[inline(always)]
fn exp(x: f32) -> f32 {
    let x = x.clamp(LOWEST, HIGHEST);
    let rounded = x * std::f32::consts::LOG2_E + ROUNDER;
    let n = rounded - ROUNDER;
    let r = (x - n * 0.693_359_4) + n * 2.121_944_4e-4;
    let mut p = 1.987_569_1e-4_f32;
    p = p * r + 1.398_2e-3;
    p = p * r + 8.333_452e-3;
    p = p * r + 4.166_579_6e-2;
    p = p * r + 1.666_666_5e-1;
    p = p * r + 5.0e-1;
    let fraction = p * r * r + r + 1.0;
    // The low bits of `rounded` hold n; as an exponent they make 2ⁿ.
    let exponent = rounded.to_bits().wrapping_sub(ROUNDER.to_bits()).wrapping_add(127);
    fraction * f32::from_bits(exponent << 23)
}

#[inline(always)]
fn exp_body(values: &mut [f32]) {
    for value in values {
        *value = exp(*value);
    }
}

#[inline(always)]
fn gelu_body(values: &mut [f32]) {
    for value in values {
        let x = *value;
        let inner = GELU_OUTER * (x + GELU_CUBIC * x * x * x);
        *value = x / (1.0 + exp(-2.0 * inner));
    }
}

#[inline(always)]
fn gelu_slope_body(values: &mut [f32]) {
    for value in values {
        let x = *value;
        let inner = GELU_OUTER * (x + GELU_CUBIC * x * x * x);
        let share = 1.0 / (1.0 + exp(-2.0 * inner));
        let inner_slope = GELU_OUTER * (1.0 + 3.0 * GELU_CUBIC * x * x);
        *value = share + 2.0 * x * share * (1.0 - share) * inner_slope;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn gelu_naive(x: f64) -> f64 {
        let inner = (2.0 / std::f64::consts::PI).sqrt() * (x + 0.044_715 * x * x * x);
        0.5 * x * (1.0 + inner.tanh())
    }

    proptest! {
        #[test]
        fn exp_is_close_and_the_levels_agree(values in prop::collection::vec(-87.0_f32..87.9, 0..70)) {
            let mut portable = values.clone();
            exp_at(Level::Portable, &mut portable);
            for (x, y) in values.iter().zip(&portable) {
                let exact = f64::from(*x).exp();
                prop_assert!((f64::from(*y) / exact - 1.0).abs() < 3e-7, "e^{} gave {}", x, y);
            }
            for level in Level::available() {
                let mut other = values.clone();
                exp_at(level, &mut other);
                prop_assert_eq!(&other, &portable);
            }
        }

        #[test]
        fn gelu_and_its_slope_follow_the_formula(x in -12.0_f32..12.0) {
            for level in Level::available() {
                let (mut value, mut slope) = ([x], [x]);
                gelu_at(level, &mut value);
                gelu_slope_at(level, &mut slope);
                let exact = gelu_naive(f64::from(x));
                prop_assert!((f64::from(value[0]) - exact).abs() < 2e-6);
                let h = 1e-5;
                let numeric = (gelu_naive(f64::from(x) + h) - gelu_naive(f64::from(x) - h)) / (2.0 * h);
                prop_assert!((f64::from(slope[0]) - numeric).abs() < 1e-5);
            }
        }

        #[test]
        fn shares_sum_to_one(mut values in prop::collection::vec(-1e4_f32..1e4, 1..50)) {
            softmax_in_place(&mut values);
            prop_assert!((values.iter().sum::<f32>() - 1.0).abs() < 1e-5);
            prop_assert!(values.iter().all(|share| (0.0..=1.0).contains(share)));
        }
    }

    #[test]
    fn the_ends_are_clamped_not_wrapped() {
        let mut values = [-1e30, f32::NEG_INFINITY, 1e30];
        exp_in_place(&mut values);
        assert!(values[0] < 1e-37 && values[1] < 1e-37, "{values:?}");
        assert!(values[2] > 1e38 && values[2].is_finite());
    }
}
