//! One guard taken out: what the negative controls of the chaos harness run, to show that its verifier would notice.

use upnext_common::clock::Clock;
use upnext_common::drain::Drain;
use upnext_kafka::{Outgoing, ProducerSettings};

use crate::{Drained, Ingest, IngestError};

/// How long records wait for others where a crash is to find some of them on the way.
const LONG_LINGER_MS: u64 = 3_000;

/// Which guard is missing. Nothing but code can ask for one: there is no configuration of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Weakened {
    #[default]
    None,
    /// What was sent is committed, acknowledged or not.
    CommitsBeforeDelivery,
    /// Valid records do not say where they were read.
    NoSourcePositions,
    /// Valid records and dead letters bear the time at which they were sent.
    WallClock,
    /// Dead letters say why, and not what.
    BareLetters,
}

impl Weakened {
    /// The four that lack something.
    pub const ALL: [Self; 4] =
        [Self::CommitsBeforeDelivery, Self::NoSourcePositions, Self::WallClock, Self::BareLetters];

    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::CommitsBeforeDelivery => "commits-before-delivery",
            Self::NoSourcePositions => "unmarked-records",
            Self::WallClock => "wall-clock",
            Self::BareLetters => "bare-letters",
        }
    }

    pub(crate) fn commits_first(self) -> bool {
        self == Self::CommitsBeforeDelivery
    }

    pub(crate) fn linger_ms(self) -> u64 {
        if self.commits_first() { LONG_LINGER_MS } else { ProducerSettings::default().linger_ms }
    }

    /// What is sent instead.
    pub(crate) fn spoil(self, outgoing: &mut Outgoing, dead_letters: &str, clock: &Clock) {
        match self {
            Self::None | Self::CommitsBeforeDelivery => {}
            Self::NoSourcePositions => {
                outgoing.headers.retain(|(name, _)| !name.starts_with("upnext.source."));
            }
            Self::WallClock => outgoing.timestamp_ms = Some(clock.now_ms()),
            Self::BareLetters if outgoing.topic == dead_letters => outgoing.value = None,
            Self::BareLetters => {}
        }
    }
}

impl Ingest {
    /// [`Ingest::run`] without one of its guards.
    ///
    /// # Errors
    /// As [`Ingest::run`].
    pub async fn run_weakened(
        self,
        weakened: Weakened,
        drain: Drain,
    ) -> Result<Drained, IngestError> {
        self.run_as(weakened, drain).await
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    #[test]
    fn a_whole_daemon_lacks_no_guard_and_every_other_lacks_one() {
        let outgoing = Outgoing {
            topic: "dlq".to_owned(),
            value: Some(Bytes::from_static(b"v")),
            headers: vec![("upnext.source.offset".to_owned(), None)],
            timestamp_ms: Some(1),
            ..Outgoing::default()
        };
        let is_whole = |weakened: Weakened| {
            let mut spoilt = outgoing.clone();
            weakened.spoil(&mut spoilt, "dlq", &Clock::system());
            spoilt == outgoing && !weakened.commits_first() && weakened.linger_ms() == 5
        };
        assert!(is_whole(Weakened::default()));
        for weakened in Weakened::ALL {
            assert!(!is_whole(weakened), "{weakened:?}");
        }
    }
}
