//! Fitting a ranker: listwise softmax over slates.

use candle_core::{Device, Tensor, Var};
use upnext_common::clock::Clock;
use upnext_kernels::{Dense, add_scaled};

use super::{Ranker, Slates, normalise};
use crate::adam::{Adam, Parameter, Part, gradient_of};
use crate::error::ModelError;
use crate::noise::Noise;
use crate::ops::{Bias, SlateLoss};
use crate::schedule::{Progress, Schedule};

/// Batches an epoch has at least, while it has slates enough: little data needs steps, too.
const BATCHES_MIN: usize = 24;
/// Slates whose tensors are computed in one go: about 400 kB for a hundred rows each.
const SLATES_PER_PART: usize = 8;

/// How a ranker is fitted; the defaults are the measured recipe.
#[derive(Clone, Debug, PartialEq)]
pub struct RankerConfig {
    /// Widths of the hidden layers.
    pub hidden: Vec<usize>,
    pub epochs: usize,
    pub learning_rate: f64,
    pub weight_decay: f64,
    pub slates_per_batch: usize,
    pub warm_up_steps: usize,
    /// A column varies at least this much: one that hardly does must not explode later.
    pub deviation_floor: f32,
    /// The fit ends by then with its schedule complete; `None`: all epochs.
    pub seconds_max: Option<f64>,
    pub seed: u64,
}

impl Default for RankerConfig {
    fn default() -> Self {
        Self {
            hidden: vec![64, 32],
            epochs: 8,
            learning_rate: 2e-3,
            weight_decay: 1e-4,
            slates_per_batch: 64,
            warm_up_steps: 50,
            deviation_floor: 0.2,
            seconds_max: None,
            seed: 7,
        }
    }
}

/// Fits a ranker to the slates that have targets: wide part and net together, the net's last layer starting at zero,
/// `−Σ log softmax` over the targets of each slate.
///
/// # Errors
/// If there is nothing to learn from, the slates contradict themselves, or the loss stops being a number.
pub fn fit(
    slates: &Slates,
    config: &RankerConfig,
    clock: &Clock,
    on_progress: &mut dyn FnMut(Progress),
) -> Result<Ranker, ModelError> {
    let mut order = slates.with_targets()?;
    if order.is_empty() {
        return Err(ModelError::NothingToLearn("no slate has a target and something beside it"));
    }
    let mut noise = Noise::new(config.seed);
    let mut learner = Learner::new(slates, config, &order, &mut noise);
    let per_batch = config.slates_per_batch.min(order.len() / BATCHES_MIN).max(1);
    let batches = order.len().div_ceil(per_batch);
    let mut schedule =
        Schedule::new(config.learning_rate, config.warm_up_steps, config.epochs * batches)
            .within(config.seconds_max, clock);
    while !schedule.is_over() {
        noise.shuffle(&mut order);
        for batch in order.chunks(per_batch) {
            if schedule.is_over() {
                break;
            }
            let loss = learner.learn(batch, schedule.rate())?;
            if !loss.is_finite() {
                return Err(ModelError::NotFinite { step: schedule.step() });
            }
            on_progress(schedule.advance(loss));
        }
    }
    learner.finish()
}

/// Mean and deviation (not below `floor`) of every column over the rows of these slates.
fn moments(slates: &Slates, order: &[usize], floor: f32) -> (Vec<f32>, Vec<f32>) {
    let mut sums = vec![[0.0_f64; 3]; slates.columns];
    for slate in order {
        for row in slates.values(*slate).chunks_exact(slates.columns) {
            for (sum, x) in sums.iter_mut().zip(row).filter(|(_, x)| x.is_finite()) {
                let x = f64::from(*x);
                *sum = [sum[0] + 1.0, sum[1] + x, sum[2] + x * x];
            }
        }
    }
    let moments = sums.iter().map(|[count, sum, squares]| {
        let mean = sum / count.max(1.0);
        let variance = (squares / count.max(1.0) - mean * mean).max(0.0);
        (mean as f32, (variance.sqrt() as f32).max(floor))
    });
    moments.unzip()
}

/// A ranker being trained.
struct Learner<'a> {
    slates: &'a Slates,
    means: Vec<f32>,
    deviations: Vec<f32>,
    /// The wide weights, then weights and bias of each layer of the net.
    parameters: Vec<Parameter>,
    adam: Adam,
}

impl<'a> Learner<'a> {
    fn new(slates: &'a Slates, config: &RankerConfig, order: &[usize], noise: &mut Noise) -> Self {
        let (means, deviations) = moments(slates, order, config.deviation_floor);
        let mut uniform = |shape: &[usize], inputs: usize| {
            let limit = 1.0 / (inputs as f64).sqrt();
            Parameter::new(shape, noise.uniform(shape.iter().product(), limit))
        };
        let mut inputs = slates.columns;
        let mut parameters = vec![uniform(&[inputs, 1], inputs)];
        for width in &config.hidden {
            parameters.push(uniform(&[inputs, *width], inputs));
            parameters.push(uniform(&[*width], inputs));
            inputs = *width;
        }
        parameters.push(Parameter::new(&[inputs, 1], vec![0.0; inputs]));
        parameters.push(uniform(&[1], inputs));
        let adam = Adam { beta1: 0.9, beta2: 0.999, decay: config.weight_decay, steps: 0 };
        Self { slates, means, deviations, parameters, adam }
    }

