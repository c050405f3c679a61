//! f32 dot product and scaled addition.

use crate::level::{Level, by_level};

/// Partial sums kept side by side; fixed, so that every level adds in the same order.
const LANES: usize = 16;

/// Σ aᵢ·bᵢ. The order of the sums depends on the length alone.
///
/// # Panics
/// If the lengths differ.
#[must_use]
pub fn dot(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len(), "vectors of one length");
    dot_at(Level::best(), a, b)
}

/// `sum += factor · values`, element by element.
///
/// # Panics
/// If the lengths differ.
pub fn add_scaled(sum: &mut [f32], factor: f32, values: &[f32]) {
    assert_eq!(sum.len(), values.len(), "vectors of one length");
    add_scaled_at(Level::best(), sum, factor, values);
}

by_level!(dot_at = dot_body(a: &[f32], b: &[f32]) -> f32);
by_level!(add_scaled_at = add_scaled_body(sum: &mut [f32], factor: f32, values: &[f32]));

#[inline(always)]
fn dot_body(a: &[f32], b: &[f32]) -> f32 {
    let (a_blocks, a_rest) = a.as_chunks::<LANES>();
    let (b_blocks, b_rest) = b.as_chunks::<LANES>();
    let mut lanes = [0.0_f32; LANES];
    for (a, b) in a_blocks.iter().zip(b_blocks) {
        for lane in 0..LANES {
            lanes[lane] += a[lane] * b[lane];
        }
    }
    for (lane, (a, b)) in lanes.iter_mut().zip(a_rest.iter().zip(b_rest)) {
        *lane += a * b;
    }
    let mut width = LANES / 2;
    while width > 0 {
        for lane in 0..width {
            lanes[lane] += lanes[lane + width];
        }
        width /= 2;
    }
    lanes[0]
}

#[inline(always)]
fn add_scaled_body(sum: &mut [f32], factor: f32, values: &[f32]) {
    for (sum, value) in sum.iter_mut().zip(values) {
        *sum += factor * value;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn pair() -> impl Strategy<Value = (Vec<f32>, Vec<f32>)> {
        (0_usize..200).prop_flat_map(|length| {
            let values = || prop::collection::vec(-10.0_f32..10.0, length);
            (values(), values())
        })
    }

    proptest! {
        #[test]
        fn every_level_agrees_to_the_bit_and_with_the_naive_sum((a, b) in pair()) {
            let naive: f64 = a.iter().zip(&b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum();
            let portable = dot_at(Level::Portable, &a, &b);
            prop_assert!((f64::from(portable) - naive).abs() < 1e-2);
            for level in Level::available() {
                prop_assert_eq!(dot_at(level, &a, &b).to_bits(), portable.to_bits());
            }
        }

        #[test]
        fn scaled_addition_is_element_by_element((a, b) in pair(), factor in -3.0_f32..3.0) {
            let naive: Vec<f32> = a.iter().zip(&b).map(|(a, b)| a + factor * b).collect();
            for level in Level::available() {
                let mut sum = a.clone();
                add_scaled_at(level, &mut sum, factor, &b);
                prop_assert_eq!(&sum, &naive);
            }
        }
    }

    #[test]
    fn the_empty_dot_is_zero() {
        assert_eq!(dot(&[], &[]).to_bits(), 0.0_f32.to_bits());
    }
}
