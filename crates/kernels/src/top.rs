//! The k best of many scores.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

/// A score and where it stood.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Scored {
    pub index: u32,
    pub score: f32,
}

/// Ordered so that the worst is the greatest: the top of the heap is what goes next.
#[derive(PartialEq)]
struct Worst(Scored);

impl Eq for Worst {}

impl PartialOrd for Worst {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Worst {
    fn cmp(&self, other: &Self) -> Ordering {
        other.0.score.total_cmp(&self.0.score).then(self.0.index.cmp(&other.0.index))
    }
}

/// The `k` highest scores, best first; equal scores by lower index. What is not a number never enters; −∞ is no
/// candidate either.
#[must_use]
pub fn top_k(scores: &[f32], k: usize) -> Vec<Scored> {
    if k == 0 {
        return Vec::new();
    }
    let mut heap = BinaryHeap::with_capacity(k.min(scores.len()) + 1);
    let mut threshold = f32::NEG_INFINITY;
    for (index, score) in (0_u32..).zip(scores) {
        let score = score + 0.0; // −0 becomes 0, so that the two are a tie
        // Later indices lose ties, so only a higher score can displace.
        if score > threshold {
            heap.push(Worst(Scored { index, score }));
            if heap.len() > k {
                heap.pop();
            }
            if heap.len() == k {
                threshold = heap.peek().map_or(threshold, |worst| worst.0.score);
            }
        }
    }
    heap.into_sorted_vec().into_iter().map(|worst| worst.0).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn naive(scores: &[f32], k: usize) -> Vec<u32> {
        let mut order: Vec<u32> = (0..u32::try_from(scores.len()).expect("few"))
            .filter(|index| scores[*index as usize] > f32::NEG_INFINITY)
            .collect();
        order.sort_by(|a, b| scores[*b as usize].total_cmp(&scores[*a as usize]).then(a.cmp(b)));
        order.truncate(k);
        order
    }

    fn score() -> impl Strategy<Value = f32> {
        prop_oneof![
            8 => (-3_i8..3).prop_map(f32::from),
            1 => Just(f32::NEG_INFINITY),
            1 => Just(f32::NAN),
        ]
    }

    proptest! {
        #[test]
        fn it_is_the_sorted_beginning(
            scores in prop::collection::vec(score(), 0..60),
            k in 0_usize..20,
        ) {
            let best: Vec<u32> = top_k(&scores, k).iter().map(|scored| scored.index).collect();
            prop_assert_eq!(best, naive(&scores, k));
        }
    }
}
