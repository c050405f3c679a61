//! How large a batch the outcome topics take: asked before anything is sent, and again from time to time.
//!
//! A record that the broker refuses after later ones were written cannot be put back in its place: whoever counts has
//! seen those later ones. So what is too large must be known before it is sent.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tracing::{info, warn};
use upnext_common::drain::Drain;
use upnext_common::topic::Topic;
use upnext_kafka::admin;

use crate::outlet::Outlet;

/// What any broker takes, unless somebody has made it less: asked for before it is relied on.
const BYTES_DEFAULT: usize = 1_000_000;
const REFRESH: Duration = Duration::from_secs(30);
/// How long the answer of a broker that is away is waited for. The limits are asked for again later.
const WAIT_MAX: Duration = Duration::from_secs(5);

/// Shared by all partitions.
#[derive(Debug)]
pub(crate) struct Limits {
    brokers: String,
    valid: Limit,
    dead: Limit,
    /// What became of records that a broker refused after all, by partition and offset of the record.
    refused: Mutex<HashMap<i32, BTreeMap<i64, Refusals>>>,
}

/// What a broker did not take of one record.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Refusals {
    /// Its event: it is a dead letter when it comes again.
    pub(crate) event: bool,
    /// Its dead letter, how often: each time less of it is sent.
    pub(crate) letters: u8,
}

#[derive(Debug)]
struct Limit {
    topic: String,
    bytes: AtomicUsize,
}

impl Limits {
    pub(crate) fn new(brokers: &str, topic_prefix: &str) -> Self {
        let of = |topic: Topic| Limit {
            topic: topic.name(topic_prefix),
            bytes: AtomicUsize::new(BYTES_DEFAULT),
        };
        Self {
            brokers: brokers.to_owned(),
            valid: of(Topic::Valid),
            dead: of(Topic::DeadLetters),
            refused: Mutex::new(HashMap::new()),
        }
    }

    pub(crate) fn valid(&self) -> usize {
        self.valid.bytes.load(Ordering::Acquire)
    }

    pub(crate) fn dead(&self) -> usize {
        self.dead.bytes.load(Ordering::Acquire)
    }

    /// Largest batch that either topic takes.
    pub(crate) fn batch(&self) -> usize {
        self.valid().min(self.dead())
    }

    /// The record at this place does not go to `topic` as it was sent there.
    pub(crate) fn note_refused(&self, partition: i32, offset: i64, topic: Topic) {
        let mut refused = self.refused.lock();
        let found = refused.entry(partition).or_default().entry(offset).or_default();
        if topic == Topic::DeadLetters {
            found.letters = found.letters.saturating_add(1);
        } else {
            found.event = true;
        }
    }

    pub(crate) fn refusals(&self, partition: i32, offset: i64) -> Refusals {
        let refused = self.refused.lock();
        let found = refused.get(&partition).and_then(|offsets| offsets.get(&offset));
        found.copied().unwrap_or_default()
    }

    /// Everything before this offset is done.
    pub(crate) fn forget_refused(&self, partition: i32, next_offset: i64) {
        let mut refused = self.refused.lock();
        if let Some(offsets) = refused.get_mut(&partition) {
            offsets.retain(|offset, _| *offset >= next_offset);
            if offsets.is_empty() {
                refused.remove(&partition);
            }
        }
    }

    /// Asks now, waiting no longer than a while.
    pub(crate) async fn ask_in_time(&self) {
        if tokio::time::timeout(WAIT_MAX, self.ask()).await.is_err() {
            let (valid, dead) = (self.valid(), self.dead());
            warn!(valid, dead, "the topics' limits are not told, these are taken for them");
        }
    }

    /// Asks now and then until drained, and keeps batches as large as the answers allow.
    pub(crate) async fn keep(&self, outlet: &Outlet, drain: &Drain) {
        loop {
            tokio::select! {
                () = drain.started() => return,
                () = tokio::time::sleep(REFRESH) => self.ask().await,
            }
            outlet.fit(self.batch());
        }
    }

    async fn ask(&self) {
        for Limit { topic, bytes: limit } in [&self.valid, &self.dead] {
            match admin::batch_bytes_max(&self.brokers, topic).await {
                Ok(bytes) => {
                    if limit.swap(bytes, Ordering::AcqRel) != bytes {
                        info!(topic, bytes, "largest record");
                    }
                }
                Err(error) => warn!(topic, %error, "its limit is not told, the last one stays"),
            }
        }
    }
}

/// What to do about a batch that was refused, of a producer of batches of `batch` bytes, in a partition that began when
/// the limit was `then`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Remedy {
    /// The records go again, in batches of so many bytes, each judged by the limit as it is now.
    Fit(usize),
    /// Nothing explains it, and the record was alone: it is what is refused.
    Believe,
}

impl Remedy {
    pub(crate) fn of(then: usize, now: usize, batch: usize) -> Self {
        if now < then || now < batch {
            Self::Fit(now)
        } else if batch > ALONE {
            Self::Fit(ALONE)
        } else {
            Self::Believe
        }
    }
}

/// So few bytes that no second record joins a batch.
pub(crate) const ALONE: usize = 1;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_refused_is_remembered_until_it_is_done() {
        let limits = Limits::new("127.0.0.1:9", "upnext");
        let nothing = Refusals::default();
        limits.note_refused(1, 10, Topic::Valid);
        limits.note_refused(1, 12, Topic::Valid);
        limits.forget_refused(1, 11);
        assert_eq!(limits.refusals(1, 10), nothing);
        assert_eq!(limits.refusals(1, 12), Refusals { event: true, letters: 0 });
        assert_eq!(limits.refusals(0, 12), nothing);
        limits.forget_refused(1, 13);
        assert!(limits.refused.lock().is_empty());
    }

    #[test]
    fn a_letter_that_is_refused_says_nothing_of_the_event() {
        let limits = Limits::new("127.0.0.1:9", "upnext");
        for letters in 1..=2 {
            limits.note_refused(0, 5, Topic::DeadLetters);
            assert_eq!(limits.refusals(0, 5), Refusals { event: false, letters });
        }
    }

    #[test]
    fn a_refused_batch_is_fitted_then_taken_apart_then_believed() {
        let large = 1_000_000;
        assert_eq!(Remedy::of(large, 5_000, large), Remedy::Fit(5_000));
        assert_eq!(Remedy::of(16 * large, 4 * large, large), Remedy::Fit(4 * large));
        assert_eq!(
            Remedy::of(5_000, 5_000, large),
            Remedy::Fit(5_000),
            "told by another meanwhile"
        );
        assert_eq!(Remedy::of(large, large, large), Remedy::Fit(1));
        assert_eq!(Remedy::of(large, large, 1), Remedy::Believe);
        assert_eq!(Remedy::of(large, 5_000, 1), Remedy::Fit(5_000));
    }
}
