//! What the ranker learns from: slates of rows with their targets.

use crate::error::ModelError;

/// Slates one after the other, row-major.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Slates {
    pub columns: usize,
    pub rows: Vec<f32>,
    /// First row of each slate.
    pub starts: Vec<usize>,
    /// What was taken, as row numbers within each slate; a slate without targets teaches nothing.
    pub targets: Vec<Vec<u32>>,
}

impl Slates {
    #[must_use]
    pub fn new(columns: usize) -> Self {
        Self { columns, ..Self::default() }
    }

    /// Adds a slate: whole rows, and which of them were taken.
    pub fn push(&mut self, rows: &[f32], targets: Vec<u32>) {
        self.starts.push(self.row_count());
        self.rows.extend_from_slice(rows);
        self.targets.push(targets);
    }

    #[must_use]
    pub fn len(&self) -> usize {
        self.starts.len()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.starts.is_empty()
    }

    #[must_use]
    pub fn row_count(&self) -> usize {
        self.rows.len().checked_div(self.columns).unwrap_or(0)
    }

    /// The rows of one slate, as row numbers.
    pub(super) fn span(&self, slate: usize) -> std::ops::Range<usize> {
        self.starts[slate]..self.starts.get(slate + 1).copied().unwrap_or(self.row_count())
    }

    /// The values of one slate, row-major.
    pub(super) fn values(&self, slate: usize) -> &[f32] {
        let span = self.span(slate);
        &self.rows[span.start * self.columns..span.end * self.columns]
    }

    /// Slates that teach something, once it is certain that all is consistent.
    pub(super) fn with_targets(&self) -> Result<Vec<usize>, ModelError> {
        let shape = |what, actual, expected: String| ModelError::Shape { what, actual, expected };
        if self.columns == 0 || !self.rows.len().is_multiple_of(self.columns) {
            let expected = format!("whole rows of {} columns", self.columns);
            return Err(shape("the number of values", self.rows.len(), expected));
        }
        if self.targets.len() != self.len() {
            return Err(shape(
                "the number of target lists",
                self.targets.len(),
                self.len().to_string(),
            ));
        }
        if !self.starts.is_sorted()
            || self.starts.last().is_some_and(|last| *last > self.row_count())
        {
            return Err(shape("a slate's first row", self.row_count(), "ascending".to_owned()));
        }
        for (slate, targets) in self.targets.iter().enumerate() {
            let length = self.span(slate).len();
            if let Some(target) = targets.iter().find(|target| **target as usize >= length) {
                return Err(shape("a target", *target as usize, format!("below {length}")));
            }
        }
        Ok((0..self.len())
            .filter(|slate| !self.targets[*slate].is_empty() && self.span(*slate).len() > 1)
            .collect())
    }
}
