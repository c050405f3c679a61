//! What a worker tells of a flush.

use std::fmt;
use std::time::Duration;

use tracing::error;
use upnext_common::item::stable_hash;
use upnext_common::metrics::{FreshnessLabels, LagLabels, PartitionLabels};
use upnext_store::{Flushed, SourcePosition};

use super::{Worker, labels};
use crate::stage::Stage;

/// What is said of a key in the log: an id of somebody stands in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct KeyHash(u64);

impl KeyHash {
    pub(super) fn of(key: &str) -> Self {
        Self(stable_hash(key.as_bytes()))
    }
}

impl fmt::Display for KeyHash {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "the key with hash {:016x}", self.0)
    }
}

/// What one flush did.
pub(super) struct Told {
    pub(super) flushed: Flushed,
    pub(super) took: Duration,
    pub(super) entries: usize,
    pub(super) records: u64,
    /// Of each entry when it happened and its record's timestamp.
    pub(super) times_ms: Vec<(i64, i64)>,
}

impl<S: Stage> Worker<S> {
    pub(super) fn tell(&self, told: &Told) {
        let metrics = &self.shared.metrics;
        let labels = labels::<S>();
        metrics.flush_duration.get_or_create(&labels).observe(told.took.as_secs_f64());
        metrics.flushed_states.get_or_create(&labels).inc_by(told.flushed.stored as u64);
        metrics.skipped_puts.get_or_create(&labels).inc_by(told.flushed.skipped as u64);
        metrics.state.flush_entries.get_or_create(&labels).observe(told.entries as f64);
        metrics.state.applied_records.get_or_create(&labels).inc_by(told.records);
        self.tell_ages(&told.times_ms);
    }

    fn tell_ages(&self, times_ms: &[(i64, i64)]) {
        let now_ms = self.shared.clock.now_ms();
        let age_s = |since_ms: i64| (now_ms - since_ms).max(0) as f64 / 1_000.0;
        let at = S::VISIBLE_AT;
        let freshness = &self.shared.metrics.state.freshness;
        let fresh = |since| freshness.get_or_create_owned(&FreshnessLabels { at, since });
        let (by_event, by_record) = (fresh("event"), fresh("record"));
        for (event_ms, record_ms) in times_ms {
            by_event.observe(age_s(*event_ms));
            by_record.observe(age_s(*record_ms));
        }
        if let Some((_, newest_ms)) = times_ms.last() {
            self.tell_lag(age_s(*newest_ms));
        }
    }

    pub(super) fn tell_states(&self, blobs: &[(String, Vec<u8>)]) {
        let metrics = &self.shared.metrics.state;
        let sizes = metrics.state_bytes.get_or_create_owned(&labels::<S>());
        for (_, blob) in blobs {
            sizes.observe(blob.len() as f64);
        }
        self.tell_cached(self.states.bytes());
    }

    fn tell_cached(&self, bytes: usize) {
        let place = PartitionLabels { stage: S::STAGE.name(), partition: self.partition };
        let bytes = i64::try_from(bytes).unwrap_or(i64::MAX);
        self.shared.metrics.state.cached_bytes.get_or_create(&place).set(bytes);
    }

    /// A repeat is of the epoch that is known, or was told before. One of an epoch that is over may be news that
    /// nobody counts: somebody has begun an old epoch again.
    pub(super) fn note_older_epoch(&mut self, source: i32, position: SourcePosition) {
        let known = self.progress.sources.get(&source).map_or(0, |known| known.epoch);
        if position.epoch >= known {
            return;
        }
        let metrics = &self.shared.metrics.state;
        metrics.older_epochs.get_or_create(&labels::<S>()).inc();
        if !std::mem::replace(&mut self.has_met_older_epoch, true) {
            let (stage, partition, epoch) = (S::STAGE.name(), self.partition, position.epoch);
            error!(
                stage,
                partition,
                source,
                epoch,
                known,
                "entries of an epoch that is over are dropped: verify, and rebuild if states differ"
            );
        }
    }

    /// How old the newest record that was applied is; nothing when all of them are.
    pub(super) fn tell_lag(&self, seconds: f64) {
        let lag = LagLabels { topic: S::TOPIC.base().to_owned(), partition: self.partition };
        self.shared.metrics.consumer_lag_seconds.get_or_create(&lag).set(seconds);
    }
}

impl<S: Stage> Drop for Worker<S> {
    /// What it held is free.
    fn drop(&mut self) {
        self.tell_cached(0);
    }
}
