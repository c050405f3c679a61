//! Cross-entropies over a catalogue and over slates.

use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor};
use upnext_kernels::{exp_in_place, softmax_in_place};

use super::{gradient, input, with_values};

/// A logit that is no candidate.
const NEVER: f32 = -1e9;

/// `−log softmax` of the target in each row of logits `[positions × candidates]`.
///
/// The current item is no candidate. `offsets` are added to all logits but the target's: −log of the chance to be
/// among the candidates when they are a sample (which makes the sum under the softmax an unbiased estimate), −1e9 for
/// what must not count as a negative.
pub(crate) struct CatalogueLoss {
    pub(crate) current: Vec<u32>,
    pub(crate) targets: Vec<u32>,
    pub(crate) offsets: Vec<f32>,
}

impl CatalogueLoss {
    /// The row as it enters the softmax.
    fn corrected(&self, position: usize, logits: &[f32], row: &mut Vec<f32>) {
        let target = self.targets[position] as usize;
        row.clear();
        row.extend(logits.iter().zip(&self.offsets).map(|(logit, offset)| logit + offset));
        row[self.current[position] as usize] = NEVER;
        row[target] = logits[target];
    }
}

impl CustomOp1 for CatalogueLoss {
    fn name(&self) -> &'static str {
        "catalogue-loss"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let (positions, candidates) = layout.shape().dims2()?;
        let logits = input(storage, layout)?;
        let mut row = Vec::with_capacity(candidates);
        let mut losses = Vec::with_capacity(positions);
        for (position, logits) in logits.chunks_exact(candidates).enumerate() {
            self.corrected(position, logits, &mut row);
            let target = row[self.targets[position] as usize];
            losses.push(log_sum_exp(&mut row) - target);
        }
        Ok((CpuStorage::F32(losses), positions.into()))
    }

    fn bwd(&self, arg: &Tensor, _result: &Tensor, grad: &Tensor) -> Result<Option<Tensor>> {
        let (_, candidates) = arg.dims2()?;
        let grad = grad.to_vec1::<f32>()?;
        let mut out = Vec::with_capacity(arg.elem_count());
        with_values(arg, |logits| {
            let mut row = Vec::with_capacity(candidates);
            for (position, logits) in logits.chunks_exact(candidates).enumerate() {
                self.corrected(position, logits, &mut row);
                softmax_in_place(&mut row);
                row[self.targets[position] as usize] -= 1.0;
                out.extend(row.iter().map(|share| share * grad[position]));
            }
        })?;
        gradient(out, arg.shape())
    }
}

/// `−Σ log softmax` over the targets of each slate, for scores of all slates one after the other.
pub(crate) struct SlateLoss {
    /// Where each slate ends.
    pub(crate) ends: Vec<usize>,
    /// Targets by their number within the slate.
    pub(crate) targets: Vec<Vec<u32>>,
}

impl SlateLoss {
    fn for_each(&self, mut visit: impl FnMut(std::ops::Range<usize>, &[u32])) {
        let mut start = 0;
        for (end, targets) in self.ends.iter().zip(&self.targets) {
            visit(start..*end, targets);
            start = *end;
        }
    }
}

impl CustomOp1 for SlateLoss {
    fn name(&self) -> &'static str {
        "slate-loss"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let scores = input(storage, layout)?;
        let mut losses = Vec::with_capacity(self.ends.len());
        self.for_each(|span, targets| {
            let scores = &scores[span];
            let taken: f32 = targets.iter().map(|target| scores[*target as usize]).sum();
            losses.push(targets.len() as f32 * log_sum_exp(&mut scores.to_vec()) - taken);
        });
        Ok((CpuStorage::F32(losses), self.ends.len().into()))
    }

    fn bwd(&self, arg: &Tensor, _result: &Tensor, grad: &Tensor) -> Result<Option<Tensor>> {
        let grad = grad.to_vec1::<f32>()?;
        let mut out = with_values(arg, <[f32]>::to_vec)?;
        let mut slate = 0;
        self.for_each(|span, targets| {
            let out = &mut out[span];
            softmax_in_place(out);
            out.iter_mut().for_each(|share| *share *= targets.len() as f32);
            targets.iter().for_each(|target| out[*target as usize] -= 1.0);
            out.iter_mut().for_each(|value| *value *= grad[slate]);
            slate += 1;
        });
        gradient(out, arg.shape())
    }
}

/// `ln Σ eˣ`; overwrites the values.
fn log_sum_exp(values: &mut [f32]) -> f32 {
    let highest = values.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    values.iter_mut().for_each(|value| *value -= highest);
    exp_in_place(values);
    highest + values.iter().sum::<f32>().ln()
}
