//! One partition's work between two errors: apply records, flush in the order that makes the proof.

mod asking;
mod pace;
mod telling;

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::time::Instant;
use tracing::{error, warn};
use upnext_common::item::ItemHash;
use upnext_common::metrics::{EventLabels, StageLabels};
use upnext_contract::Reason;
use upnext_kafka::group::{Claim, Note};
use upnext_kafka::{KafkaError, Record};
use upnext_state::{Applied, DecodeError, Position, SignalEntry};
use upnext_store::{Flush, Owned, Session, StoreError, Watermark};

use crate::Shared;
use crate::late::Letter;
use crate::partition::Stop;
use crate::stage::{ReadError, Source, Stage, Unit};
use crate::states::States;
use pace::{Backlog, Pace};
use telling::{KeyHash, Told};

/// Age of a record from which on a partition with more to do counts as far behind.
const BEHIND_MS: i64 = 1_000;
/// Keys asked for in one pipeline.
const KEYS_MAX: usize = 512;
/// Waits between two looks at a record whose schema the registry could not give.
const READ_WAIT_MIN: Duration = Duration::from_millis(100);
const READ_WAIT_MAX: Duration = Duration::from_secs(2);

/// What ends the work of an assignment before its time.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Trouble {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("signals were not written: {0}")]
    Kafka(#[from] KafkaError),
    #[error("the state under {key} cannot be read: {cause}")]
    State { key: KeyHash, cause: DecodeError },
    /// A mistake of ours that must not pass for an empty state.
    #[error("the state under {key} was not loaded")]
    Unloaded { key: KeyHash },
    /// The log has to be looked at.
    #[error("offset {offset} came after everything before {next_offset} had come")]
    Rewound { offset: i64, next_offset: i64 },
    /// The partition was taken away meanwhile.
    #[error("stopped")]
    Stopped,
}

pub(crate) struct Worker<S: Stage> {
    shared: Arc<Shared<S>>,
    partition: i32,
    claim: Claim,
    session: Session,
    /// With the watermarks as they are stored.
    owned: Owned,
    /// The watermark as it will be, for all key groups.
    progress: Watermark,
    states: States<S::State>,
    pending: Pending,
    pace: Pace,
    /// Whether that was told.
    has_met_older_epoch: bool,
}

/// What was applied since the last flush.
#[derive(Default)]
struct Pending {
    signals: Vec<SignalEntry>,
    /// Dead letters of what came too late.
    letters: Vec<Letter>,
    changed: HashSet<ItemHash>,
    counted: u64,
    /// Entries looked at, counted or not.
    entries: usize,
    /// Records looked at.
    records: u64,
    /// Of each entry when it happened and its record's timestamp; of a record without any, its timestamp.
    times_ms: Vec<(i64, i64)>,
}

/// A record with its entries read.
struct Opened<E> {
    record: Record,
    units: Vec<(String, Unit<E>)>,
}

impl<S: Stage> Worker<S> {
    pub(crate) fn new(
        shared: Arc<Shared<S>>,
        claim: Claim,
        session: Session,
        owned: Owned,
        progress: Watermark,
    ) -> Self {
        let features = &shared.config.features;
        let states = States::new(features.cached_states_max, Arc::clone(&shared.budget));
        Self {
            partition: owned.partition,
            progress,
            pace: Pace::new(features.flush_ms),
            shared,
            claim,
            session,
            owned,
            states,
            pending: Pending::default(),
            has_met_older_epoch: false,
        }
    }

    /// Where its records begin: at the watermark, unless [`crate::Weakened`].
    pub(crate) fn begin_at(&mut self, next_offset: i64) {
        self.progress.next_offset = next_offset;
    }

    /// Where the lowest stored watermark stands.
    pub(crate) fn flushed_to(&self) -> i64 {
        self.owned.lowest().map_or(0, |known| known.next_offset)
    }

    /// When [`Self::flush_or_check`] is to be called next, given whether more waits to be taken.
    pub(crate) fn due_at(&self, more_waits: bool) -> Instant {
        let newest_ms = self.pending.times_ms.last().map(|(_, record_ms)| *record_ms);
        let is_old = |newest_ms| self.shared.clock.now_ms() - newest_ms > BEHIND_MS;
        let backlog = match newest_ms {
            _ if !more_waits => Backlog::None,
            Some(newest_ms) if is_old(newest_ms) => Backlog::Long,
            Some(_) | None => Backlog::Some,
        };
        self.pace.due_at(self.has_progress(), backlog)
    }

    fn has_progress(&self) -> bool {
        let flushed = self.owned.lowest().map_or((0, 0), Watermark::position);
        flushed != self.progress.position()
    }

