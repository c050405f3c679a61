//! A small dense layer: `y = x·W + b`.

use crate::level::{Level, by_level};

/// Weights of a dense layer, `[inputs × outputs]` row-major, with one bias per output.
#[derive(Clone, Debug, PartialEq)]
pub struct Dense {
    inputs: usize,
    outputs: usize,
    weights: Vec<f32>,
    bias: Vec<f32>,
}

impl Dense {
    /// `None` unless there are `inputs · outputs` weights, where `outputs` is the number of biases.
    #[must_use]
    pub fn new(inputs: usize, weights: Vec<f32>, bias: Vec<f32>) -> Option<Self> {
        let outputs = bias.len();
        (weights.len() == inputs * outputs).then_some(Self { inputs, outputs, weights, bias })
    }

    #[must_use]
    pub fn inputs(&self) -> usize {
        self.inputs
    }

    #[must_use]
    pub fn outputs(&self) -> usize {
        self.outputs
    }

    #[must_use]
    pub fn weights(&self) -> &[f32] {
        &self.weights
    }

    #[must_use]
    pub fn bias(&self) -> &[f32] {
        &self.bias
    }

    /// Applies the layer to rows of `inputs` values, filling rows of `outputs`. A row's result does not depend on
    /// the rows around it.
    ///
    /// # Panics
    /// If the two slices are not the same whole number of rows.
    pub fn apply(&self, rows: &[f32], out: &mut [f32]) {
        assert_eq!(rows.len() * self.outputs, out.len() * self.inputs, "as many rows out as in");
        if self.inputs == 0 || self.outputs == 0 {
            return;
        }
        dense_at(Level::best(), self, rows, out);
    }
}

by_level!(dense_at = dense_body(layer: &Dense, rows: &[f32], out: &mut [f32]));

#[inline(always)]
fn dense_body(layer: &Dense, rows: &[f32], out: &mut [f32]) {
    let width = layer.outputs;
    let fours = 4 * (layer.inputs / 4);
    for (row, out) in rows.chunks_exact(layer.inputs).zip(out.chunks_exact_mut(width)) {
        out.copy_from_slice(&layer.bias);
        let weights = layer.weights.chunks_exact(4 * width);
        for (x, weights) in row.chunks_exact(4).zip(weights) {
            add_four(out, [x[0], x[1], x[2], x[3]], weights);
        }
        let weights = layer.weights[fours * width..].chunks_exact(width);
        for (x, weights) in row[fours..].iter().zip(weights) {
            for (sum, weight) in out.iter_mut().zip(weights) {
                *sum += x * weight;
            }
        }
    }
}

/// Adds four weighted rows, one after the other, with one look at the sums.
#[inline(always)]
fn add_four(sums: &mut [f32], x: [f32; 4], rows: &[f32]) {
    let width = sums.len();
    let (first, rest) = rows.split_at(width);
    let (second, rest) = rest.split_at(width);
    let (third, fourth) = rest.split_at(width);
    let rows = first.iter().zip(second).zip(third.iter().zip(fourth));
    for (sum, ((first, second), (third, fourth))) in sums.iter_mut().zip(rows) {
        *sum = *sum + x[0] * first + x[1] * second + x[2] * third + x[3] * fourth;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn layer_and_rows() -> impl Strategy<Value = (Dense, Vec<f32>)> {
        (1_usize..40, 1_usize..80, 0_usize..5).prop_flat_map(|(inputs, outputs, rows)| {
            let values = |count| prop::collection::vec(-2.0_f32..2.0, count);
            (values(inputs * outputs), values(outputs), values(inputs * rows)).prop_map(
                move |(weights, bias, rows)| {
                    (Dense::new(inputs, weights, bias).expect("sizes fit"), rows)
                },
            )
        })
    }

    proptest! {
        #[test]
        fn it_is_the_naive_product_at_every_level((layer, rows) in layer_and_rows()) {
            let count = rows.len() / layer.inputs();
            for level in Level::available() {
                let mut out = vec![f32::NAN; count * layer.outputs()];
                dense_at(level, &layer, &rows, &mut out);
                for (row, out) in rows.chunks(layer.inputs()).zip(out.chunks(layer.outputs())) {
                    for (column, y) in out.iter().enumerate() {
                        let mut sum = layer.bias()[column];
                        for (index, x) in row.iter().enumerate() {
                            sum += x * layer.weights()[index * layer.outputs() + column];
                        }
                        prop_assert_eq!(y.to_bits(), sum.to_bits());
                    }
                }
            }
        }
    }

    #[test]
    fn wrong_sizes_make_no_layer() {
        assert_eq!(Dense::new(3, vec![0.0; 5], vec![0.0; 2]), None);
        assert!(Dense::new(3, vec![0.0; 6], vec![0.0; 2]).is_some());
    }
}
