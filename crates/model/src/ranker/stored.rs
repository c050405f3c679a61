//! A ranker as named tensors, and back.

use upnext_kernels::Dense;

use super::Ranker;
use crate::tensors::{NamedTensors, TensorError};

impl Ranker {
    pub(crate) fn to_tensors(&self) -> NamedTensors {
        let mut tensors = NamedTensors::default();
        tensors.put("means", &[self.columns()], &self.means);
        tensors.put("deviations", &[self.columns()], &self.deviations);
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
        if deviations.values.iter().any(|deviation| *deviation <= 0.0 || deviation.is_nan()) {
            let name = "deviations".to_owned();
            return Err(TensorError::Misfit { name, actual: deviations.shape });
        }
        let mut hidden: Vec<Dense> = Vec::new();
        for number in 0.. {
            let name = format!("hidden{number}");
            let Some(outputs) = tensors.width(&format!("{name}.bias")) else { break };
            let inputs = hidden.last().map_or(columns, Dense::outputs);
            hidden.push(tensors.take_dense(&name, inputs, outputs)?);
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