    /// Applies records in order; flushes on the way whenever enough has come together.
    pub(crate) async fn take(
        &mut self,
        records: &mut Vec<Record>,
        stop: &Stop,
    ) -> Result<(), Trouble> {
        let mut opened = Vec::with_capacity(records.len());
        for record in records.drain(..) {
            opened.push(self.open(record, stop).await?);
        }
        let entries_max = self.shared.config.features.flush_events_max * S::ENTRIES_PER_EVENT;
        let mut rest = opened.as_slice();
        while !rest.is_empty() {
            // No more states at once than one flush is to store, however much waits.
            let room = entries_max.saturating_sub(self.pending.entries);
            let (slice, after) = rest.split_at(slice_len(rest, room));
            self.load(slice, stop).await?;
            for record in slice {
                self.apply(record)?;
            }
            if self.pending.entries >= entries_max {
                self.flush(stop).await?;
            }
            rest = after;
        }
        Ok(())
    }

    async fn open(&self, record: Record, stop: &Stop) -> Result<Opened<S::Entry>, Trouble> {
        let units = self.read(&record, stop).await?;
        let keys = self.session.keys();
        let keyed = |unit: Unit<S::Entry>| (S::key(keys, &unit.entry), unit);
        Ok(Opened { record, units: units.into_iter().map(keyed).collect() })
    }

    /// The entries of a record, however long the registry takes to say what it needs.
    async fn read(&self, record: &Record, stop: &Stop) -> Result<Vec<Unit<S::Entry>>, Trouble> {
        let (partition, offset) = (self.partition, record.offset);
        let mut wait = READ_WAIT_MIN;
        loop {
            let trouble = match self.shared.stage.read(record).await {
                Ok(units) => return Ok(units),
                Err(ReadError::Unreadable(cause)) => {
                    error!(topic = %record.topic, partition, offset, cause, "skipped a record");
                    let reason = S::STAGE.name();
                    let labels = EventLabels { verdict: "unreadable", reason };
                    self.shared.metrics.events.get_or_create(&labels).inc();
                    return Ok(Vec::new());
                }
                Err(ReadError::Trouble(cause)) => cause,
            };
            if wait == READ_WAIT_MIN {
                warn!(partition, offset, trouble, "partition waits");
            }
            tokio::select! {
                () = stop.started() => return Err(Trouble::Stopped),
                () = tokio::time::sleep(wait) => wait = (wait * 2).min(READ_WAIT_MAX),
            }
        }
    }

    /// Fetches the states that the records will change and that are not in memory.
    async fn load(&mut self, records: &[Opened<S::Entry>], stop: &Stop) -> Result<(), Trouble> {
        let this = &*self;
        let keys = records.iter().flat_map(|opened| {
            let offset = opened.record.offset;
            let keys = opened.units.iter().map(|(key, _)| key);
            keys.filter(move |key| !this.is_passed(key, offset))
        });
        let missing: HashSet<&String> = keys.filter(|key| !self.states.contains(key)).collect();
        let missing: Vec<String> = missing.into_iter().cloned().collect();
        for keys in missing.chunks(KEYS_MAX) {
            let blobs = self.blobs(keys, stop).await?;
            for (key, blob) in keys.iter().zip(blobs) {
                let bytes = blob.as_ref().map_or(0, bytes::Bytes::len);
                let decoded = blob.map(|blob| S::decode(&blob)).transpose();
                let state =
                    decoded.map_err(|cause| Trouble::State { key: KeyHash::of(key), cause })?;
                self.states.insert(key.clone(), state.unwrap_or_default(), bytes);
            }
        }
        Ok(())
    }

    fn apply(&mut self, opened: &Opened<S::Entry>) -> Result<(), Trouble> {
        let record = &opened.record;
        if record.offset < self.progress.next_offset {
            // Only a log that was begun anew has such.
            let (offset, next_offset) = (record.offset, self.progress.next_offset);
            return Err(Trouble::Rewound { offset, next_offset });
        }
        let weakened = self.shared.weakened;
        let mut index = 0;
        for ((key, unit), place) in opened.units.iter().zip(0..) {
            self.pending.entries += 1;
            if let Some((partition, position)) = unit.source {
                let is_known = self.progress.contains(partition, position);
                if is_known && !weakened.ignores_sources() {
                    self.note_older_epoch(partition, position);
                    self.count_duplicate();
                    continue;
                }
                self.progress.sources.insert(partition, position);
            }
            if self.is_passed(key, record.offset) {
                continue;
            }
            let unloaded = || Trouble::Unloaded { key: KeyHash::of(key) };
            let state = self.states.get(key).ok_or_else(unloaded)?;
            let epoch = self.progress.epoch;
            let at = Position { epoch, next_offset: record.offset, next_index: place };
            let mut said = Vec::new();
            let mut applied = S::apply(state, &unit.entry, at, &mut said);
            if weakened.is_naive() && matches!(applied, Applied::Duplicate | Applied::Replayed) {
                applied = S::apply_again(state, &unit.entry, at, &mut said);
            }
            if applied == Applied::TooLate {
                let now_ms = self.shared.clock.now_ms();
                let letter = self.shared.stage.too_late(record, &unit.entry, state, now_ms);
                let of = |outgoing| Letter { offset: record.offset, outgoing };
                self.pending.letters.extend(letter.map(of));
            }
            self.note(applied, key, &unit.entry);
            for signal in said {
                self.pending.signals.push(SignalEntry { offset: record.offset, index, signal });
                index += 1;
            }
        }
        self.progress.pass(record.offset, record.timestamp_ms);
        self.pending.entries += usize::from(opened.units.is_empty());
        self.pending.records += 1;
        let record_ms = record.timestamp_ms;
        let happened_ms = opened.units.iter().map(|(_, unit)| S::time_ms(&unit.entry));
        self.pending.times_ms.extend(happened_ms.map(|happened_ms| (happened_ms, record_ms)));
        if opened.units.is_empty() {
            self.pending.times_ms.push((record_ms, record_ms));
        }
        Ok(())
    }

