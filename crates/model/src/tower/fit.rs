//! Fitting a tower: full softmax over the catalogue after every event of every session.

use upnext_common::clock::Clock;

use super::Tower;
use crate::error::ModelError;
use crate::schedule::Progress;

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
    _input: &TowerInput<'_>,
    _config: &TowerConfig,
    _clock: &Clock,
    _on_progress: &mut dyn FnMut(Progress),
) -> Result<Tower, ModelError> {
    Err(ModelError::NothingToLearn("no session has two items"))
}
