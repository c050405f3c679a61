//! Events to artifact; evaluation.
