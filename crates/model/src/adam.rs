//! AdamW over plain slices: whole tensors, or only the rows a step touched.

use candle_core::backprop::GradStore;
use candle_core::{Device, Tensor, Var};

const EPSILON: f32 = 1e-8;

/// A trained tensor with its moments.
pub(crate) struct Parameter {
    pub(crate) shape: Vec<usize>,
    pub(crate) values: Vec<f32>,
    first: Vec<f32>,
    second: Vec<f32>,
}

impl Parameter {
    pub(crate) fn new(shape: &[usize], values: Vec<f32>) -> Self {
        debug_assert_eq!(shape.iter().product::<usize>(), values.len());
        let (first, second) = (vec![0.0; values.len()], vec![0.0; values.len()]);
        Self { shape: shape.to_vec(), values, first, second }
    }

    /// The whole tensor as a variable of this step.
    pub(crate) fn variable(&self) -> candle_core::Result<Var> {
        Var::from_slice(&self.values, self.shape.as_slice(), &Device::Cpu)
    }

    /// Only these rows, in this order, as a variable of this step.
    pub(crate) fn variable_of_rows(&self, rows: &[u32]) -> candle_core::Result<Var> {
        let width = self.values.len() / self.shape[0];
        let mut values = Vec::with_capacity(rows.len() * width);
        for row in rows {
            values.extend_from_slice(&self.values[*row as usize * width..][..width]);
        }
        let mut shape = self.shape.clone();
        shape[0] = rows.len();
        Var::from_slice(&values, shape, &Device::Cpu)
    }
}

/// Which part of a parameter a gradient belongs to.
pub(crate) enum Part<'a> {
    Whole,
    /// Rows of the first dimension, each at most once.
    Rows(&'a [u32]),
}

/// Constants of AdamW (Loshchilov and Hutter, 2019).
#[derive(Clone, Copy)]
pub(crate) struct Adam {
    pub(crate) beta1: f64,
    pub(crate) beta2: f64,
    pub(crate) decay: f64,
    /// Steps taken, for the bias correction.
    pub(crate) steps: i32,
}

/// One step's factors, as f32.
#[derive(Clone, Copy)]
struct Factors {
    beta1: f32,
    beta2: f32,
    rate: f32,
    second_correction: f32,
    keep: f32,
    clip: f32,
}

