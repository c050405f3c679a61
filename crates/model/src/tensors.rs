//! A model as named f32 tensors, and back.

use std::collections::BTreeMap;

use upnext_kernels::Dense;

/// Named f32 tensors do not make this model.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TensorError {
    #[error("tensor {0} is missing")]
    Missing(String),
    #[error("tensor {name} has shape {actual:?}, which does not fit")]
    Misfit { name: String, actual: Vec<usize> },
}

/// A tensor's shape and its values, row-major.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Named {
    pub(crate) shape: Vec<usize>,
    pub(crate) values: Vec<f32>,
}

/// Tensors by name, taken out one by one.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct NamedTensors(pub(crate) BTreeMap<String, Named>);

impl NamedTensors {
    pub(crate) fn put(&mut self, name: &str, shape: &[usize], values: &[f32]) {
        debug_assert_eq!(shape.iter().product::<usize>(), values.len());
        let named = Named { shape: shape.to_vec(), values: values.to_vec() };
        self.0.insert(name.to_owned(), named);
    }

    pub(crate) fn put_dense(&mut self, name: &str, layer: &Dense) {
        let shape = [layer.inputs(), layer.outputs()];
        self.put(&format!("{name}.weight"), &shape, layer.weights());
        self.put(&format!("{name}.bias"), &[layer.outputs()], layer.bias());
    }

    /// The last dimension of a tensor, if there is such a tensor.
    pub(crate) fn width(&self, name: &str) -> Option<usize> {
        self.0.get(name).and_then(|named| named.shape.last().copied())
    }

    /// Removes a tensor whose shape satisfies `fits`.
    pub(crate) fn take(
        &mut self,
        name: &str,
        fits: impl Fn(&[usize]) -> bool,
    ) -> Result<Named, TensorError> {
        let named = self.0.remove(name).ok_or_else(|| TensorError::Missing(name.to_owned()))?;
        let is_whole = named.shape.iter().product::<usize>() == named.values.len();
        if is_whole && fits(&named.shape) {
            Ok(named)
        } else {
            Err(TensorError::Misfit { name: name.to_owned(), actual: named.shape })
        }
    }

    /// Removes the weights `[inputs × outputs]` and the bias of a dense layer.
    pub(crate) fn take_dense(
        &mut self,
        name: &str,
        inputs: usize,
        outputs: usize,
    ) -> Result<Dense, TensorError> {
        let weight = self.take(&format!("{name}.weight"), |shape| *shape == [inputs, outputs])?;
        let bias = self.take(&format!("{name}.bias"), |shape| *shape == [outputs])?;
        Dense::new(inputs, weight.values, bias.values)
            .ok_or_else(|| TensorError::Misfit { name: name.to_owned(), actual: weight.shape })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tensors() -> NamedTensors {
        let mut tensors = NamedTensors::default();
        tensors.put("up.weight", &[2, 3], &[0.0; 6]);
        tensors.put("up.bias", &[3], &[1.0; 3]);
        tensors
    }

    #[test]
    fn a_layer_is_taken_once() {
        let mut tensors = tensors();
        assert_eq!(tensors.take_dense("up", 2, 3).map(|layer| layer.outputs()), Ok(3));
        assert_eq!(
            tensors.take_dense("up", 2, 3),
            Err(TensorError::Missing("up.weight".to_owned()))
        );
    }

    #[test]
    fn a_wrong_shape_is_named() {
        let error = tensors().take_dense("up", 3, 2).expect_err("the shape is [2, 3]");
        assert_eq!(error.to_string(), "tensor up.weight has shape [2, 3], which does not fit");
    }
}
