//! Events to artifact: towers that never saw their own window, slates by replay, the ranker, the tower that serves.

mod plan;
mod sequences;
mod births;
mod slates;

pub use plan::{Plan, Window};

use std::collections::BTreeMap;
use std::sync::Arc;

use thiserror::Error;
use upnext_common::clock::Clock;
use upnext_common::config::Train;
use upnext_common::fault::Fault;
use upnext_common::item::Item;
use upnext_common::tier::Tier;
use upnext_model::artifact::{About, Artifact, DataRange};
use upnext_model::ranker::{self, Ranker, RankerConfig};
use upnext_model::tower::{self, Tower, TowerConfig};
use upnext_model::{ModelError, Progress, row};
use upnext_recommend::{Prepared, Query, RecommendError, Snapshot, answer};

use crate::dataset::Row;
use crate::live_replay::LiveReplay;
use sequences::Corpus;
use slates::Material;

/// Items on the static list.
const STATIC_ITEMS_MAX: usize = 200;

/// What is learned from: rows sorted by time, and the catalogue.
#[derive(Clone, Copy, Debug)]
pub struct Input<'a> {
    pub rows: &'a [Row],
    pub items: &'a [Item],
}

/// How far a fit or an evaluation is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Stage {
    /// A tower for the ranker's slates: the `nth` of `of`, from 1.
    Tower {
        nth: usize,
        of: usize,
        progress: Progress,
    },
    Slates {
        done: usize,
        of: usize,
    },
    Ranker {
        progress: Progress,
    },
    /// The tower that will serve.
    LastTower,
    Answers {
        done: usize,
        of: usize,
    },
}

/// Where time is limited, the softmax over a larger catalogue than this is sampled: many cheap steps teach more than a
/// few exact ones.
const CATALOGUE_FULL_MAX_IN_HASTE: usize = 1_000;

/// Why no artifact came out.
#[derive(Debug, Error)]
pub enum FitError {
    #[error("there are no events to learn from")]
    NoEvents,
    #[error(transparent)]
    Model(#[from] ModelError),
    #[error(transparent)]
    Recommend(#[from] RecommendError),
    #[error("a fitting thread died")]
    ThreadDied,
}

impl FitError {
    #[must_use]
    pub fn fault(&self) -> Fault {
        match self {
            Self::NoEvents => Fault::CALLER,
            Self::Model(cause) => cause.fault(),
            Self::Recommend(cause) => cause.fault(),
            Self::ThreadDied => Fault::INTERNAL,
        }
    }
}

/// Fits everything. The same input, configuration and seed give the same artifact, unless `seconds_max` cut it short.
///
/// Data too thin for a tower or a ranker gives an artifact without it.
///
/// # Errors
/// When there are no events, or a fit goes wrong.
pub fn fit(
    input: &Input<'_>,
    config: &Train,
    clock: &Clock,
    on_progress: &mut dyn FnMut(Stage),
) -> Result<Artifact, FitError> {
    let plan = Plan::new(input.rows, config).ok_or(FitError::NoEvents)?;
    let corpus = Corpus::new(input);
    let fitting = Fitting { input, corpus: &corpus, config, plan: &plan, clock };
    std::thread::scope(|scope| {
        let seconds = plan.seconds.map(|seconds| seconds.last_tower);
        let last = scope.spawn(move || fitting.tower(input.rows, seconds, &mut |_| {}));
        let ranked = fitting.ranked(on_progress);
        on_progress(Stage::LastTower);
        let tower = last.join().map_err(|_| FitError::ThreadDied)??;
        let (ranker, metrics) = ranked?;
        let about = about(input, clock, metrics);
        let static_list = static_list(input, plan.end_ms)?;
        Ok(corpus.artifact(about, tower, ranker, static_list))
    })
}

/// One fit, and the parts all of its steps need.
#[derive(Clone, Copy)]
struct Fitting<'a> {
    input: &'a Input<'a>,
    corpus: &'a Corpus,
    config: &'a Train,
    plan: &'a Plan,
    clock: &'a Clock,
}

impl Fitting<'_> {
    /// The towers of the windows, the slates they score, and the ranker fitted to these.
    fn ranked(
        &self,
        on_progress: &mut dyn FnMut(Stage),
    ) -> Result<(Option<Ranker>, BTreeMap<String, f64>), FitError> {
        let towers = self.window_towers(on_progress)?;
        let Self { input, plan, config, clock, .. } = *self;
        let material = Material { input, plan, towers: &towers, seed: config.seed, clock };
        let slates = slates::both(&material, on_progress);
        let mut metrics = BTreeMap::from([("slates".to_owned(), wide(slates.len()))]);
        let settings = RankerConfig {
            epochs: config.ranker_epochs,
            seconds_max: plan.seconds.map(|seconds| seconds.ranker),
            seed: config.seed,
            ..RankerConfig::default()
        };
        let mut tell = |progress: Progress| {
            metrics.insert("ranker_loss".to_owned(), f64::from(progress.loss));
            on_progress(Stage::Ranker { progress });
        };
        let ranker = learned(ranker::fit(&slates, &settings, clock, &mut tell))?;
        Ok((ranker, metrics))
    }

