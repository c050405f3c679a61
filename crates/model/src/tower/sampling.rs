//! Which items a training step looks at, and the correction for the others.

use super::batches::Batch;
use crate::noise::Noise;

/// Added to the logit of what must not count as a negative.
const NEVER: f32 = -1e9;
const NOT_HERE: u32 = u32::MAX;

/// How often each item stands in the training sessions, and which can be drawn.
pub(super) struct Catalogue {
    /// Share of all events, by item; zero for items without events.
    shares: Vec<f64>,
    /// Items with events.
    seen: Vec<u32>,
    /// Running sums of the chances of `seen` to be drawn.
    drawn_before: Vec<f64>,
    /// Place of each item in the step at hand.
    local: Vec<u32>,
    is_full: bool,
    samples: usize,
}

/// The items of one step: local rows 0… stand for `rows`.
pub(super) struct Step {
    pub(super) rows: Vec<u32>,
    /// Added to the logits of the rows.
    pub(super) offsets: Vec<f32>,
    /// The batch by local rows.
    pub(super) input: Vec<u32>,
    pub(super) current: Vec<u32>,
    pub(super) targets: Vec<u32>,
}

impl Catalogue {
    /// Catalogues of up to `full_max` items are looked at whole; of larger ones, `samples` items besides the batch.
    pub(super) fn new(counts: &[u64], full_max: usize, samples: usize) -> Self {
        let total = counts.iter().sum::<u64>().max(1) as f64;
        let seen: Vec<u32> =
            (0_u32..).zip(counts).filter(|(_, count)| **count > 0).map(|(item, _)| item).collect();
        let shares: Vec<f64> = counts.iter().map(|count| *count as f64 / total).collect();
        let mut sum = 0.0;
        let drawn_before = seen
            .iter()
            .map(|item| {
                sum += chance(shares[*item as usize], seen.len());
                sum
            })
            .collect();
        let is_full = counts.len() <= full_max;
        Self { shares, seen, drawn_before, local: vec![NOT_HERE; counts.len()], is_full, samples }
    }

    pub(super) fn is_seen(&self, item: usize) -> bool {
        self.shares[item] > 0.0
    }

    pub(super) fn seen(&self) -> &[u32] {
        &self.seen
    }

    pub(super) fn step(&mut self, batch: &Batch, noise: &mut Noise) -> Step {
        if self.is_full { self.whole(batch) } else { self.sampled(batch, noise) }
    }

    fn whole(&self, batch: &Batch) -> Step {
        let offsets =
            self.shares.iter().map(|share| if *share > 0.0 { 0.0 } else { NEVER }).collect();
        Step {
            rows: (0_u32..).take(self.shares.len()).collect(),
            offsets,
            input: batch.input.clone(),
            current: batch.positions.iter().map(|place| batch.input[*place as usize]).collect(),
            targets: batch.targets.clone(),
        }
    }

    /// Items of the batch and drawn ones. The chance of an item to be among them, over batches and draws, is
    /// `1 − (1 − share)^events · (1 − chance)^samples`; minus its log is the item's offset.
    fn sampled(&mut self, batch: &Batch, noise: &mut Noise) -> Step {
        let mut rows = Vec::new();
        let mut add = |item: u32, local: &mut Vec<u32>| {
            if local[item as usize] == NOT_HERE {
                local[item as usize] = rows.len() as u32;
                rows.push(item);
            }
        };
        batch.input.iter().chain(&batch.targets).for_each(|item| add(*item, &mut self.local));
        for _ in 0..self.samples {
            let item = self.draw(noise);
            add(item, &mut self.local);
        }
        let events = batch.targets.len() as f64;
        let offsets = rows.iter().map(|item| {
            let share = self.shares[*item as usize];
            let drawn = chance(share, self.seen.len());
            let absent = (1.0 - share).powf(events) * (1.0 - drawn).powf(self.samples as f64);
            -(1.0 - absent).ln() as f32
        });
        let offsets = offsets.collect();
        let here = |item: &u32| self.local[*item as usize];
        let input: Vec<u32> = batch.input.iter().map(here).collect();
        let step = Step {
            offsets,
            current: batch.positions.iter().map(|place| input[*place as usize]).collect(),
            targets: batch.targets.iter().map(here).collect(),
            input,
            rows,
        };
        step.rows.iter().for_each(|item| self.local[*item as usize] = NOT_HERE);
        step
    }

    fn draw(&self, noise: &mut Noise) -> u32 {
        let point = noise.unit();
        let place = self.drawn_before.partition_point(|sum| *sum <= point);
        self.seen[place.min(self.seen.len() - 1)]
    }
}

/// Chance of a seen item in one draw: half by its share of the events, half the same for all.
fn chance(share: f64, seen: usize) -> f64 {
    0.5 * share + 0.5 / seen as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch() -> Batch {
        Batch::of(&[vec![3, 1, 3], vec![0, 1]], &[0, 1])
    }

    #[test]
    fn a_small_catalogue_is_looked_at_whole_and_unborn_items_are_no_negatives() {
        let mut catalogue = Catalogue::new(&[5, 3, 0, 2], 10, 2);
        let step = catalogue.step(&batch(), &mut Noise::new(1));
        assert_eq!(step.rows, [0, 1, 2, 3]);
        assert_eq!(step.offsets, [0.0, 0.0, NEVER, 0.0]);
        assert_eq!(step.current, [3, 1, 0]);
        assert_eq!(step.targets, [1, 3, 1]);
        assert!(!catalogue.is_seen(2) && catalogue.seen() == [0, 1, 3]);
    }

    #[test]
    fn a_sample_holds_the_batch_once_and_nothing_unborn() {
        let counts: Vec<u64> =
            (0..1_000).map(|item| u64::from(item % 2 == 1 || item == 0)).collect();
        let mut catalogue = Catalogue::new(&counts, 10, 50);
        let mut noise = Noise::new(1);
        for _ in 0..3 {
            let step = catalogue.step(&batch(), &mut noise);
            assert!((40..=53).contains(&step.rows.len()), "{}", step.rows.len());
            assert!(step.rows.iter().all(|item| catalogue.is_seen(*item as usize)));
            let mut unique = step.rows.clone();
            unique.sort_unstable();
            unique.dedup();
            assert_eq!(unique.len(), step.rows.len());
            let targets: Vec<u32> =
                step.targets.iter().map(|row| step.rows[*row as usize]).collect();
            assert_eq!(targets, batch().targets);
        }
    }

    #[test]
    fn offsets_make_the_sampled_sum_unbiased() {
        // Uniform events: the weighted number of sampled items must come out at the number of all.
        let counts = vec![1_u64; 2_000];
        let mut catalogue = Catalogue::new(&counts, 10, 300);
        let mut noise = Noise::new(2);
        let mut sum = 0.0;
        for _ in 0..200 {
            let items: Vec<u32> = (0..101).map(|_| noise.below(2_000) as u32).collect();
            let batch =
                Batch { length: 1, input: Vec::new(), positions: Vec::new(), targets: items };
            let step = catalogue.step(&batch, &mut noise);
            sum += step.offsets.iter().map(|offset| f64::from(offset.exp())).sum::<f64>();
        }
        assert!((sum / 200.0 / 2_000.0 - 1.0).abs() < 0.02, "{}", sum / 200.0);
    }
}
