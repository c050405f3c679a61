//! Adding a row to every row, and cutting off what is negative.

use candle_core::{CpuStorage, CustomOp2, Layout, Result, Shape, Tensor};

use super::{gradient, input, with_values};

/// `x + b`, or `max(x + b, 0)` if it rectifies, for `x` `[rows × columns]` and `b` with one value per column.
pub(crate) struct Bias {
    pub(crate) rectifies: bool,
}

impl CustomOp2 for Bias {
    fn name(&self) -> &'static str {
        "bias"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        x_layout: &Layout,
        bias: &CpuStorage,
        bias_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (x, bias) = (input(x, x_layout)?, input(bias, bias_layout)?);
        let lowest = if self.rectifies { 0.0 } else { f32::NEG_INFINITY };
        let mut out = Vec::with_capacity(x.len());
        for row in x.chunks_exact(bias.len().max(1)) {
            out.extend(row.iter().zip(bias).map(|(x, bias)| (x + bias).max(lowest)));
        }
        Ok((CpuStorage::F32(out), x_layout.shape().clone()))
    }

    fn bwd(
        &self,
        x: &Tensor,
        bias: &Tensor,
        result: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let mut grads = with_values(grad, <[f32]>::to_vec)?;
        if self.rectifies {
            with_values(result, |result| {
                for (grad, result) in grads.iter_mut().zip(result) {
                    *grad = if *result > 0.0 { *grad } else { 0.0 };
                }
            })?;
        }
        let mut sums = vec![0.0; bias.elem_count()];
        for row in grads.chunks_exact(sums.len().max(1)) {
            sums.iter_mut().zip(row).for_each(|(sum, grad)| *sum += grad);
        }
        Ok((gradient(grads, x.shape())?, gradient(sums, bias.shape())?))
    }
}
