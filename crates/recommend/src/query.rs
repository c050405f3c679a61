//! What is asked: when, for how many items, around which session, with which filters.

use std::collections::{BTreeMap, HashSet};

use upnext_common::item::ItemHash;

/// One question, as the caller put it; whose state it concerns is given beside it.
#[derive(Clone, Debug, PartialEq)]
pub struct Query {
    pub now_ms: i64,
    /// How many items are wanted.
    pub k: usize,
    /// `stable_hash` of the session id; unset: the session of the newest event, if that is fresh.
    pub session: Option<u64>,
    /// Treated as the newest events of the session, oldest first; not stored.
    pub seeds: Vec<ItemHash>,
    pub exclude: HashSet<ItemHash>,
    pub filters: Filters,
    pub seen: Seen,
    pub surface: String,
    /// Whether dropped candidates are recorded with their causes.
    pub explain: bool,
}

impl Query {
    /// A question without session, seeds or filters.
    #[must_use]
    pub fn new(now_ms: i64, k: usize) -> Self {
        Self {
            now_ms,
            k,
            session: None,
            seeds: Vec::new(),
            exclude: HashSet::new(),
            filters: Filters::default(),
            seen: Seen::default(),
            surface: "home".to_owned(),
            explain: false,
        }
    }
}

/// What an item must be like to be answered. An item without the fact asked for does not pass.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Filters {
    pub category_in: Option<Vec<String>>,
    /// An item without a category passes this one.
    pub category_not_in: Option<Vec<String>>,
    pub price_min: Option<f64>,
    pub price_max: Option<f64>,
    /// Every named attribute must have exactly this text.
    pub attributes: BTreeMap<String, String>,
}

/// What becomes of items that the user interacted with before.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Seen {
    /// They may come again, except the one in view (the newest of this session).
    #[default]
    Allow,
    /// They come after everything else.
    Demote,
    /// They do not come.
    Exclude,
}

impl Seen {
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Demote => "demote",
            Self::Exclude => "exclude",
        }
    }

    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Allow, Self::Demote, Self::Exclude].into_iter().find(|seen| seen.name() == name)
    }
}
