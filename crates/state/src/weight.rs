//! A decayed weight as an exact integer: the same whatever order it was added up in.
//!
//! With half-life `h`, an interaction at time `t` weighs `2^((t - now) / h)` at `now`. Only `2^(t / h)` depends on the
//! interaction: it is a power of two, `2^⌊t/h⌋`, times a number in [1, 2), kept to 16 binary places. Sums of such
//! numbers are sums of integers, and decay is not a multiplication that rounds but a matter of reading.

use std::f64::consts::{LN_2, SQRT_2};

use crate::half_life::{NEGLIGIBLE, factor};

/// Binary places of a weight: an interaction weighs 1, give or take eight millionths.
const PLACES: u32 = 16;
/// Half-lives between the newest interaction and the unit of the sum: what is older loses binary places, all of them
/// in the end.
pub(crate) const DEPTH_MAX: u8 = 8;
/// A sum grows no further: six bytes, room for 131 thousand interactions at least.
pub(crate) const UNITS_MAX: u64 = (1 << 42) - 1;

/// Sum of interactions, in units of `2^(top - depth - PLACES)`.
///
/// It is exact and so independent of order while all interactions lie within [`DEPTH_MAX`] half-lives. What is further
/// apart is cut off, by less than a unit each time; that too is independent of order where no interaction comes later
/// than a half-life after a newer one, since then the cut takes the same from the same sum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Weight<const HALF_LIFE_MS: i64> {
    pub(crate) units: u64,
    /// Half-lives from the epoch to the newest interaction.
    top: i64,
    pub(crate) depth: u8,
}

impl<const HALF_LIFE_MS: i64> Weight<HALF_LIFE_MS> {
    /// Of one interaction.
    pub(crate) fn one(time_ms: i64) -> Self {
        Self::of(1.0, time_ms)
    }

    /// What weighs `value` at `time_ms`, rounded.
    pub(crate) fn of(value: f64, time_ms: i64) -> Self {
        let growth = growth(time_ms.rem_euclid(HALF_LIFE_MS), HALF_LIFE_MS);
        let units = value * growth * f64::from(1_u32 << PLACES) + 0.5;
        #[expect(
            clippy::cast_sign_loss,
            reason = "a weight is not negative, and the cast saturates"
        )]
        let units = units as u64;
        Self { units: units.min(UNITS_MAX), top: time_ms.div_euclid(HALF_LIFE_MS), depth: 0 }
    }

    /// What was written of a weight whose newest interaction happened at `last_ms`.
    pub(crate) fn from_parts(units: u64, depth: u8, last_ms: i64) -> Self {
        Self { units, top: last_ms.div_euclid(HALF_LIFE_MS), depth }
    }

    pub(crate) fn add(&mut self, more: &Self) {
        let top = self.top.max(more.top);
        let base = self.base().min(more.base()).max(top - i64::from(DEPTH_MAX));
        self.units = UNITS_MAX.min(self.units_at(base).saturating_add(more.units_at(base)));
        self.top = top;
        self.depth = u8::try_from(top - base).unwrap_or(DEPTH_MAX);
    }

    fn base(&self) -> i64 {
        self.top - i64::from(self.depth)
    }

    /// The sum in units of another base, what is smaller than a unit cut off.
    fn units_at(&self, base: i64) -> u64 {
        let higher = base - self.base();
        let shift = u32::try_from(higher.unsigned_abs()).unwrap_or(u32::MAX);
        if higher >= 0 {
            self.units.checked_shr(shift).unwrap_or(0)
        } else if self.units.leading_zeros() >= shift {
            self.units << shift
        } else {
            u64::MAX
        }
    }

    /// Greater for the weight that is greater, now and at any other time.
    pub(crate) fn rank(&self) -> (i64, u64) {
        let empty = self.units.leading_zeros();
        match self.units.checked_shl(empty) {
            Some(mantissa) if mantissa > 0 => (self.base() - i64::from(empty), mantissa),
            Some(_) | None => (i64::MIN, 0),
        }
    }

    /// The weight, zero once negligible. `fade` stands at a moment not before the newest interaction.
    pub(crate) fn at(&self, fade: Fade<HALF_LIFE_MS>) -> f64 {
        let exponent = self.base() - fade.whole - i64::from(PLACES);
        let left = self.units as f64 * fade.part * power_of_two(exponent);
        if left < NEGLIGIBLE { 0.0 } else { left }
    }
}

/// A moment that weights are read at.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fade<const HALF_LIFE_MS: i64> {
    /// Half-lives from the epoch.
    whole: i64,
    /// What the rest of a half-life takes away.
    part: f64,
}

impl<const HALF_LIFE_MS: i64> Fade<HALF_LIFE_MS> {
    pub(crate) fn to(now_ms: i64) -> Self {
        let part = factor(now_ms.rem_euclid(HALF_LIFE_MS), HALF_LIFE_MS);
        Self { whole: now_ms.div_euclid(HALF_LIFE_MS), part }
    }
}

/// `2^(part / half_life)` for a part of one half-life, to a part in ten million: from the next sixteenth below by the
/// first terms of the series. Additions and multiplications alone, for the same bytes on every machine.
fn growth(part_ms: i64, half_life_ms: i64) -> f64 {
    let sixteenths = part_ms * 16 / half_life_ms;
    let rest_ms = part_ms * 16 - sixteenths * half_life_ms;
    let x = rest_ms as f64 / half_life_ms as f64 * (LN_2 / 16.0);
    let step = usize::try_from(sixteenths).ok().and_then(|at| SIXTEENTHS.get(at));
    step.copied().unwrap_or(1.0) * (1.0 + x * (1.0 + x * (0.5 + x * (1.0 / 6.0))))
}

/// `2^(n / 16)`.
const SIXTEENTHS: [f64; 16] = [
    1.0,
    1.044_273_782_427_413_8,
    1.090_507_732_665_257_7,
    1.138_788_634_756_691_6,
    1.189_207_115_002_721,
    1.241_857_812_073_484,
    1.296_839_554_651_009_6,
    1.354_255_546_936_892_7,
    SQRT_2,
    1.476_826_145_939_499_3,
    1.542_210_825_407_940_7,
    1.610_490_331_949_254_3,
    1.681_792_830_507_429,
    1.756_252_160_373_299_5,
    1.834_008_086_409_342_4,
    1.915_206_561_397_147_3,
];

/// `2^exponent`, 0 where it is too small for a normal number; exponents above 0 do not come up.
fn power_of_two(exponent: i64) -> f64 {
    let biased = u64::try_from(1_023 + exponent.min(1_023)).unwrap_or(0);
    f64::from_bits(biased << 52)
}

#[cfg(test)]
mod tests;
