//! A seeded source of numbers: the same seed gives the same run, as far as what is planned and sent.

use std::ops::Range;
use std::time::Duration;

#[derive(Clone, Debug)]
pub(crate) struct Die(u64);

impl Die {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// A number below `bound`, which is not zero.
    pub(crate) fn roll(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % bound
    }

    /// Whether this is the one time in `count`.
    pub(crate) fn one_in(&mut self, count: u64) -> bool {
        self.roll(count) == 0
    }

    /// Milliseconds of that range, as a duration.
    pub(crate) fn wait(&mut self, millis: Range<u64>) -> Duration {
        Duration::from_millis(millis.start + self.roll(millis.end - millis.start))
    }

    pub(crate) fn shuffle<T>(&mut self, values: &mut [T]) {
        for at in (1..values.len()).rev() {
            let other = self.roll(at as u64 + 1) as usize;
            values.swap(at, other);
        }
    }
}
