//! The feature row: one place that builds it, for training, evaluation and serving.

mod spec;
mod context;
mod columns;
mod compare;
pub mod lineage;

pub use columns::build;
pub use context::{Ask, CONTEXT_ITEMS_MAX, Context, Repeat};
pub use spec::{Column, WIDTH, names, spec_hash};

#[cfg(test)]
mod tests;