    /// For each window an artifact with the tower that was fitted on what lies before it.
    fn window_towers(
        &self,
        on_progress: &mut dyn FnMut(Stage),
    ) -> Result<Vec<Arc<Artifact>>, FitError> {
        let (rows, of) = (self.input.rows, self.plan.windows.len());
        let seconds = self.plan.seconds.map(|seconds| seconds.tower);
        let mut towers = Vec::with_capacity(of);
        for (window, nth) in self.plan.windows.iter().zip(1..) {
            let before = &rows[..rows.partition_point(|row| row.record_ms < window.start_ms)];
            let mut tell = |progress| on_progress(Stage::Tower { nth, of, progress });
            let tower = self.tower(before, seconds, &mut tell)?;
            towers.push(Arc::new(self.corpus.artifact(About::default(), tower, None, Vec::new())));
        }
        Ok(towers)
    }

    fn tower(
        &self,
        rows: &[Row],
        seconds_max: Option<f64>,
        on_progress: &mut dyn FnMut(Progress),
    ) -> Result<Option<Tower>, FitError> {
        let default = TowerConfig::default();
        let in_haste = default.catalogue_full_max.min(CATALOGUE_FULL_MAX_IN_HASTE);
        let settings = TowerConfig {
            dim: self.config.tower_dim,
            epochs: self.config.tower_epochs,
            catalogue_full_max: seconds_max.map_or(default.catalogue_full_max, |_| in_haste),
            seconds_max,
            seed: self.config.seed,
            ..default
        };
        let sequences = self.corpus.sequences(rows);
        let input = self.corpus.tower_input(&sequences);
        learned(tower::fit(&input, &settings, self.clock, on_progress))
    }
}

/// Too little data is no failure: the artifact goes without this model.
fn learned<Model>(fitted: Result<Model, ModelError>) -> Result<Option<Model>, FitError> {
    match fitted {
        Ok(model) => Ok(Some(model)),
        Err(ModelError::NothingToLearn(why)) => {
            tracing::info!(why, "a model is left out");
            Ok(None)
        }
        Err(
            cause @ (ModelError::Shape { .. }
            | ModelError::NotFinite { .. }
            | ModelError::Backend(_)),
        ) => Err(cause.into()),
    }
}

fn about(input: &Input<'_>, clock: &Clock, metrics: BTreeMap<String, f64>) -> About {
    let created_at_ms = clock.now_ms();
    let events = u64::try_from(input.rows.len()).unwrap_or(u64::MAX);
    let first_ms = input.rows.first().map_or(0, |row| row.record_ms);
    let last_ms = input.rows.last().map_or(0, |row| row.record_ms);
    About {
        artifact_id: format!("upnext-{created_at_ms}-{:08x}", events ^ last_ms.cast_unsigned()),
        created_at_ms,
        feature_spec_hash: row::spec_hash(),
        schema_ids: BTreeMap::new(),
        data: DataRange { events, first_ms, last_ms },
        metrics,
    }
}

/// What is trending at the end of the data.
fn static_list(input: &Input<'_>, end_ms: i64) -> Result<Vec<String>, RecommendError> {
    let mut replay = LiveReplay::new(input.items);
    input.rows.iter().for_each(|row| replay.apply(&row.event, row.record_ms));
    replay.refresh();
    let prepared = Prepared::without_artifact();
    let snapshot = Snapshot { live: replay.live(), prepared: &prepared };
    let query = Query::new(end_ms, STATIC_ITEMS_MAX);
    let picked = answer(&query, None, &snapshot, Tier::Trending)?;
    Ok(picked.items.iter().map(|item| snapshot.live.id(item.index).to_owned()).collect())
}

fn wide(count: usize) -> f64 {
    u32::try_from(count).map_or(f64::INFINITY, f64::from)
}

#[cfg(test)]
mod tests;
