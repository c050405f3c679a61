//! Tensor operations of our own, where the backend's would allocate too much or are slow on a processor.
//!
//! Each is a forward pass and its exact derivative; the tests compare both with the backend's own operations.

mod bias;
mod loss;
mod rows;

pub(crate) use bias::Bias;
pub(crate) use loss::{CatalogueLoss, SlateLoss};
pub(crate) use rows::{RowMeans, Shifts};

use candle_core::{CpuStorage, CustomOp1, Device, Layout, Result, Shape, Storage, Tensor, bail};

/// The values an operation is applied to, which must be f32 and contiguous.
fn input<'a>(storage: &'a CpuStorage, layout: &Layout) -> Result<&'a [f32]> {
    let Some((start, end)) = layout.contiguous_offsets() else { bail!("not contiguous") };
    Ok(&storage.as_slice::<f32>()?[start..end])
}

/// Runs `compute` over the values of a tensor without copying them, unless they are strided.
fn with_values<T>(tensor: &Tensor, compute: impl FnOnce(&[f32]) -> T) -> Result<T> {
    let tensor = tensor.contiguous()?;
    let (storage, layout) = tensor.storage_and_layout();
    let Storage::Cpu(storage) = &*storage else { bail!("not on the processor") };
    Ok(compute(input(storage, layout)?))
}

/// A gradient of this shape.
fn gradient(values: Vec<f32>, shape: &Shape) -> Result<Option<Tensor>> {
    Tensor::from_vec(values, shape, &Device::Cpu).map(Some)
}

/// Multiplies element by element with constants: dropout.
pub(crate) struct Masked(pub(crate) Vec<f32>);

impl CustomOp1 for Masked {
    fn name(&self) -> &'static str {
        "masked"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let values = input(storage, layout)?;
        let out = values.iter().zip(&self.0).map(|(x, mask)| x * mask).collect();
        Ok((CpuStorage::F32(out), layout.shape().clone()))
    }

    fn bwd(&self, arg: &Tensor, _result: &Tensor, grad: &Tensor) -> Result<Option<Tensor>> {
        let values =
            with_values(grad, |grad| grad.iter().zip(&self.0).map(|(g, mask)| g * mask).collect())?;
        gradient(values, arg.shape())
    }
}

/// gelu in its tanh form, by the kernel that also serves.
pub(crate) struct Gelu;

impl CustomOp1 for Gelu {
    fn name(&self) -> &'static str {
        "gelu"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let mut values = input(storage, layout)?.to_vec();
        upnext_kernels::gelu(&mut values);
        Ok((CpuStorage::F32(values), layout.shape().clone()))
    }

    fn bwd(&self, arg: &Tensor, _result: &Tensor, grad: &Tensor) -> Result<Option<Tensor>> {
        let mut values = with_values(arg, <[f32]>::to_vec)?;
        upnext_kernels::gelu_slope(&mut values);
        with_values(grad, |grad| {
            for (slope, grad) in values.iter_mut().zip(grad) {
                *slope *= grad;
            }
        })?;
        gradient(values, arg.shape())
    }
}

#[cfg(test)]
mod tests;
