//! Exponential decay by half-lives, the same to the bit on every machine.

use std::f64::consts::LN_2;

pub const HOUR_MS: i64 = 3_600_000;
pub const DAY_MS: i64 = 24 * HOUR_MS;

/// Below this a decayed value is nothing: it is set to zero, so that idle state does not linger as denormals.
pub const NEGLIGIBLE: f64 = 1e-12;

/// Terms of the series; the 18th is below 1e-18 for every argument in [0, ln 2).
const TERMS: usize = 17;

const RECIPROCALS: [f64; TERMS + 1] = {
    let mut table = [1.0; TERMS + 1];
    let mut n = 1;
    while n <= TERMS {
        table[n] = 1.0 / n as f64;
        n += 1;
    }
    table
};

/// `2^(-elapsed / half_life)`; 1 where no time or negative time has gone.
///
/// Made of additions and multiplications alone (no `exp` of the platform's libm), so that state computed on
/// two machines has the same bytes.
#[must_use]
pub fn factor(elapsed_ms: i64, half_life_ms: i64) -> f64 {
    debug_assert!(half_life_ms > 0);
    if elapsed_ms <= 0 {
        return 1.0;
    }
    let whole = elapsed_ms / half_life_ms;
    if whole > 1_000 {
        return 0.0;
    }
    let x = (elapsed_ms % half_life_ms) as f64 / half_life_ms as f64 * LN_2;
    let mut sum = 1.0;
    for n in (1..=TERMS).rev() {
        sum = 1.0 - x * RECIPROCALS[n] * sum;
    }
    let exponent = u64::try_from(1_023 - whole).unwrap_or(0);
    sum * f64::from_bits(exponent << 52)
}

/// `value` after `elapsed_ms`, zero once negligible.
#[must_use]
pub fn decay(value: f64, elapsed_ms: i64, half_life_ms: i64) -> f64 {
    scaled(value, factor(elapsed_ms, half_life_ms))
}

/// `value · factor`, zero once negligible.
#[must_use]
pub(crate) fn scaled(value: f64, factor: f64) -> f64 {
    let left = value * factor;
    if left < NEGLIGIBLE { 0.0 } else { left }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_half_lives_are_exact() {
        for (elapsed_ms, expected) in [(-5, 1.0), (0, 1.0), (HOUR_MS, 0.5), (3 * HOUR_MS, 0.125)] {
            assert_eq!(factor(elapsed_ms, HOUR_MS).to_bits(), f64::to_bits(expected));
        }
        assert_eq!(factor(2_000 * HOUR_MS, HOUR_MS).to_bits(), 0);
    }

    #[test]
    fn it_agrees_with_the_library_function() {
        for elapsed_ms in (1..40 * DAY_MS).step_by(7_654_321) {
            for half_life_ms in [HOUR_MS, DAY_MS, 7 * DAY_MS, 60 * DAY_MS] {
                let expected = (-(elapsed_ms as f64) / half_life_ms as f64).exp2();
                let found = factor(elapsed_ms, half_life_ms);
                assert!((found / expected - 1.0).abs() < 1e-12, "{found} {expected}");
            }
        }
    }

    #[test]
    fn negligible_values_become_nothing() {
        assert_eq!(decay(1.0, 60 * HOUR_MS, HOUR_MS).to_bits(), 0);
        assert!(decay(1.0, 30 * HOUR_MS, HOUR_MS) > 0.0);
    }
}
