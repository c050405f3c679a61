//! Two towers, ranker, artifact, and the one place that builds a feature row.
