//! What can go wrong while fitting or shaping a model.

use upnext_common::fault::Fault;

/// A model could not be made.
#[derive(Debug, thiserror::Error)]
pub enum ModelError {
    /// There is not enough to learn from; callers go on without this model.
    #[error("nothing to learn: {0}")]
    NothingToLearn(&'static str),
    /// The input contradicts itself.
    #[error("{what} is {actual}, expected {expected}")]
    Shape { what: &'static str, actual: usize, expected: String },
    /// The loss is no longer a number.
    #[error("the loss is not finite at step {step}")]
    NotFinite { step: usize },
    #[error("tensor backend failed: {0}")]
    Backend(#[from] candle_core::Error),
}

impl ModelError {
    #[must_use]
    pub fn fault(&self) -> Fault {
        match self {
            Self::NothingToLearn(_) | Self::Shape { .. } => Fault::CALLER,
            Self::NotFinite { .. } | Self::Backend(_) => Fault::INTERNAL,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_caller_is_told_apart_from_a_failure_of_ours() {
        assert_eq!(ModelError::NothingToLearn("no slates").fault(), Fault::CALLER);
        assert_eq!(ModelError::NotFinite { step: 3 }.fault(), Fault::INTERNAL);
    }
}
