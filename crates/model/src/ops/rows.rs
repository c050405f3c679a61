//! Means of table rows, and sums of shifted rows.

use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor};
use upnext_kernels::add_scaled;

use super::{gradient, input, with_values};

/// An embedding bag: each bag's result is the mean of its rows of a table `[rows × dim]`; zero for an empty bag.
///
/// The gradient is one table, whatever the number of lookups.
pub(crate) struct RowMeans {
    /// Rows of all bags, one after the other.
    rows: Vec<u32>,
    /// Where each bag ends in `rows`.
    ends: Vec<usize>,
}

impl RowMeans {
    /// One row in every bag: a lookup.
    pub(crate) fn single(rows: Vec<u32>) -> Self {
        let ends = (1..=rows.len()).collect();
        Self { rows, ends }
    }

    pub(crate) fn bags<'a>(bags: impl Iterator<Item = &'a [u32]>) -> Self {
        let (mut rows, mut ends) = (Vec::new(), Vec::new());
        for bag in bags {
            rows.extend_from_slice(bag);
            ends.push(rows.len());
        }
        Self { rows, ends }
    }

    /// Calls `visit(bag, row, weight)` for every row of every bag.
    fn for_each(&self, mut visit: impl FnMut(usize, usize, f32)) {
        let mut start = 0;
        for (bag, end) in self.ends.iter().enumerate() {
            let rows = &self.rows[start..*end];
            let weight = 1.0 / rows.len().max(1) as f32;
            rows.iter().for_each(|row| visit(bag, *row as usize, weight));
            start = *end;
        }
    }
}

impl CustomOp1 for RowMeans {
    fn name(&self) -> &'static str {
        "row-means"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let (_, dim) = layout.shape().dims2()?;
        let table = input(storage, layout)?;
        let mut out = vec![0.0; self.ends.len() * dim];
        self.for_each(|bag, row, weight| {
            add_scaled(&mut out[bag * dim..][..dim], weight, &table[row * dim..][..dim]);
        });
        Ok((CpuStorage::F32(out), (self.ends.len(), dim).into()))
    }

    fn bwd(&self, arg: &Tensor, _result: &Tensor, grad: &Tensor) -> Result<Option<Tensor>> {
        let (_, dim) = arg.dims2()?;
        let mut out = vec![0.0; arg.elem_count()];
        with_values(grad, |grad| {
            self.for_each(|bag, row, weight| {
                add_scaled(&mut out[row * dim..][..dim], weight, &grad[bag * dim..][..dim]);
            });
        })?;
        gradient(out, arg.shape())
    }
}

/// Sums over the past: of `[sequences · length, taps · dim]` the part of tap k moves k places towards the newer end
/// of its sequence, then all parts are added to `[sequences · length, dim]`.
pub(crate) struct Shifts {
    pub(crate) length: usize,
    pub(crate) dim: usize,
}

impl Shifts {
    /// Calls `visit(from, to)` with the offsets of every part that has a place to go.
    fn for_each(&self, rows: usize, width: usize, mut visit: impl FnMut(usize, usize)) {
        let taps = width / self.dim;
        for row in 0..rows {
            let left = self.length - row % self.length;
            for tap in 0..taps.min(left) {
                visit(row * width + tap * self.dim, (row + tap) * self.dim);
            }
        }
    }
}

impl CustomOp1 for Shifts {
    fn name(&self) -> &'static str {
        "shifts"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let (rows, width) = layout.shape().dims2()?;
        let parts = input(storage, layout)?;
        let mut out = vec![0.0; rows * self.dim];
        self.for_each(rows, width, |from, to| {
            add_scaled(&mut out[to..to + self.dim], 1.0, &parts[from..from + self.dim]);
        });
        Ok((CpuStorage::F32(out), (rows, self.dim).into()))
    }

    fn bwd(&self, arg: &Tensor, _result: &Tensor, grad: &Tensor) -> Result<Option<Tensor>> {
        let (rows, width) = arg.dims2()?;
        let mut out = vec![0.0; rows * width];
        with_values(grad, |grad| {
            self.for_each(rows, width, |from, to| {
                out[from..from + self.dim].copy_from_slice(&grad[to..to + self.dim]);
            });
        })?;
        gradient(out, arg.shape())
    }
}
