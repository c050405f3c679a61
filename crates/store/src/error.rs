//! What can go wrong with the online store, and what a caller decides from it.

use redis::RedisError;
use thiserror::Error;
use upnext_common::fault::Fault;

#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum StoreError {
    #[error("the store did not answer in time")]
    Timeout,
    #[error("the store is not connected: {cause}")]
    Unavailable { cause: String },
    /// Several reads in a row failed: nobody waits until a probe succeeds.
    #[error("the store is known to be in trouble, not asked")]
    BreakerOpen,
    /// The watermark is not what its owner last wrote: data was lost, or another owner has taken over.
    #[error("the watermark was changed by somebody else")]
    Conflict,
    #[error("the store refused: {cause}")]
    Refused { cause: String },
    #[error("the store holds what nobody here wrote: {cause}")]
    Malformed { cause: String },
    /// The settings cannot be.
    #[error("{cause}")]
    Settings { cause: String },
    /// What is stored was laid out otherwise: number of key groups, or of partitions of a topic.
    #[error(
        "state is stored as `{recorded}`, not as `{wanted}`: the number of key groups or of a topic's partitions has changed"
    )]
    Layout { recorded: String, wanted: String },
    #[error("`{url}` is not the address of a store: {cause}")]
    Url { url: String, cause: String },
}

impl StoreError {
    #[must_use]
    pub fn fault(&self) -> Fault {
        match self {
            Self::Timeout
            | Self::Unavailable { .. }
            | Self::BreakerOpen
            | Self::Conflict
            | Self::Refused { .. } => Fault::UPSTREAM,
            Self::Malformed { .. } => Fault::INTERNAL,
            Self::Url { .. } | Self::Settings { .. } | Self::Layout { .. } => Fault::CALLER,
        }
    }
}

impl From<RedisError> for StoreError {
    fn from(error: RedisError) -> Self {
        if error.is_timeout() {
            Self::Timeout
        } else if error.is_io_error() || error.is_unrecoverable_error() || is_elsewhere(&error) {
            Self::Unavailable { cause: error.to_string() }
        } else {
            Self::Refused { cause: error.to_string() }
        }
    }
}

/// The node no longer has, or not yet, or not alone, what was asked for: a cluster is changing.
fn is_elsewhere(error: &RedisError) -> bool {
    use redis::{ErrorKind, ServerErrorKind};
    matches!(
        error.kind(),
        ErrorKind::Server(
            ServerErrorKind::Moved
                | ServerErrorKind::Ask
                | ServerErrorKind::TryAgain
                | ServerErrorKind::ClusterDown
                | ServerErrorKind::MasterDown
                | ServerErrorKind::ReadOnly
        )
    )
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    #[test]
    fn only_our_own_mistakes_are_not_worth_a_retry() {
        let cause = || "x".to_owned();
        for error in [StoreError::Timeout, StoreError::BreakerOpen, StoreError::Conflict] {
            assert!(error.fault().may_retry());
        }
        assert!(StoreError::Refused { cause: cause() }.fault().may_retry());
        assert!(!StoreError::Malformed { cause: cause() }.fault().may_retry());
        assert!(!StoreError::Url { url: cause(), cause: cause() }.fault().may_retry());
    }

    #[test]
    fn a_broken_connection_is_told_from_a_refusal() {
        let broken = RedisError::from(io::Error::from(io::ErrorKind::ConnectionReset));
        assert!(matches!(StoreError::from(broken), StoreError::Unavailable { .. }));
        let slow = RedisError::from(io::Error::from(io::ErrorKind::TimedOut));
        assert_eq!(StoreError::from(slow), StoreError::Timeout);
    }
}
