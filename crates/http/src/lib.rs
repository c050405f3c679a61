//! How we listen: accept loop with limits and drain, problem+json, probes, metrics, docs page.
//!
//! The only user of axum, hyper and utoipa, which it re-exports: routes are written with them, and everything
//! around a route (request ids, errors of one shape, limits, the accept loop) is here.

pub mod listener;
pub mod frame;
pub mod problem;
pub mod body;
pub mod params;
pub mod ops;
pub mod docs;
mod closest;

pub use axum;
pub use body::{JsonBody, RawBody};
pub use frame::RequestId;
pub use listener::{BindError, Limits, Listener, Served};
pub use ops::Health;
pub use params::Params;
pub use problem::{FieldError, Problem, ProblemBody};
pub use utoipa;
