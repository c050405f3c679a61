//! The rungs of the ladder an answer can come from, and why it came from a lower one.

use serde::{Deserialize, Serialize};

/// The rung of the ladder an answer was made on, best first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Tier {
    Full,
    Cached,
    Stale,
    Session,
    Head,
    Trending,
    Static,
}

impl Tier {
    pub const ALL: [Self; 7] = [
        Self::Full,
        Self::Cached,
        Self::Stale,
        Self::Session,
        Self::Head,
        Self::Trending,
        Self::Static,
    ];

    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Cached => "cached",
            Self::Stale => "stale",
            Self::Session => "session",
            Self::Head => "head",
            Self::Trending => "trending",
            Self::Static => "static",
        }
    }

    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|tier| tier.name() == name)
    }
}

/// Why an answer was not made on the highest rung. A closed list: callers may switch on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    Deadline,
    Overload,
    FeaturesTimeout,
    FeaturesUnavailable,
    ModelUnavailable,
    ModelError,
    RetrievalError,
    BreakerOpen,
    ColdUser,
    Forced,
}

impl Reason {
    pub const ALL: [Self; 10] = [
        Self::Deadline,
        Self::Overload,
        Self::FeaturesTimeout,
        Self::FeaturesUnavailable,
        Self::ModelUnavailable,
        Self::ModelError,
        Self::RetrievalError,
        Self::BreakerOpen,
        Self::ColdUser,
        Self::Forced,
    ];

    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Deadline => "deadline",
            Self::Overload => "overload",
            Self::FeaturesTimeout => "features_timeout",
            Self::FeaturesUnavailable => "features_unavailable",
            Self::ModelUnavailable => "model_unavailable",
            Self::ModelError => "model_error",
            Self::RetrievalError => "retrieval_error",
            Self::BreakerOpen => "breaker_open",
            Self::ColdUser => "cold_user",
            Self::Forced => "forced",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_match_what_is_written_as_json() {
        for tier in Tier::ALL {
            assert_eq!(serde_json::to_value(tier).unwrap(), tier.name());
            assert_eq!(Tier::from_name(tier.name()), Some(tier));
        }
        for reason in Reason::ALL {
            assert_eq!(serde_json::to_value(reason).unwrap(), reason.name());
        }
    }
}
