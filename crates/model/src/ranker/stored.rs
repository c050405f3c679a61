//! A ranker as named tensors, and back.

use upnext_kernels::Dense;

use super::Ranker;
use crate::tensors::{NamedTensors, TensorError};

impl Ranker {
    pub(crate) fn to_tensors(&self) -> NamedTensors {
        let mut tensors = NamedTensors::default();
        tensors.put("means", &[self.columns()], &self.means);
        tensors.put("deviations", &[self.columns()], &self.deviations);
        let widths: Vec<f32> = self.hidden.iter().map(|layer| layer.outputs() as f32).collect();
        tensors.put("widths", &[widths.len()], &widths);
        tensors.put_dense("wide", &self.wide);
        for (number, layer) in self.hidden.iter().enumerate() {
            tensors.put_dense(&format!("hidden{number}"), layer);
        }
        tensors.put_dense("last", &self.last);
        tensors
    }

    pub(crate) fn from_tensors(mut tensors: NamedTensors) -> Result<Self, TensorError> {
        let means = tensors.take("means", |shape| shape.len() == 1 && shape[0] > 0)?;
        let columns = means.values.len();
        let deviations = tensors.take("deviations", |shape| *shape == [columns])?;
        if deviations.values.iter().any(|deviation| !(*deviation > 0.0)) {
            let name = "deviations".to_owned();
            return Err(TensorError::Misfit { name, actual: deviations.shape });
        }
        let widths = tensors.take("widths", |shape| shape.len() == 1)?;
        let mut hidden: Vec<Dense> = Vec::with_capacity(widths.values.len());
        for (number, width) in widths.values.iter().enumerate() {
            let inputs = hidden.last().map_or(columns, Dense::outputs);
            let name = format!("hidden{number}");
            // Stored as f32 like everything else; a cast of what is no whole number fails the shape check.
            hidden.push(tensors.take_dense(&name, inputs, *width as usize)?);
        }
        let last_inputs = hidden.last().map_or(columns, Dense::outputs);
        Ok(Self {
            means: means.values,
            deviations: deviations.values,
            wide: tensors.take_dense("wide", columns, 1)?,
            hidden,
            last: tensors.take_dense("last", last_inputs, 1)?,
        })
    }
}
