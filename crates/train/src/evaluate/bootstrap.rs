//! Intervals by resampling clusters (users or sessions), drawing the same numbers as the reference scorer.

use std::collections::HashMap;

use super::score::{Measures, Scored, count};

const ROUNDS: usize = 400;
const SEED: u32 = 7;
/// Which of the sorted means bound 95 %: positions 400 × .025 and 400 × .975.
const BOUNDS: [usize; 2] = [10, 390];

/// One cluster: how many queries, and the sums of their measures.
struct Cluster {
    queries: usize,
    sums: Measures,
}

/// The 95 % interval of each measure's mean; `None` when nothing was scored.
pub(crate) fn interval(rows: &[&Scored<'_>]) -> Option<[[f64; 2]; 5]> {
    let clusters = clusters(rows);
    if clusters.is_empty() {
        return None;
    }
    let mut random = Twister::new(SEED);
    let mut means = Vec::with_capacity(ROUNDS);
    for _ in 0..ROUNDS {
        means.push(resampled(&clusters, &mut random));
    }
    Some(std::array::from_fn(|measure| {
        let mut sorted = means.iter().map(|mean: &Measures| mean[measure]).collect::<Vec<_>>();
        sorted.sort_unstable_by(f64::total_cmp);
        BOUNDS.map(|at| sorted[at])
    }))
}

fn resampled(clusters: &[Cluster], random: &mut Twister) -> Measures {
    let mut queries = 0;
    let mut sums = [0.0; 5];
    for _ in clusters {
        let drawn = &clusters[random.below(clusters.len())];
        queries += drawn.queries;
        for (sum, value) in sums.iter_mut().zip(drawn.sums) {
            *sum += value;
        }
    }
    sums.map(|sum| sum / count(queries))
}

/// Clusters in the order in which they first appear.
fn clusters(rows: &[&Scored<'_>]) -> Vec<Cluster> {
    let mut at = HashMap::new();
    let mut clusters = Vec::new();
    for row in rows {
        let index = *at.entry(row.query.cluster()).or_insert_with(|| {
            clusters.push(Cluster { queries: 0, sums: [0.0; 5] });
            clusters.len() - 1
        });
        let cluster: &mut Cluster = &mut clusters[index];
        cluster.queries += 1;
        for (sum, value) in cluster.sums.iter_mut().zip(row.measures) {
            *sum += value;
        }
    }
    clusters
}

const WORDS: usize = 624;
const SHIFT: usize = 397;

/// MT19937 (Matsumoto & Nishimura 1998), seeded by an array of one word.
pub(crate) struct Twister {
    state: [u32; WORDS],
    next: usize,
}

impl Twister {
    pub(crate) fn new(seed: u32) -> Self {
        let mut state = Self::linear(19_650_218);
        let mut at = 1;
        for _ in 0..WORDS {
            let mixed = mix(state[at - 1]).wrapping_mul(1_664_525);
            state[at] = (state[at] ^ mixed).wrapping_add(seed);
            at = advance(&mut state, at);
        }
        for _ in 0..WORDS - 1 {
            let mixed = mix(state[at - 1]).wrapping_mul(1_566_083_941);
            let index = u32::try_from(at).unwrap_or(0);
            state[at] = (state[at] ^ mixed).wrapping_sub(index);
            at = advance(&mut state, at);
        }
        state[0] = 0x8000_0000;
        Self { state, next: WORDS }
    }

    fn linear(seed: u32) -> [u32; WORDS] {
        let mut state = [seed; WORDS];
        for at in 1..WORDS {
            let index = u32::try_from(at).unwrap_or(0);
            state[at] = mix(state[at - 1]).wrapping_mul(1_812_433_253).wrapping_add(index);
        }
        state
    }

    fn turn(&mut self) {
        for at in 0..WORDS {
            let joined =
                (self.state[at] & 0x8000_0000) | (self.state[(at + 1) % WORDS] & 0x7fff_ffff);
            let odd = if joined & 1 == 1 { 0x9908_b0df } else { 0 };
            self.state[at] = self.state[(at + SHIFT) % WORDS] ^ (joined >> 1) ^ odd;
        }
        self.next = 0;
    }

    fn word(&mut self) -> u32 {
        if self.next == WORDS {
            self.turn();
        }
        let mut word = self.state[self.next];
        self.next += 1;
        word ^= word >> 11;
        word ^= (word << 7) & 0x9d2c_5680;
        word ^= (word << 15) & 0xefc6_0000;
        word ^ (word >> 18)
    }

    /// A number below `limit` (> 0): as many bits as `limit` has, again until it is below.
    pub(crate) fn below(&mut self, limit: usize) -> usize {
        let bits = usize::BITS - limit.leading_zeros();
        loop {
            let drawn = usize::try_from(self.word() >> (32 - bits.min(32))).unwrap_or(0);
            if drawn < limit {
                return drawn;
            }
        }
    }
}

fn mix(word: u32) -> u32 {
    word ^ (word >> 30)
}

/// The next place of the seeding walk; past the end it wraps, carrying the last word to the front.
fn advance(state: &mut [u32; WORDS], at: usize) -> usize {
    if at + 1 < WORDS {
        return at + 1;
    }
    state[0] = state[WORDS - 1];
    1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_are_those_of_the_reference_generator() {
        // python3 -c "import random; r = random.Random(7); print([r.randrange(1000) for _ in range(8)])"
        let mut random = Twister::new(7);
        let drawn = (0..8).map(|_| random.below(1000)).collect::<Vec<_>>();
        assert_eq!(drawn, EXPECTED);
    }

    #[test]
    fn nothing_scored_has_no_interval() {
        assert!(interval(&[]).is_none());
    }

    const EXPECTED: [usize; 8] = [331, 970, 154, 404, 666, 49, 74, 840];
}
