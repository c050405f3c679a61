//! Reproducible randomness for training: starting values, dropout masks, orders.

use rand::rngs::Xoshiro256PlusPlus;
use rand::{Rng, SeedableRng};

/// One stream of random numbers. The same seed gives the same stream on every machine.
pub(crate) struct Noise(Xoshiro256PlusPlus);

impl Noise {
    pub(crate) fn new(seed: u64) -> Self {
        Self(Xoshiro256PlusPlus::seed_from_u64(seed))
    }

    /// Uniform in [0, 1).
    pub(crate) fn unit(&mut self) -> f64 {
        (self.0.next_u64() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// Uniform in [0, bound); bound at least 1.
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        ((u128::from(self.0.next_u64()) * bound as u128) >> 64) as usize
    }

    /// Uniform in ±`limit`.
    pub(crate) fn uniform(&mut self, count: usize, limit: f64) -> Vec<f32> {
        (0..count).map(|_| ((self.unit() * 2.0 - 1.0) * limit) as f32).collect()
    }

    /// Normal with this deviation (Box and Muller).
    pub(crate) fn normal(&mut self, count: usize, deviation: f64) -> Vec<f32> {
        let mut draw = || {
            let radius = (-2.0 * (1.0 - self.unit()).ln()).sqrt();
            (radius * (2.0 * std::f64::consts::PI * self.unit()).cos() * deviation) as f32
        };
        (0..count).map(|_| draw()).collect()
    }

    /// `kept` with chance 1 − `share`, else 0; the share is rounded to 1/65,536.
    pub(crate) fn mask(&mut self, count: usize, share: f64, kept: f32) -> Vec<f32> {
        let threshold = (share * 65_536.0) as i64;
        let mut mask = Vec::with_capacity(count + 3);
        while mask.len() < count {
            let bits = self.0.next_u64();
            let parts = [bits, bits >> 16, bits >> 32, bits >> 48];
            let drops = |part: u64| (part & 0xffff).cast_signed() < threshold;
            mask.extend(parts.map(|part| if drops(part) { 0.0 } else { kept }));
        }
        mask.truncate(count);
        mask
    }

    /// A mask for dropout: what is kept is scaled up so that the mean stays.
    pub(crate) fn dropout(&mut self, count: usize, share: f64) -> Vec<f32> {
        self.mask(count, share, (1.0 / (1.0 - share)) as f32)
    }

    pub(crate) fn shuffle<T>(&mut self, values: &mut [T]) {
        for end in (1..values.len()).rev() {
            values.swap(end, self.below(end + 1));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_repeats_and_another_differs() {
        let draw = |seed| Noise::new(seed).normal(8, 1.0);
        assert_eq!(draw(1), draw(1));
        assert_ne!(draw(1), draw(2));
    }

    #[test]
    fn the_moments_are_as_said() {
        let mut noise = Noise::new(3);
        let values = noise.normal(40_000, 2.0);
        let mean = values.iter().sum::<f32>() / 40_000.0;
        let variance = values.iter().map(|x| x * x).sum::<f32>() / 40_000.0;
        assert!(mean.abs() < 0.05 && (variance - 4.0).abs() < 0.15, "{mean} {variance}");
        let mask = noise.dropout(40_001, 0.3);
        let kept = mask.iter().sum::<f32>() / 40_001.0;
        assert!((kept - 1.0).abs() < 0.02 && mask.len() == 40_001, "{kept}");
        let uniform = noise.uniform(1_000, 0.5);
        assert!(uniform.iter().all(|x| x.abs() <= 0.5));
    }

    #[test]
    fn shuffling_keeps_everything() {
        let mut values: Vec<u32> = (0..100).collect();
        Noise::new(1).shuffle(&mut values);
        assert!(!values.is_sorted());
        values.sort_unstable();
        assert_eq!(values, (0..100).collect::<Vec<u32>>());
    }
}
