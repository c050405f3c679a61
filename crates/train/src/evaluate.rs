//! Evaluation by the frozen protocol: before a query every earlier event is visible, and no other.
//!
//! In process and over HTTP ask the same [`QueryPlan`]s in the order of the same [`walk`], so that their answers can
//! be held against each other list by list.

mod answers;
mod bootstrap;
mod offline;
mod queries;
mod report;
mod score;
mod walk;

pub use answers::{differences, read_answers, write_answers};
pub use offline::{Offline, Outcome, answers_from, answers_of, ask, fitted, offline};
pub use queries::{ANSWER_ITEMS_MAX, Cuts, FrozenQuery, QueryPlan, cuts, queries};
pub use report::{Cohort, Kind, Report, Totals};
pub use score::{Answer, MEASURE_NAMES, Measures, measure, score};
pub use walk::{Gold, Step, sample, walk};

use thiserror::Error;
use upnext_common::fault::Fault;
use upnext_recommend::RecommendError;

use crate::dataset::DatasetError;
use crate::fit::FitError;

/// Why an evaluation cannot be made.
#[derive(Debug, Error)]
pub enum EvaluateError {
    #[error(transparent)]
    Dataset(#[from] DatasetError),
    #[error("{path} does not say where the splits start: {cause}")]
    Cuts { path: String, cause: serde_json::Error },
    #[error("there is no split {found:?}: valid or test")]
    Split { found: String },
    #[error("the data set has no query of split {split:?}")]
    NoQueries { split: String },
    #[error("cannot write {path}: {cause}")]
    Unwritable { path: String, cause: std::io::Error },
    #[error(transparent)]
    Fit(#[from] FitError),
    #[error(transparent)]
    Recommend(#[from] RecommendError),
}

impl EvaluateError {
    #[must_use]
    pub fn fault(&self) -> Fault {
        match self {
            Self::Dataset(cause) => cause.fault(),
            Self::Fit(cause) => cause.fault(),
            Self::Recommend(cause) => cause.fault(),
            Self::Cuts { .. }
            | Self::Split { .. }
            | Self::NoQueries { .. }
            | Self::Unwritable { .. } => Fault::CALLER,
        }
    }
}

#[cfg(test)]
mod tests;