    /// One step; returns the mean loss of the slates. The gradient is summed up over parts that stay in the cache.
    fn learn(&mut self, batch: &[usize], rate: f64) -> Result<f32, ModelError> {
        let variables: Vec<Var> =
            self.parameters.iter().map(Parameter::variable).collect::<Result<_, _>>()?;
        let mut sums: Vec<Vec<f32>> =
            self.parameters.iter().map(|parameter| vec![0.0; parameter.values.len()]).collect();
        let mut total = 0.0;
        for part in batch.chunks(SLATES_PER_PART) {
            let loss = self.loss(part, &variables)?;
            let gradients = loss.backward()?;
            for (sum, variable) in sums.iter_mut().zip(&variables) {
                let share = 1.0 / batch.len() as f32;
                add_scaled(sum, share, &gradient_of(&gradients, variable)?);
            }
            total += loss.to_scalar::<f32>()?;
        }
        let parameters = self.parameters.iter_mut().zip(sums);
        let mut updates: Vec<_> =
            parameters.map(|(parameter, sum)| (parameter, Part::Whole, sum)).collect();
        self.adam.step(rate, None, &mut updates);
        Ok(total / batch.len() as f32)
    }

    /// Summed loss of some slates.
    fn loss(&self, part: &[usize], variables: &[Var]) -> Result<Tensor, ModelError> {
        let mut rows = Vec::new();
        let mut loss = SlateLoss { ends: Vec::new(), targets: Vec::new() };
        for slate in part {
            rows.extend_from_slice(self.slates.values(*slate));
            loss.ends.push(rows.len() / self.slates.columns);
            loss.targets.push(self.slates.targets[*slate].clone());
        }
        normalise(&mut rows, &self.means, &self.deviations);
        let shape = (rows.len() / self.slates.columns, self.slates.columns);
        let rows = Tensor::from_vec(rows, shape, &Device::Cpu)?;
        Ok(scores(variables, &rows)?.apply_op1(loss)?.sum_all()?)
    }

    fn finish(self) -> Result<Ranker, ModelError> {
        let columns = self.slates.columns;
        let mut parameters = self.parameters.into_iter();
        let layer = |weight: Parameter, bias: Vec<f32>| {
            let actual = weight.values.len();
            Dense::new(weight.shape[0], weight.values, bias).ok_or(ModelError::Shape {
                what: "a layer of the ranker",
                actual,
                expected: "inputs times outputs weights".to_owned(),
            })
        };
        let wide =
            Dense::new(columns, parameters.next().map_or_else(Vec::new, |p| p.values), vec![0.0]);
        let mut layers = Vec::new();
        while let (Some(weight), Some(bias)) = (parameters.next(), parameters.next()) {
            layers.push(layer(weight, bias.values)?);
        }
        let (Some(wide), Some(last)) = (wide, layers.pop()) else {
            return Err(ModelError::NothingToLearn("a ranker without layers"));
        };
        Ok(Ranker { means: self.means, deviations: self.deviations, wide, hidden: layers, last })
    }
}

/// The net as tensors with gradients: scores `[rows]` of normalised rows `[rows × columns]`.
fn scores(variables: &[Var], rows: &Tensor) -> candle_core::Result<Tensor> {
    let (wide, layers) = (&variables[0], &variables[1..]);
    let last = layers.len() / 2 - 1;
    let mut x = rows.clone();
    for (number, layer) in layers.chunks_exact(2).enumerate() {
        x = x.matmul(&layer[0])?.apply_op2(&layer[1], Bias { rectifies: number < last })?;
    }
    (x + rows.matmul(wide)?)?.squeeze(1)
}

/// Scores of normalised rows by the tensors that training runs.
#[cfg(test)]
pub(super) fn reference(ranker: &Ranker, normalised: &[f32]) -> Vec<f32> {
    let variable = |values: &[f32], shape: &[usize]| {
        Var::from_slice(values, shape, &Device::Cpu).expect("the shape fits")
    };
    let mut variables = vec![variable(ranker.wide.weights(), &[ranker.columns(), 1])];
    for layer in ranker.hidden.iter().chain([&ranker.last]) {
        variables.push(variable(layer.weights(), &[layer.inputs(), layer.outputs()]));
        variables.push(variable(layer.bias(), &[layer.outputs()]));
    }
    let shape = (normalised.len() / ranker.columns(), ranker.columns());
    let rows = Tensor::from_slice(normalised, shape, &Device::Cpu).expect("whole rows");
    scores(&variables, &rows).and_then(|scores| scores.to_vec1()).expect("scores")
}
