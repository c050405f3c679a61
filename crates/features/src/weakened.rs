//! One guard taken out: what the negative controls of the chaos harness run, to show that its verifier would notice.

use crate::Features;
use crate::{Drain, Drained, FeaturesError};

/// Which guard is missing. Nothing but code can ask for one: there is no configuration of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Weakened {
    #[default]
    None,
    /// No positions at all, as one would write it at first: begins at the commit, counts whatever it reads, puts it
    /// whatever is stored.
    NaiveIncrements,
    /// What the hop before repeats is counted again.
    NoSourcePositions,
    /// Work resumes from the Kafka commit that follows each flush, not from the watermark.
    ResumeFromCommit,
    /// After an error of the store: a new connection, and the states in memory are believed on.
    TransparentReconnect,
    /// A flush stores its blobs before its signals are acknowledged.
    BlobsBeforeSignals,
}

impl Weakened {
    /// The five that lack something.
    pub const ALL: [Self; 5] = [
        Self::NaiveIncrements,
        Self::NoSourcePositions,
        Self::ResumeFromCommit,
        Self::TransparentReconnect,
        Self::BlobsBeforeSignals,
    ];

    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::NaiveIncrements => "naive-increments",
            Self::NoSourcePositions => "no-source-positions",
            Self::ResumeFromCommit => "resume-from-commit",
            Self::TransparentReconnect => "transparent-reconnect",
            Self::BlobsBeforeSignals => "blobs-before-signals",
        }
    }

    pub(crate) fn is_naive(self) -> bool {
        self == Self::NaiveIncrements
    }

    pub(crate) fn ignores_sources(self) -> bool {
        matches!(self, Self::NaiveIncrements | Self::NoSourcePositions)
    }

    /// Where work resumes, given what the store and what the group says.
    pub(crate) fn resume(self, stored: i64, committed: i64) -> i64 {
        match self {
            Self::NaiveIncrements | Self::ResumeFromCommit => committed,
            Self::None
            | Self::NoSourcePositions
            | Self::TransparentReconnect
            | Self::BlobsBeforeSignals => stored,
        }
    }

    pub(crate) fn reconnects(self) -> bool {
        self == Self::TransparentReconnect
    }

    pub(crate) fn puts_blobs_first(self) -> bool {
        self == Self::BlobsBeforeSignals
    }
}

impl Features {
    /// [`Features::run`] without one of its guards.
    ///
    /// # Errors
    /// As [`Features::run`].
    pub async fn run_weakened(
        self,
        weakened: Weakened,
        drain: Drain,
    ) -> Result<Drained, FeaturesError> {
        self.run_as(weakened, true, drain).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_whole_daemon_lacks_no_guard() {
        let whole = Weakened::default();
        assert!(!whole.is_naive() && !whole.ignores_sources());
        assert!(!whole.reconnects() && !whole.puts_blobs_first());
        assert_eq!(whole.resume(3, 9), 3);
        for weakened in Weakened::ALL {
            let lacks = [
                weakened.ignores_sources(),
                weakened.resume(3, 9) == 9,
                weakened.reconnects(),
                weakened.puts_blobs_first(),
            ];
            let expected = if weakened.is_naive() { 2 } else { 1 };
            assert_eq!(lacks.iter().filter(|lack| **lack).count(), expected, "{weakened:?}");
        }
    }
}
