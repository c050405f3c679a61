//! Fitting a tower: full softmax over the catalogue after every event of every session.

use upnext_common::clock::Clock;

use super::Tower;
use super::batches::{Batch, chunks, pack};
use super::network::{Dropouts, Network};
use super::sampling::{Catalogue, Step};
use crate::adam::Adam;
use crate::error::ModelError;
use crate::noise::Noise;
use crate::ops::CatalogueLoss;
use crate::schedule::{Progress, Schedule};

/// Batches an epoch has at least, as far as [`POSITIONS_MIN`] allows.
const BATCHES_MIN: usize = 24;
const POSITIONS_MIN: usize = 128;

/// How a tower is fitted; the defaults are the measured recipe.
#[derive(Clone, Debug, PartialEq)]
pub struct TowerConfig {
    pub dim: usize,
    /// Attention heads; must divide `dim`.
    pub heads: usize,
    /// Items looked back at.
    pub window: usize,
    /// Items with a matrix of their own, by distance.
    pub taps: usize,
    pub epochs: usize,
    pub learning_rate: f64,
    pub warm_up_steps: usize,
    /// Positions (with padding) in a batch; fewer when there are few in all.
    pub batch_positions: usize,
    /// Longest piece of a session that is looked at in one go, events.
    pub chunk_events: usize,
    pub dropout: f64,
    /// Share of the items that are their content alone in a step, so that content learns to stand alone.
    pub id_dropout: f64,
    /// Longest gradient.
    pub clip: f64,
    /// Larger catalogues are learned from samples, corrected by the chance of being in them.
    pub catalogue_full_max: usize,
    /// Items sampled for a step of a large catalogue, besides those of the batch.
    pub samples: usize,
    /// The fit ends by then with its schedule complete; `None`: all epochs.
    pub seconds_max: Option<f64>,
    pub seed: u64,
}

impl Default for TowerConfig {
    fn default() -> Self {
        Self {
            dim: 64,
            heads: 2,
            window: 20,
            taps: 5,
            epochs: 12,
            learning_rate: 4e-3,
            warm_up_steps: 100,
            batch_positions: 2_048,
            chunk_events: 30,
            dropout: 0.3,
            id_dropout: 0.1,
            clip: 5.0,
            catalogue_full_max: 10_000,
            samples: 1_024,
            seconds_max: None,
            seed: 7,
        }
    }
}

/// What a tower is fitted to. Items are rows 0…`items`, attributes ids 0…`attribute_count`.
#[derive(Clone, Copy, Debug)]
pub struct TowerInput<'a> {
    pub items: usize,
    /// Attribute ids of every item.
    pub attributes: &'a [Vec<u32>],
    pub attribute_count: usize,
    /// Item rows of each session, oldest first; immediate repeats are collapsed.
    pub sequences: &'a [Vec<u32>],
}

/// Fits a tower.
///
/// # Errors
/// If no session has two different items in a row, the input contradicts itself, or the loss stops being a number.
pub fn fit(
    input: &TowerInput<'_>,
    config: &TowerConfig,
    clock: &Clock,
    on_progress: &mut dyn FnMut(Progress),
) -> Result<Tower, ModelError> {
    check(input, config)?;
    let chunks = chunks(input.sequences, config.chunk_events.max(2));
    if chunks.is_empty() {
        return Err(ModelError::NothingToLearn("no session has two items"));
    }
    let mut learner = Learner::new(input, config);
    let positions = config.batch_positions.min(positions_for_many_batches(&chunks));
    let batches = pack(&chunks, positions, &mut learner.noise).len();
    let mut schedule =
        Schedule::new(config.learning_rate, config.warm_up_steps, config.epochs * batches)
            .within(config.seconds_max, clock);
    while !schedule.is_over() {
        for indices in pack(&chunks, positions, &mut learner.noise) {
            if schedule.is_over() {
                break;
            }
            let loss = learner.learn(&Batch::of(&chunks, &indices), schedule.rate())?;
            if !loss.is_finite() {
                return Err(ModelError::NotFinite { step: schedule.step() });
            }
            on_progress(schedule.advance(loss));
        }
    }
    learner.finish()
}

/// Positions in a batch that leave at least some two dozen batches an epoch: little data needs steps, too.
fn positions_for_many_batches(chunks: &[Vec<u32>]) -> usize {
    let positions: usize = chunks.iter().map(Vec::len).sum();
    (positions / BATCHES_MIN).max(POSITIONS_MIN)
}

