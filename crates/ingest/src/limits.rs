//! How large a batch the outcome topics take: asked before anything is sent, and again from time to time.
//!
//! A record that the broker refuses after later ones were written cannot be put back in its place: whoever counts has
//! seen those later ones. So what is too large must be known before it is sent.

use std::collections::{BTreeSet, HashMap};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tracing::{info, warn};
use upnext_common::drain::Drain;
use upnext_kafka::admin;

/// What any broker takes, unless somebody has made it less: asked for before it is relied on.
const BYTES_DEFAULT: usize = 1_000_000;
const REFRESH: Duration = Duration::from_secs(30);
/// How long a start waits for the answer of a broker that is away. The limits are asked for again later.
const FIRST_WAIT_MAX: Duration = Duration::from_secs(5);

/// Shared by all partitions.
#[derive(Debug)]
pub(crate) struct Limits {
    valid: AtomicUsize,
    dead: AtomicUsize,
    /// Records that a broker refused after all, by partition: they are dead letters when they come again.
    refused: Mutex<HashMap<i32, BTreeSet<i64>>>,
}

impl Limits {
    pub(crate) fn new() -> Self {
        Self {
            valid: AtomicUsize::new(BYTES_DEFAULT),
            dead: AtomicUsize::new(BYTES_DEFAULT),
            refused: Mutex::new(HashMap::new()),
        }
    }

    pub(crate) fn valid(&self) -> usize {
        self.valid.load(Ordering::Acquire)
    }

    pub(crate) fn dead(&self) -> usize {
        self.dead.load(Ordering::Acquire)
    }

    /// Largest batch that either topic takes.
    pub(crate) fn batch(&self) -> usize {
        self.valid().min(self.dead())
    }

    pub(crate) fn note_refused(&self, partition: i32, offset: i64) {
        self.refused.lock().entry(partition).or_default().insert(offset);
    }

    pub(crate) fn was_refused(&self, partition: i32, offset: i64) -> bool {
        self.refused.lock().get(&partition).is_some_and(|offsets| offsets.contains(&offset))
    }

    /// Everything before this offset is done.
    pub(crate) fn forget_refused(&self, partition: i32, next_offset: i64) {
        let mut refused = self.refused.lock();
        if let Some(offsets) = refused.get_mut(&partition) {
            offsets.retain(|offset| *offset >= next_offset);
            if offsets.is_empty() {
                refused.remove(&partition);
            }
        }
    }

    /// Asks once, waiting no longer than a while.
    pub(crate) async fn ask_first(&self, brokers: &str, topics: (&str, &str)) {
        if tokio::time::timeout(FIRST_WAIT_MAX, self.ask(brokers, topics)).await.is_err() {
            warn!("the topics' limits are not told yet, {BYTES_DEFAULT} bytes are taken for them");
        }
    }

    /// Asks now and then until drained.
    pub(crate) async fn keep(&self, brokers: &str, topics: (&str, &str), drain: &Drain) {
        loop {
            tokio::select! {
                () = drain.started() => return,
                () = tokio::time::sleep(REFRESH) => self.ask(brokers, topics).await,
            }
        }
    }

    pub(crate) async fn ask(&self, brokers: &str, (valid, dead): (&str, &str)) {
        for (topic, limit) in [(valid, &self.valid), (dead, &self.dead)] {
            match admin::batch_bytes_max(brokers, topic).await {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_refused_is_remembered_until_it_is_done() {
        let limits = Limits::new();
        limits.note_refused(1, 10);
        limits.note_refused(1, 12);
        limits.forget_refused(1, 11);
        assert!(!limits.was_refused(1, 10) && limits.was_refused(1, 12));
        assert!(!limits.was_refused(0, 12));
        limits.forget_refused(1, 13);
        assert!(limits.refused.lock().is_empty());
    }
}
