//! The directed co-visitation list of one item: the strongest 64 and the exact total.

use upnext_common::item::ItemHash;

use crate::half_life::{DAY_MS, factor, scaled};
use crate::signal::Direction;

/// Most pairs kept per item.
pub const PAIRS_MAX: usize = 64;
pub const PAIR_HALF_LIFE_MS: i64 = 60 * DAY_MS;
/// How many items back an arriving item forms pairs with.
pub const PAIR_DISTANCE_MAX: usize = 5;
/// Share of a forward pair's weight that the opposite direction gets.
pub const BACKWARD_SHARE: f64 = 0.1;

/// `k^-1.5` for distances 1..=5, as literals so that no `pow` of the platform decides their last bit.
const BY_DISTANCE: [f64; PAIR_DISTANCE_MAX] =
    [1.0, 0.353_553_390_593_273_8, 0.192_450_089_729_875_26, 0.125, 0.089_442_719_099_991_59];

/// Weight of a pair at its moment; a distance outside 1..=5 weighs nothing.
#[must_use]
pub fn weight(distance: u8, direction: Direction) -> f64 {
    let at = usize::from(distance).checked_sub(1);
    let forward = at.and_then(|at| BY_DISTANCE.get(at)).copied().unwrap_or(0.0);
    match direction {
        Direction::Forward => forward,
        Direction::Backward => forward * BACKWARD_SHARE,
    }
}

/// How strongly the list's item leads to another.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pair {
    pub other: ItemHash,
    /// At the moment the state was last moved on to.
    pub weight: f64,
}

/// The list. A newcomer replaces the weakest, whose mass stays in the total: inheriting its count instead
/// would be worse by .03 of recall.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Pairs {
    pub(crate) kept: Vec<Pair>,
    pub(crate) total: f64,
    /// Most pairs kept: [`PAIRS_MAX`], but where it is measured what that bound loses.
    max: usize,
}

impl Default for Pairs {
    fn default() -> Self {
        Self::with_max(PAIRS_MAX)
    }
}

impl Pairs {
    pub(crate) fn with_max(max: usize) -> Self {
        Self { kept: Vec::new(), total: 0.0, max }
    }

    pub(crate) fn from_parts(kept: Vec<Pair>, total: f64) -> Self {
        Self { kept, total, max: PAIRS_MAX }
    }

    pub(crate) fn age(&mut self, elapsed_ms: i64) {
        let factor = factor(elapsed_ms, PAIR_HALF_LIFE_MS);
        self.total = scaled(self.total, factor);
        for pair in &mut self.kept {
            pair.weight = scaled(pair.weight, factor);
        }
    }

    pub(crate) fn add(&mut self, other: ItemHash, weight: f64) {
        self.total += weight;
        if let Some(known) = self.kept.iter_mut().find(|pair| pair.other == other) {
            known.weight += weight;
        } else if self.kept.len() < self.max {
            self.kept.push(Pair { other, weight });
        } else if let Some(weakest) = self.weakest() {
            self.kept[weakest] = Pair { other, weight };
        }
    }

    fn weakest(&self) -> Option<usize> {
        let order = |a: &Pair, b: &Pair| a.weight.total_cmp(&b.weight).then(b.other.cmp(&a.other));
        let ranked = self.kept.iter().enumerate();
        ranked.min_by(|a, b| order(a.1, b.1)).map(|(at, _)| at)
    }
}

#[cfg(test)]
mod tests;
