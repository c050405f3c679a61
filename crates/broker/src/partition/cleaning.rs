//! What is done to a partition's log from time to time: segments are sealed and brought to disk, those that are old are
//! deleted, the others compacted.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use super::compaction::Compaction;
use super::{Inner, Partition};
use crate::keeping::Keeping;
use crate::log::{self, Segment};

/// An active segment is not sealed for compaction alone while it is smaller.
const COMPACTED_BYTES_MIN: u64 = 64 << 10;

/// One round of cleaning.
#[derive(Clone, Copy)]
pub(crate) struct Round<'a> {
    pub keeping: Keeping,
    pub now_ms: i64,
    /// Whether to stop at the next good place.
    pub is_stopping: &'a dyn Fn() -> bool,
}

impl Partition {
    /// Cleans once. Only one thread may do so at a time. What fails is tried again in the next round.
    pub(crate) fn clean(&self, round: Round<'_>) -> io::Result<()> {
        let _cleaning = self.cleaning.lock();
        let is_stopping = || (round.is_stopping)() || self.is_closed();
        let round = Round { is_stopping: &is_stopping, ..round };
        self.roll_what_is_due(round)?;
        self.settle()?;
        self.delete_what_is_old(round)?;
        if round.keeping.is_compacted && !(round.is_stopping)() {
            self.compact(round)?;
        }
        Ok(())
    }

    /// Seals the active segment if it has become too old, or holds enough to compact, or nothing that is still kept.
    fn roll_what_is_due(&self, round: Round<'_>) -> io::Result<()> {
        let mut inner = self.inner.lock();
        if inner.is_closed || inner.log.active().is_empty() {
            return Ok(());
        }
        let age_ms = inner.active_since_ms.map_or(0, |since| round.now_ms.saturating_sub(since));
        let is_due = age_ms >= round.keeping.active_ms_max()
            || inner.is_active_outdated(round)
            || inner.is_active_worth_compacting(round);
        if is_due { inner.roll() } else { Ok(()) }
    }

    /// Brings sealed segments to disk with their footers, and what producers had done before the active one.
    fn settle(&self) -> io::Result<()> {
        let (directory, unsettled, unkept) = {
            let mut inner = self.inner.lock();
            if inner.is_closed {
                return Ok(());
            }
            let unsettled: Vec<Arc<Segment>> =
                inner.log.sealed().iter().filter(|it| !it.is_settled()).map(Arc::clone).collect();
            (inner.directory(), unsettled, inner.unkept.take())
        };
        let kept = unkept
            .as_ref()
            .map_or(Ok(()), |(offset, bytes)| log::keep_producers(&directory, *offset, bytes));
        if kept.is_err() {
            let mut inner = self.inner.lock();
            inner.unkept = inner.unkept.take().or(unkept);
        }
        kept?;
        unsettled.iter().try_for_each(|segment| segment.settle(&directory))
    }

    fn delete_what_is_old(&self, round: Round<'_>) -> io::Result<()> {
        let (directory, until) = {
            let inner = self.inner.lock();
            let count = inner.outdated_count(round);
            if inner.is_closed || count == 0 {
                return Ok(());
            }
            let next = inner.log.sealed().get(count).map(Arc::as_ref);
            (inner.directory(), next.unwrap_or(inner.log.active()).base_offset)
        };
        let until = log::remove_swaps(&directory, until)?;
        let forgotten = {
            let mut inner = self.inner.lock();
            if inner.is_closed {
                return Ok(());
            }
            let count = inner.log.sealed().iter().take_while(|it| it.next_offset <= until).count();
            let forgotten = inner.log.forget_oldest(count);
            let base_offset = inner.log.base_offset();
            inner.start_offset = inner.start_offset.max(base_offset);
            inner.producers.forget_aborted_before(base_offset);
            forgotten
        };
        let Some(last) = forgotten.last() else { return Ok(()) };
        let (segments, until) = (forgotten.len(), last.next_offset);
        tracing::debug!(directory = %directory.display(), segments, until, "deleting old segments");
        log::delete_files(&directory, &forgotten)
    }

