//! Compaction: of the records of a key only the newest stays, in a segment written aside and put in the place of
//! those it stands for.
//!
//! One pass first reads the part that is new and notes the newest offset of every key in it, then copies everything
//! from the start, leaving out what has a newer record, what belongs to an aborted transaction, and tombstones and
//! markers whose time has passed. Offsets, times, producers and sequences stay. Keys are noted by a 128-bit
//! hash with a secret of this process.

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;

use super::Inner;
use super::cleaning::{Round, ratio};
use super::producers::AbortedTransaction;
use crate::batch::{self, BatchHeader, Record, Thinned, Thinning};
use crate::log::{CleanWriter, Segment};

/// Keys noted in one pass; a pass takes no more segments than fit, but one at least.
const KEYS_MAX: usize = 2_000_000;

/// One pass over a log.
pub(super) struct Compaction {
    directory: PathBuf,
    /// Sealed and settled, from the start of the log.
    segments: Vec<Arc<Segment>>,
    /// The first that was not compacted.
    first_dirty: usize,
    /// One past what the segments stand for.
    until: i64,
    aborted: HashMap<i64, Vec<AbortedTransaction>>,
    last_offsets: HashMap<i64, i64>,
}

impl Compaction {
    /// What there is to compact now; `None` if it is not worth it yet.
    pub(super) fn of(inner: &Inner, round: Round<'_>) -> Option<Self> {
        let keeping = round.keeping;
        let stable_offset = inner.bounds().stable_offset;
        let lag_end_ms = round.now_ms.saturating_sub(keeping.lag_min_ms);
        let may_go = |segment: &&Arc<Segment>| {
            let is_settled = segment.is_clean
                || keeping.lag_min_ms == 0
                || segment.max_timestamp().is_none_or(|latest| latest <= lag_end_ms);
            segment.is_settled() && segment.next_offset <= stable_offset && is_settled
        };
        let sealed = inner.log.sealed();
        let segments: Vec<Arc<Segment>> =
            sealed.iter().take_while(may_go).map(Arc::clone).collect();
        let next = sealed.get(segments.len()).map(Arc::as_ref).unwrap_or(inner.log.active());
        let first_dirty = segments.iter().take_while(|it| it.is_clean).count();
        let compaction = Self {
            directory: inner.directory(),
            until: next.base_offset,
            segments,
            first_dirty,
            aborted: by_producer(inner.producers.aborted()),
            last_offsets: inner.producers.last_offsets(),
        };
        (!inner.is_closed && compaction.is_due(round)).then_some(compaction)
    }

    pub(super) fn directory(&self) -> &Path {
        &self.directory
    }

    fn is_due(&self, round: Round<'_>) -> bool {
        let bytes = |segments: &[Arc<Segment>]| segments.iter().map(|it| it.bytes).sum::<u64>();
        let (clean, dirty) = self.segments.split_at(self.first_dirty);
        let is_late = dirty
            .first()
            .and_then(|first| first.first_timestamp)
            .is_some_and(|first| first <= round.now_ms.saturating_sub(round.keeping.lag_max_ms));
        let has_expired = clean.iter().any(|segment| segment.horizon_ms <= round.now_ms);
        let is_dirty = ratio(bytes(dirty), bytes(&self.segments)) >= round.keeping.dirty_ratio_min;
        has_expired || (!dirty.is_empty() && (is_dirty || is_late))
    }

    /// Compacts, and gives every new segment to `put` once it stands on disk, with the offset up to which it stands for
    /// all there was.
    pub(super) fn run(
        mut self,
        round: Round<'_>,
        put: impl FnMut(Arc<Segment>, i64),
    ) -> io::Result<()> {
        let newest = self.newest(round)?;
        let (segments, bytes) =
            (self.segments.len(), self.segments.iter().map(|it| it.bytes).sum());
        let kept = Copying::new(&self, &newest, round).run(put)?;
        let bytes: u64 = bytes;
        tracing::debug!(directory = %self.directory.display(), segments, bytes, kept, "compacted");
        Ok(())
    }

    /// The newest offset of every key in the new part; the pass ends where no more keys fit.
    fn newest(&mut self, round: Round<'_>) -> io::Result<Newest> {
        let mut newest = Newest::default();
        for at in self.first_dirty..self.segments.len() {
            if newest.offsets.len() > KEYS_MAX || (round.is_stopping)() {
                self.until = self.segments[at].base_offset;
                self.segments.truncate(at);
                break;
            }
            self.segments[at].window().walk(|header, batch| {
                if !header.is_control() && !self.is_aborted(header) {
                    newest.note(header, batch);
                }
                Ok(())
            })?;
        }
        Ok(newest)
    }

    /// Whether a batch belongs to a transaction that was aborted.
    fn is_aborted(&self, header: &BatchHeader) -> bool {
        let within = |it: &AbortedTransaction| {
            it.first_offset <= header.base_offset && header.base_offset <= it.last_offset
        };
        header.is_transactional()
            && self.aborted.get(&header.producer_id).is_some_and(|all| all.iter().any(within))
    }
}

