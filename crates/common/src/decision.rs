//! The logged answer: what was asked, what was known, what was considered and what was shown.

use serde::{Deserialize, Serialize};

use crate::tier::{Reason, Tier};

/// One answer as it is written to the decisions topic; training reads the rows as they are.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Decision {
    /// uuid v7 text.
    pub decision_id: String,
    pub decided_at_ms: i64,
    pub user_id: Option<String>,
    pub anonymous_id: Option<String>,
    pub session_id: Option<String>,
    pub surface: String,
    /// The request as JSON text, as it was understood.
    pub query: String,
    pub tier: Tier,
    pub reasons: Vec<Reason>,
    /// Id of the artifact in use, if any.
    pub model: Option<String>,
    /// Hash of the feature spec by which the rows were built.
    pub feature_spec: String,
    pub features_as_of_ms: Option<i64>,
    /// The user's encoded state as it was read (empty when none was).
    pub user_state: Vec<u8>,
    pub took_us: i64,
    pub candidates: Vec<DecidedItem>,
}

/// One candidate of a decision. Shown items have a rank from 1; unshown ones have rank 0.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DecidedItem {
    pub item_id: String,
    pub rank: i32,
    pub score: f32,
    pub source: String,
    /// Chance with which the policy shows it at this place (1 for a deterministic policy).
    pub propensity: f32,
    /// The exact feature row, little-endian f32 values; empty where the tier computes none.
    pub row: Vec<u8>,
}