    fn compact(&self, round: Round<'_>) -> io::Result<()> {
        let Some(compaction) = Compaction::of(&self.inner.lock(), round) else { return Ok(()) };
        log::check_no_swap(compaction.directory())?;
        compaction.run(round, |clean, until| {
            let mut inner = self.inner.lock();
            inner.log.put_clean(clean, until);
            inner.producers.forget_aborted_before(until);
        })
    }

    /// Brings what was written last to disk, without holding the lock.
    pub(crate) fn flush(&self) -> io::Result<()> {
        let (active, until) = {
            let inner = self.inner.lock();
            let until = inner.log.next_offset();
            if inner.flushed_until == until {
                return Ok(());
            }
            (inner.log.active().window(), until)
        };
        active.sync()?;
        self.inner.lock().flushed_until = until;
        Ok(())
    }
}

impl Inner {
    pub(super) fn directory(&self) -> PathBuf {
        self.log.directory().to_owned()
    }

    /// Whether the whole log, the active segment too, may go.
    fn is_active_outdated(&self, round: Round<'_>) -> bool {
        let next_offset = self.log.next_offset();
        self.start_offset >= next_offset
            || (round.keeping.is_deleted
                && self.bounds().stable_offset >= next_offset
                && (round.keeping.retention_bytes == Some(0) || self.is_all_outdated(round)))
    }

    fn is_all_outdated(&self, round: Round<'_>) -> bool {
        let sealed = self.log.sealed().iter().map(Arc::as_ref);
        sealed.chain([self.log.active()]).all(|segment| is_outdated(segment, round))
    }

    fn is_active_worth_compacting(&self, round: Round<'_>) -> bool {
        let keeping = round.keeping;
        let active = self.log.active();
        if !keeping.is_compacted || active.bytes < COMPACTED_BYTES_MIN {
            return false;
        }
        let clean: u64 = self.log.sealed().iter().filter(|it| it.is_clean).map(|it| it.bytes).sum();
        let is_settled = |latest: i64| {
            keeping.lag_min_ms == 0 || latest <= round.now_ms.saturating_sub(keeping.lag_min_ms)
        };
        ratio(self.log.bytes() - clean, self.log.bytes()) >= keeping.dirty_ratio_min
            && active.max_timestamp().is_none_or(is_settled)
    }

    /// How many of the oldest sealed segments may go: deleted, too old, or too much. None of an open transaction.
    fn outdated_count(&self, round: Round<'_>) -> usize {
        let (start_offset, stable_offset) = (self.start_offset, self.bounds().stable_offset);
        let deleted = self.log.sealed().iter().take_while(|it| it.next_offset <= start_offset);
        let deleted = deleted.count();
        if !round.keeping.is_deleted {
            return deleted;
        }
        let bytes_max = round.keeping.retention_bytes.unwrap_or(u64::MAX);
        let mut excess = self.log.bytes().saturating_sub(bytes_max);
        let aged = self.log.sealed().iter().take_while(|segment| {
            let is_excess = excess >= segment.bytes && excess > 0;
            excess = excess.saturating_sub(segment.bytes);
            segment.next_offset <= stable_offset && (is_excess || is_outdated(segment, round))
        });
        deleted.max(aged.count())
    }
}

/// Whether all records of a segment are older than the topic keeps them.
fn is_outdated(segment: &Segment, round: Round<'_>) -> bool {
    let Some(retention_ms) = round.keeping.retention_ms else { return false };
    let latest = segment.max_timestamp().filter(|it| *it >= 0).or_else(|| segment.modified_ms());
    latest.is_some_and(|latest| round.now_ms.saturating_sub(latest) > retention_ms)
}

/// Part of a whole; of nothing, nothing.
#[expect(clippy::cast_precision_loss, reason = "a ratio of sizes need not be exact")]
pub(super) fn ratio(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

#[cfg(test)]
mod tests;