    /// Whether the key's group holds what stands there, and more: its blobs, and what they say about items, are durable.
    fn is_passed(&self, key: &str, offset: i64) -> bool {
        let group = self.session.keys().group_of(key).unwrap_or(0);
        let is_ahead = self.owned.is_ahead(group, (self.progress.epoch, offset));
        is_ahead && !self.shared.weakened.is_naive()
    }

    fn note(&mut self, applied: Applied, key: &str, entry: &S::Entry) {
        match applied {
            Applied::Counted => {
                self.states.touch(key);
                self.pending.changed.extend(S::changed(entry));
                self.pending.counted += 1;
            }
            Applied::Duplicate => self.count_duplicate(),
            Applied::TooLate => {
                self.shared.metrics.late_events.inc();
                let labels = EventLabels { verdict: "rejected", reason: Reason::Late.code() };
                self.shared.metrics.events.get_or_create(&labels).inc();
            }
            // The store was ahead of the watermark: what it said about items is durable already. The state is put
            // once more, a no-op unless the store was emptied meanwhile: while there is no watermark, nothing else
            // would tell, and the next watermark would vouch for a blob that is gone.
            Applied::Replayed => self.states.touch(key),
        }
    }

    fn count_duplicate(&self) {
        self.shared.metrics.duplicates.get_or_create(&labels::<S>()).inc();
    }

    /// Flushes what is pending; makes sure of the watermark when nothing is.
    pub(crate) async fn flush_or_check(&mut self, stop: &Stop) -> Result<(), Trouble> {
        if self.has_progress() {
            return self.flush(stop).await;
        }
        self.blobs(&[], stop).await?;
        self.pace.checked();
        // Others may need the room.
        self.states.make_room();
        // Nothing waits that was not applied.
        self.tell_lag(0.0);
        Ok(())
    }

    /// Signals and dead letters acknowledged, then blobs, then the watermark. After an error nothing in memory is to be trusted.
    pub(crate) async fn flush(&mut self, stop: &Stop) -> Result<(), Trouble> {
        if !self.has_progress() {
            return Ok(());
        }
        let started = self.shared.clock.instant();
        let pending = std::mem::take(&mut self.pending);
        let blobs = self.encoded();
        if self.shared.weakened.puts_blobs_first() {
            let watermark = self.owned.resume();
            let early = Flush { blobs: blobs.clone(), watermark, ..Flush::default() };
            self.put(&early, stop).await?;
        }
        if !pending.signals.is_empty() || !pending.letters.is_empty() {
            let (signals, letters) = (pending.signals, pending.letters);
            let source = Source { partition: self.partition, epoch: self.progress.epoch };
            tokio::select! {
                () = stop.revoked() => return Err(Trouble::Stopped),
                sent = self.shared.stage.publish(source, signals, letters) => sent?,
            }
        }
        let flush = Flush {
            blobs,
            is_forced: self.shared.weakened.is_naive(),
            changed: pending.changed.into_iter().collect(),
            watermark: self.progress.clone(),
        };
        let flushed = self.put(&flush, stop).await?;
        self.states.stored(&flush.blobs);
        self.tell_states(&flush.blobs);
        let note = Note { epoch: self.progress.epoch, marks: None };
        self.claim.commit_noting(self.progress.next_offset, note);
        self.shared.counted.fetch_add(pending.counted, Ordering::AcqRel);
        let took = self.shared.clock.instant() - started;
        self.pace.flushed(took);
        let Pending { entries, records, times_ms, .. } = pending;
        self.tell(&Told { flushed, took, entries, records, times_ms });
        Ok(())
    }
}

/// How many records make up so many entries; at least one.
fn slice_len<E>(records: &[Opened<E>], entries: usize) -> usize {
    let mut sum = 0;
    let is_short = |opened: &&Opened<E>| {
        sum += opened.units.len().max(1);
        sum < entries
    };
    let before = records.iter().take_while(is_short).count();
    (before + 1).min(records.len())
}

pub(crate) fn labels<S: Stage>() -> StageLabels {
    StageLabels { stage: S::STAGE.name() }
}

#[cfg(test)]
mod tests;
