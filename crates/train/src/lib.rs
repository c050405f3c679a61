//! Events to artifact; evaluation.

pub mod dataset;
pub mod live_replay;
pub mod fit;
pub mod history;
pub mod evaluate;
