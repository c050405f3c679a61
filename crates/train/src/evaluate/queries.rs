//! The frozen queries of a data set, and what is asked for each: the same offline and over HTTP.

use std::path::Path;

use serde::Deserialize;

use super::EvaluateError;
use crate::dataset::{DatasetError, Lines};

/// Most items of one answer that are scored.
pub const ANSWER_ITEMS_MAX: usize = 100;

/// One line of `queries.jsonl.gz`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct FrozenQuery {
    pub qid: u64,
    pub split: String,
    pub ts_ms: i64,
    #[serde(default)]
    pub user_id: String,
    pub session_id: String,
    /// What was seen in this session (or put into this basket) before, oldest first.
    #[serde(default)]
    pub session: Vec<String>,
    #[serde(default)]
    pub seen: Vec<String>,
    pub targets: Vec<String>,
    pub exclude: String,
    #[serde(default)]
    pub pos: u32,
    pub kind: String,
    pub cohort: String,
}

impl FrozenQuery {
    /// What an answer may not contain; a violation is taken out and counted.
    #[must_use]
    pub fn banned(&self) -> &[String] {
        match self.exclude.as_str() {
            "last" => &self.session[self.session.len().saturating_sub(1)..],
            "session" => &self.session,
            "seen" => &self.seen,
            _ => &[],
        }
    }

    /// Whose resampling unit this query is: the user, or the session where nobody is known.
    #[must_use]
    pub fn cluster(&self) -> &str {
        if self.user_id.is_empty() { &self.session_id } else { &self.user_id }
    }

    /// What is asked. A basket is given as seeds, since its events lie at the query's own time.
    #[must_use]
    pub fn plan(&self) -> QueryPlan {
        let user = (!self.user_id.is_empty()).then(|| self.user_id.clone());
        QueryPlan {
            qid: self.qid,
            now_ms: self.ts_ms,
            anonymous_id: user.is_none().then(|| self.session_id.clone()),
            user_id: user,
            session_id: self.session_id.clone(),
            seed_items: match self.kind.as_str() {
                "basket-completion" => self.session.clone(),
                _ => Vec::new(),
            },
            exclude_items: self.banned().to_vec(),
            k: ANSWER_ITEMS_MAX,
        }
    }
}

/// One request, in the words of `POST /v1/recommendations`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueryPlan {
    pub qid: u64,
    /// Events before this moment are visible, none at or after it.
    pub now_ms: i64,
    pub user_id: Option<String>,
    pub anonymous_id: Option<String>,
    pub session_id: String,
    /// Oldest first.
    pub seed_items: Vec<String>,
    pub exclude_items: Vec<String>,
    pub k: usize,
}

/// The queries of `DIR/queries.jsonl.gz` (or `.jsonl`) in the file's order.
///
/// # Errors
/// When there is no such file, or a line of it is no query.
pub fn queries(directory: &Path) -> Result<Vec<FrozenQuery>, EvaluateError> {
    let mut lines = Lines::open(&either(directory, "queries.jsonl"))?;
    let mut queries = Vec::new();
    while let Some(read) = lines.next_line() {
        let (line, text) = read?;
        let query = serde_json::from_str(&text)
            .map_err(|cause| DatasetError::BadRow { line, message: cause.to_string() })?;
        queries.push(query);
    }
    Ok(queries)
}

/// When validation and test start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub struct Cuts {
    pub valid_from_ms: i64,
    pub test_from_ms: i64,
}

impl Cuts {
    /// Where the split starts: only events before this may be fitted on.
    ///
    /// # Errors
    /// When there is no such split.
    pub fn start_of(&self, split: &str) -> Result<i64, EvaluateError> {
        match split {
            "valid" => Ok(self.valid_from_ms),
            "test" => Ok(self.test_from_ms),
            other => Err(EvaluateError::Split { found: other.to_owned() }),
        }
    }
}

/// Reads `DIR/split.json`.
///
/// # Errors
/// When it is missing or lacks a cut.
pub fn cuts(directory: &Path) -> Result<Cuts, EvaluateError> {
    let path = directory.join("split.json");
    let shown = path.display().to_string();
    let text = std::fs::read_to_string(&path)
        .map_err(|cause| DatasetError::Unreadable { path: shown.clone(), cause })?;
    serde_json::from_str(&text).map_err(|cause| EvaluateError::Cuts { path: shown, cause })
}

/// `name.gz` where it exists, else `name`.
pub(crate) fn either(directory: &Path, name: &str) -> std::path::PathBuf {
    let zipped = directory.join(format!("{name}.gz"));
    if zipped.exists() { zipped } else { directory.join(name) }
}
