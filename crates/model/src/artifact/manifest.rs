//! What an artifact says about itself.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::golden::Golden;

/// Layout of the directory; another number is refused.
pub(super) const FORMAT: u32 = 1;

/// What training knows about the artifact it makes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct About {
    pub artifact_id: String,
    pub created_at_ms: i64,
    /// Hash of the feature spec whose rows the ranker was trained on.
    pub feature_spec_hash: String,
    /// Registry ids of the schemas the events were read with, by subject.
    pub schema_ids: BTreeMap<String, u32>,
    pub data: DataRange,
    /// Losses and offline figures, by name.
    pub metrics: BTreeMap<String, f64>,
}

/// What it was trained on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DataRange {
    pub events: u64,
    /// Event time of the oldest and of the newest, milliseconds since the epoch.
    pub first_ms: i64,
    pub last_ms: i64,
}

/// `manifest.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    pub format: u32,
    pub about: About,
    /// Sizes of the vocabularies.
    pub items: usize,
    pub attributes: usize,
    /// sha256 of every other file, lower-case hex, by file name.
    pub checksums: BTreeMap<String, String>,
    pub(super) golden: Golden,
}
