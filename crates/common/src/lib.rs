//! The words of the domain and the kit every daemon is built from.
//!
//! Reading order is the order of the modules: what happens (`event`, `item`, `position`), what is answered
//! (`tier`, `decision`), under which limits (`clock`, `deadline`, `fault`, `drain`), and how a daemon is
//! configured and observed (`config`, `topic`, `metrics`, `telemetry`).

pub mod event;
pub mod item;
pub mod position;
pub mod tier;
pub mod decision;
pub mod clock;
pub mod deadline;
pub mod fault;
pub mod drain;
pub mod topic;
pub mod generation;
pub mod config;
pub mod metrics;
pub mod telemetry;
