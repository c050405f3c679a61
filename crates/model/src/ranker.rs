//! The ranker: a wide part plus a small net over the columns of a slate.
//!
//! `score = w·x + MLP(x)` on z-scored columns. Training is in [`fit`]; what is here answers requests.

mod fit;
mod slates;
mod stored;

pub use fit::{RankerConfig, fit};
pub use slates::Slates;

use upnext_kernels::Dense;

/// Normalised columns stay within ± this many deviations.
const LIMIT: f32 = 5.0;

/// A trained ranker. A row's score does not depend on the rows scored with it.
#[derive(Clone, Debug, PartialEq)]
pub struct Ranker {
    means: Vec<f32>,
    deviations: Vec<f32>,
    wide: Dense,
    /// From the columns to the last hidden layer; rectified after each.
    hidden: Vec<Dense>,
    /// From the last hidden layer to the score.
    last: Dense,
}

impl Ranker {
    /// How many values a row has.
    #[must_use]
    pub fn columns(&self) -> usize {
        self.means.len()
    }

    /// A row near the column means, a different one for every number: for golden requests.
    pub(crate) fn probe(&self, number: usize) -> Vec<f32> {
        let columns = self.means.iter().zip(&self.deviations).enumerate();
        columns
            .map(|(column, (mean, deviation))| {
                let steps = (column * 5 + number * 3) % 7;
                mean + deviation * (steps as f32 / 2.0 - 1.5)
            })
            .collect()
    }

    /// Scores of the rows (row-major, `columns` values each), put into `out` in their order. Values that are not
    /// finite count as the column's mean.
    ///
    /// # Panics
    /// If `rows` is not a whole number of rows.
    pub fn score(&self, rows: &[f32], out: &mut Vec<f32>) {
        assert!(rows.len().is_multiple_of(self.columns()), "whole rows");
        let count = rows.len() / self.columns();
        let mut values = rows.to_vec();
        normalise(&mut values, &self.means, &self.deviations);
        out.clear();
        out.resize(count, 0.0);
        self.wide.apply(&values, out);
        for layer in &self.hidden {
            let mut next = vec![0.0; count * layer.outputs()];
            layer.apply(&values, &mut next);
            next.iter_mut().for_each(|x| *x = x.max(0.0));
            values = next;
        }
        let mut deep = vec![0.0; count];
        self.last.apply(&values, &mut deep);
        for (score, deep) in out.iter_mut().zip(deep) {
            *score += deep;
        }
    }
}

/// `(x − mean) / deviation`, kept within ±[`LIMIT`]; what is not finite becomes 0.
fn normalise(rows: &mut [f32], means: &[f32], deviations: &[f32]) {
    for row in rows.chunks_exact_mut(means.len()) {
        for ((x, mean), deviation) in row.iter_mut().zip(means).zip(deviations) {
            let z = (*x - mean) / deviation;
            *x = if x.is_finite() { z.clamp(-LIMIT, LIMIT) } else { 0.0 };
        }
    }
}

#[cfg(test)]
mod tests;