impl Adam {
    /// Takes one step of all parameters. Gradients whose common length exceeds `clip` are scaled down to it. Rows
    /// not named keep value and moments (lazy Adam).
    pub(crate) fn step(
        &mut self,
        rate: f64,
        clip: Option<f64>,
        updates: &mut [(&mut Parameter, Part<'_>, Vec<f32>)],
    ) {
        self.steps += 1;
        let squares = |gradient: &[f32]| -> f64 {
            gradient.chunks(64).map(|part| f64::from(part.iter().map(|g| g * g).sum::<f32>())).sum()
        };
        let norm = updates.iter().map(|(_, _, gradient)| squares(gradient)).sum::<f64>().sqrt();
        let clip = clip.map_or(1.0, |clip| (clip / (norm + 1e-6)).min(1.0));
        let factors = Factors {
            beta1: self.beta1 as f32,
            beta2: self.beta2 as f32,
            rate: (rate / (1.0 - self.beta1.powi(self.steps))) as f32,
            second_correction: (1.0 / (1.0 - self.beta2.powi(self.steps))) as f32,
            keep: (1.0 - rate * self.decay) as f32,
            clip: clip as f32,
        };
        for (parameter, part, gradient) in updates {
            match part {
                Part::Whole => parameter.update(0, gradient, factors),
                Part::Rows(rows) => {
                    let width = parameter.values.len() / parameter.shape[0];
                    for (row, gradient) in rows.iter().zip(gradient.chunks_exact(width)) {
                        parameter.update(*row as usize * width, gradient, factors);
                    }
                }
            }
        }
    }
}

impl Parameter {
    fn update(&mut self, start: usize, gradient: &[f32], factors: Factors) {
        let span = start..start + gradient.len();
        let values = self.values[span.clone()].iter_mut();
        let moments = self.first[span.clone()].iter_mut().zip(&mut self.second[span]);
        for ((value, (first, second)), gradient) in values.zip(moments).zip(gradient) {
            let gradient = gradient * factors.clip;
            *first = factors.beta1 * *first + (1.0 - factors.beta1) * gradient;
            *second = factors.beta2 * *second + (1.0 - factors.beta2) * gradient * gradient;
            let root = (*second * factors.second_correction).sqrt() + EPSILON;
            *value = *value * factors.keep - factors.rate * *first / root;
        }
    }
}

/// The gradient of a variable as a plain vector; zero if the loss does not depend on it.
pub(crate) fn gradient_of(grads: &GradStore, tensor: &Tensor) -> candle_core::Result<Vec<f32>> {
    match grads.get(tensor) {
        Some(gradient) => gradient.flatten_all()?.to_vec1(),
        None => Ok(vec![0.0; tensor.elem_count()]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn adam() -> Adam {
        Adam { beta1: 0.9, beta2: 0.99, decay: 0.0, steps: 0 }
    }

    #[test]
    fn the_first_step_goes_down_by_the_rate() {
        let mut parameter = Parameter::new(&[2], vec![1.0, 1.0]);
        adam().step(0.1, None, &mut [(&mut parameter, Part::Whole, vec![3.0, -0.001])]);
        assert!((parameter.values[0] - 0.9).abs() < 1e-5);
        assert!((parameter.values[1] - 1.1).abs() < 1e-4);
    }

    #[test]
    fn rows_that_were_not_touched_stay() {
        let mut parameter = Parameter::new(&[3, 2], vec![1.0; 6]);
        adam().step(0.1, None, &mut [(&mut parameter, Part::Rows(&[2]), vec![1.0, 1.0])]);
        assert_eq!(parameter.values[..4], [1.0; 4]);
        assert!(parameter.values[4] < 0.95);
    }

    #[test]
    fn it_equals_the_adam_of_the_backend_over_many_steps() {
        use candle_nn::{AdamW, Optimizer, ParamsAdamW};
        let start = vec![0.5_f32, -1.0, 2.0];
        let target = Tensor::new(&[0.1_f32, 0.2, -0.3], &Device::Cpu).unwrap();
        let var = Var::from_slice(&start, 3, &Device::Cpu).unwrap();
        let settings =
            ParamsAdamW { lr: 0.05, beta1: 0.9, beta2: 0.99, eps: 1e-8, weight_decay: 0.1 };
        let mut reference = AdamW::new(vec![var.clone()], settings).unwrap();
        let mut parameter = Parameter::new(&[3], start);
        let mut adam = Adam { decay: 0.1, ..adam() };
        for _ in 0..30 {
            let loss = (var.as_tensor() - &target).unwrap().sqr().unwrap().sum_all().unwrap();
            reference.backward_step(&loss).unwrap();
            let ours = parameter.variable().unwrap();
            let loss = (ours.as_tensor() - &target).unwrap().sqr().unwrap().sum_all().unwrap();
            let gradient = gradient_of(&loss.backward().unwrap(), &ours).unwrap();
            adam.step(0.05, None, &mut [(&mut parameter, Part::Whole, gradient)]);
        }
        let reference = var.to_vec1::<f32>().unwrap();
        for (ours, theirs) in parameter.values.iter().zip(&reference) {
            assert!((ours - theirs).abs() < 1e-5, "{:?} {reference:?}", parameter.values);
        }
    }

    #[test]
    fn long_gradients_are_clipped_to_one_length() {
        let step = |gradients: [f32; 2], clip| {
            let mut parameter = Parameter::new(&[2], vec![0.0; 2]);
            let mut adam = adam();
            adam.step(0.1, clip, &mut [(&mut parameter, Part::Whole, gradients.to_vec())]);
            parameter.first
        };
        let clipped = step([30.0, 40.0], Some(5.0));
        assert!((clipped[0] - 0.3).abs() < 1e-4 && (clipped[1] - 0.4).abs() < 1e-4, "{clipped:?}");
        assert_eq!(step([0.3, 0.4], Some(5.0)), step([0.3, 0.4], None));
    }
}