fn by_producer(aborted: &[AbortedTransaction]) -> HashMap<i64, Vec<AbortedTransaction>> {
    let mut by_producer: HashMap<i64, Vec<AbortedTransaction>> = HashMap::new();
    for one in aborted {
        by_producer.entry(one.producer_id).or_default().push(*one);
    }
    by_producer
}

#[derive(Default)]
struct Newest {
    offsets: HashMap<(u64, u64), i64>,
    secrets: (RandomState, RandomState),
}

impl Newest {
    fn hash(&self, key: &[u8]) -> (u64, u64) {
        (self.secrets.0.hash_one(key), self.secrets.1.hash_one(key))
    }

    fn note(&mut self, header: &BatchHeader, batch: &Bytes) {
        let Some(unpacked) = batch::unpacked(header, batch) else { return };
        for record in batch::records(header, &unpacked).flatten() {
            if let Some(key) = record.key {
                let hash = self.hash(key);
                self.offsets.insert(hash, record.offset);
            }
        }
    }

    fn is_newest(&self, record: &Record<'_>) -> bool {
        let newer = |key| self.offsets.get(&self.hash(key)).is_some_and(|at| *at > record.offset);
        record.key.is_some_and(|key| !newer(key))
    }
}

/// The second half of a pass.
struct Copying<'a> {
    compaction: &'a Compaction,
    newest: &'a Newest,
    round: Round<'a>,
    /// Producers of which transactional records stay that are not followed by their marker yet.
    undecided: HashSet<i64>,
    kept_bytes: u64,
}

impl<'a> Copying<'a> {
    fn new(compaction: &'a Compaction, newest: &'a Newest, round: Round<'a>) -> Self {
        Self { compaction, newest, round, undecided: HashSet::new(), kept_bytes: 0 }
    }

    fn run(mut self, mut put: impl FnMut(Arc<Segment>, i64)) -> io::Result<u64> {
        let segments = &self.compaction.segments;
        let mut writer: Option<CleanWriter> = None;
        for (at, segment) in segments.iter().enumerate() {
            let mut open = match writer.take() {
                Some(open) => open,
                None => CleanWriter::create(&self.compaction.directory, segment.base_offset)?,
            };
            segment.window().walk(|header, batch| self.copy(header, batch, &mut open))?;
            let next = segments.get(at + 1);
            let is_full =
                |next: &Arc<Segment>| open.bytes() + next.bytes > self.round.keeping.segment_bytes;
            if next.is_some_and(|next| !is_full(next)) && !(self.round.is_stopping)() {
                writer = Some(open);
                continue;
            }
            let until = next.map_or(self.compaction.until, |next| next.base_offset);
            self.kept_bytes += open.bytes();
            put(open.finish(until)?, until);
            if (self.round.is_stopping)() {
                break;
            }
        }
        Ok(self.kept_bytes)
    }

    fn copy(
        &mut self,
        header: &BatchHeader,
        batch: &Bytes,
        writer: &mut CleanWriter,
    ) -> io::Result<()> {
        match self.thin(header, batch) {
            Thinned::Whole => writer.append(header, batch),
            Thinned::Nothing => Ok(()),
            Thinned::Part(part) => {
                let header = BatchHeader::read(&part)
                    .ok_or_else(|| io::Error::other("a rebuilt batch has a header"))?;
                writer.append(&header, &part)
            }
        }
    }

    fn thin(&mut self, header: &BatchHeader, batch: &Bytes) -> Thinned {
        let now_ms = self.round.now_ms;
        let horizon_ms = now_ms.saturating_add(self.round.keeping.delete_retention_ms);
        let is_expired = header.delete_horizon_ms().is_some_and(|until_ms| now_ms >= until_ms);
        let keep_empty = header.last_offset() + 1 >= self.end_offset()
            || self.compaction.last_offsets.get(&header.producer_id) == Some(&header.last_offset());
        if header.is_control() {
            // A marker is needed as long as records that it decides about are there.
            let is_needed = self.undecided.remove(&header.producer_id);
            if is_needed {
                return Thinned::Whole;
            }
            let keep = |_: &Record<'_>| !is_expired;
            return Thinning { keep, horizon_ms, keep_empty }.apply(header, batch);
        }
        let is_aborted = self.compaction.is_aborted(header);
        let newest = self.newest;
        let keep = |record: &Record<'_>| {
            !is_aborted && newest.is_newest(record) && (record.has_value || !is_expired)
        };
        let thinned = Thinning { keep, horizon_ms, keep_empty }.apply(header, batch);
        if header.is_transactional() && has_records(header, &thinned) {
            self.undecided.insert(header.producer_id);
        }
        thinned
    }

    /// One past the last offset there is: its batch stays, so that readers come past it.
    fn end_offset(&self) -> i64 {
        self.compaction.segments.last().map_or(0, |last| last.next_offset)
    }
}

fn has_records(header: &BatchHeader, thinned: &Thinned) -> bool {
    match thinned {
        Thinned::Whole => header.record_count > 0,
        Thinned::Part(part) => BatchHeader::read(part).is_some_and(|it| it.record_count > 0),
        Thinned::Nothing => false,
    }
}

#[cfg(test)]
mod tests;
