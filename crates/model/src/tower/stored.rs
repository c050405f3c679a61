//! A tower as named tensors, and back.

use upnext_kernels::Dense;

use super::{Tower, TowerShape};
use crate::tensors::{NamedTensors, TensorError};

/// A square layer without bias.
pub(super) fn square(dim: usize, weights: Vec<f32>) -> Result<Dense, TensorError> {
    let actual = vec![weights.len()];
    Dense::new(dim, weights, vec![0.0; dim])
        .ok_or_else(|| TensorError::Misfit { name: "square layer".to_owned(), actual })
}

impl Tower {
    pub(crate) fn to_tensors(&self) -> NamedTensors {
        let TowerShape { dim, heads, window, taps } = self.shape;
        let mut tensors = NamedTensors::default();
        tensors.put("items", &[self.items(), dim], &self.items);
        tensors.put("biases", &[self.items()], &self.biases);
        tensors.put("unseen_bias", &[1], &[self.unseen_bias]);
        tensors.put("attributes", &[self.attribute_count(), dim], &self.attributes);
        tensors.put("query", &[dim, dim], self.query.weights());
        tensors.put("key", &[dim, dim], &self.key);
        tensors.put("value", &[dim, dim], self.value.weights());
        tensors.put("output", &[dim, dim], self.output.weights());
        let tap_weights: Vec<f32> =
            self.taps.iter().flat_map(|tap| tap.weights().iter().copied()).collect();
        tensors.put("taps", &[taps, dim, dim], &tap_weights);
        tensors.put("distance", &[heads, window], &self.distance);
        tensors.put_dense("up", &self.up);
        tensors.put_dense("down", &self.down);
        tensors
    }

    pub(crate) fn from_tensors(mut tensors: NamedTensors) -> Result<Self, TensorError> {
        let items = tensors.take("items", |shape| shape.len() == 2 && shape[1] > 0)?;
        let (count, dim) = (items.shape[0], items.shape[1]);
        let distance = tensors.take("distance", |shape| {
            shape.len() == 2 && shape[0] > 0 && shape[1] > 0 && dim.is_multiple_of(shape[0])
        })?;
        let taps = tensors.take("taps", |shape| shape.len() == 3 && shape[1..] == [dim, dim])?;
        let shape = TowerShape {
            dim,
            heads: distance.shape[0],
            window: distance.shape[1],
            taps: taps.shape[0],
        };
        let mut take_square = |name: &str| tensors.take(name, |shape| *shape == [dim, dim]);
        let query = square(dim, take_square("query")?.values)?;
        let key = take_square("key")?.values;
        let value = square(dim, take_square("value")?.values)?;
        let output = square(dim, take_square("output")?.values)?;
        Ok(Self {
            shape,
            items: items.values,
            biases: tensors.take("biases", |shape| *shape == [count])?.values,
            unseen_bias: tensors.take("unseen_bias", |shape| *shape == [1])?.values[0],
            attributes: tensors
                .take("attributes", |shape| shape.len() == 2 && shape[1] == dim)?
                .values,
            query,
            key,
            value,
            output,
            taps: taps
                .values
                .chunks_exact(dim * dim)
                .map(|weights| square(dim, weights.to_vec()))
                .collect::<Result<_, _>>()?,
            distance: distance.values,
            up: tensors.take_dense("up", dim, 2 * dim)?,
            down: tensors.take_dense("down", 2 * dim, dim)?,
        })
    }
}
