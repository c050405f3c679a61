//! Two towers, ranker, artifact, and the one place that builds a feature row.

pub mod artifact;
pub mod live;
pub mod ranker;
pub mod row;
pub mod tower;

mod adam;
mod error;
mod noise;
mod ops;
mod schedule;
mod tensors;

pub use error::ModelError;
pub use schedule::Progress;
pub use tensors::TensorError;