fn check(input: &TowerInput<'_>, config: &TowerConfig) -> Result<(), ModelError> {
    let wrong = |what, actual, expected| Err(ModelError::Shape { what, actual, expected });
    if config.heads == 0 || config.dim == 0 || !config.dim.is_multiple_of(config.heads) {
        return wrong(
            "the tower's dim",
            config.dim,
            format!("a multiple of {} heads", config.heads),
        );
    }
    if config.taps > config.window || config.taps == 0 {
        return wrong("the number of taps", config.taps, format!("1 to {}", config.window));
    }
    if input.attributes.len() != input.items {
        return wrong(
            "the number of attribute lists",
            input.attributes.len(),
            input.items.to_string(),
        );
    }
    let highest_token = input.attributes.iter().flatten().max().map_or(0, |id| *id as usize + 1);
    if highest_token > input.attribute_count {
        return wrong(
            "an attribute id",
            highest_token - 1,
            format!("below {}", input.attribute_count),
        );
    }
    let highest_item = input.sequences.iter().flatten().max().map_or(0, |id| *id as usize + 1);
    if highest_item > input.items {
        return wrong("an item row", highest_item - 1, format!("below {}", input.items));
    }
    Ok(())
}

/// A network being trained.
struct Learner<'a> {
    input: &'a TowerInput<'a>,
    config: &'a TowerConfig,
    network: Network,
    catalogue: Catalogue,
    adam: Adam,
    noise: Noise,
}

impl<'a> Learner<'a> {
    fn new(input: &'a TowerInput<'a>, config: &'a TowerConfig) -> Self {
        let mut counts = vec![0; input.items];
        input.sequences.iter().flatten().for_each(|item| counts[*item as usize] += 1);
        Self {
            input,
            config,
            network: Network::new(config, input.items, input.attribute_count),
            catalogue: Catalogue::new(&counts, config.catalogue_full_max, config.samples),
            adam: Adam { beta1: 0.9, beta2: 0.99, decay: 0.0, steps: 0 },
            noise: Noise::new(config.seed.wrapping_add(1)),
        }
    }

    /// One step; returns the mean loss of the batch.
    fn learn(&mut self, batch: &Batch, rate: f64) -> Result<f32, ModelError> {
        let step = self.catalogue.step(batch, &mut self.noise);
        let variables = self.network.variables(&step.rows)?;
        let mut dropouts = Dropouts {
            noise: &mut self.noise,
            share: self.config.dropout,
            id_share: self.config.id_dropout,
        };
        let logits = variables.forward(
            self.network.shape,
            &step,
            (batch.length, &batch.positions),
            (self.input.attributes, Some(&mut dropouts)),
        )?;
        let Step { rows, offsets, current, targets, .. } = step;
        let loss = logits.apply_op1(CatalogueLoss { current, targets, offsets })?.mean_all()?;
        let gradients = loss.backward()?;
        self.network.update(&variables, &gradients, &rows, |updates| {
            self.adam.step(rate, Some(self.config.clip), updates);
        })?;
        Ok(loss.to_scalar()?)
    }

    /// Items that were never seen become their content, with the lower quartile of the seen biases.
    fn finish(mut self) -> Result<Tower, ModelError> {
        let dim = self.config.dim;
        let biases = &mut self.network.biases.values;
        let mut seen: Vec<f32> =
            self.catalogue.seen().iter().map(|item| biases[*item as usize]).collect();
        let unseen_bias = lower_quartile(&mut seen);
        for item in (0..self.input.items).filter(|item| !self.catalogue.is_seen(*item)) {
            biases[item] = unseen_bias;
            self.network.ids.values[item * dim..][..dim].fill(0.0);
        }
        self.network
            .tower(self.input.attributes, unseen_bias)
            .map_err(|error| ModelError::Backend(candle_core::Error::Msg(error.to_string())))
    }
}

/// The value a quarter of the way from the least to the greatest, between neighbours in proportion.
fn lower_quartile(values: &mut [f32]) -> f32 {
    values.sort_by(f32::total_cmp);
    let last = values.len().saturating_sub(1);
    let (low, share) = (last / 4, (last % 4) as f32 / 4.0);
    match (values.get(low), values.get(low + 1)) {
        (Some(a), Some(b)) => a + (b - a) * share,
        (Some(a), None) => *a,
        (None, _) => 0.0,
    }
}
