//! One pass over the logs in memory: what state has to be, and what became of every record.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet, HashMap};

use upnext_common::generation::Generation;
use upnext_common::item::{ItemHash, stable_hash};
use upnext_common::topic::Topic;
use upnext_contract::{Decoder, unframe};
use upnext_kafka::{Record, scan};
use upnext_state::replay::{Replay, SignalReplay};
use upnext_state::signal::{SignalBatch, SignalEntry};
use upnext_state::{Applied, ItemState};

use crate::ledger::Ledger;
use crate::outcomes::{Outcomes, Source};
use crate::scene::{PREFIX, Scene};

/// What one pass over the topics says.
pub(crate) struct Logs<'a> {
    pub(crate) outcomes: Outcomes<'a>,
    /// Events that their users had told before.
    pub(crate) duplicates: u64,
    pub(crate) replay: Replay,
    pub(crate) items: HashMap<ItemHash, ItemState>,
    /// What the events say about items, and what stands in the signals topic, each position once.
    pub(crate) said: Signals,
    pub(crate) heard: Signals,
    pub(crate) signal_repeats: u64,
    /// Repeats of signals that say something else than the first time, and the first of them in words.
    pub(crate) contradictions: u64,
    pub(crate) told: Vec<String>,
}

/// Contradictions that are told one by one.
const TOLD_MAX: u64 = 4;

/// By partition of valid events, and of signals: in the order of positions.
pub(crate) type Signals = BTreeMap<(i32, i32), Vec<Said>>;

/// One signal, told by its position and a hash of what it says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Said {
    position: (i64, u32),
    digest: u64,
    pub(crate) item: ItemHash,
}

impl Said {
    fn of(entry: SignalEntry) -> Self {
        let position = (entry.offset, entry.index);
        let item = entry.signal.item;
        let alone = SignalBatch { entries: vec![entry], ..SignalBatch::default() };
        Self { position, digest: stable_hash(&alone.encode()), item }
    }
}

impl<'a> Logs<'a> {
    /// Reads all four topics.
    ///
    /// # Errors
    /// When one cannot be read, or holds what nobody could have written.
    pub(crate) async fn read(
        scene: &Scene,
        generation: Generation,
        ledger: &'a Ledger,
    ) -> anyhow::Result<Self> {
        let signals = generation.signals(PREFIX);
        let mut logs = Self {
            outcomes: Outcomes::new(ledger),
            duplicates: 0,
            replay: Replay::default(),
            items: HashMap::new(),
            said: Signals::new(),
            heard: Signals::new(),
            signal_repeats: 0,
            contradictions: 0,
            told: Vec::new(),
        };
        let outcomes = &mut logs.outcomes;
        let take = async |record: Record| {
            outcomes.raw(&record);
            Ok(())
        };
        each(scene, &Topic::Events.name(PREFIX), take).await?;
        let due_late = logs.read_valid(scene, &signals).await?;
        let outcomes = &mut logs.outcomes;
        let take = async |letter: Record| {
            outcomes.letter(&letter);
            Ok(())
        };
        each(scene, &Topic::DeadLetters.name(PREFIX), take).await?;
        logs.outcomes.conclude(&due_late);
        logs.read_signals(scene, &signals).await?;
        Ok(logs)
    }

    /// Gives the raw positions of what has to be dead for being late.
    async fn read_valid(
        &mut self,
        scene: &Scene,
        signals: &str,
    ) -> anyhow::Result<BTreeSet<Source>> {
        let decoder = Decoder::new(scene.registry_client()?);
        let partitions = scan::stretches(&scene.brokers, signals, None).await?.len() as u64;
        let mut due_late = BTreeSet::new();
        let take = async |record: Record| {
            let taken = self.outcomes.valid(&record);
            if !taken.is_news {
                return Ok(());
            }
            let event = decoder.event(record.value.as_deref().unwrap_or_default()).await?;
            let replayed = self.replay.apply_at(&event, record.timestamp_ms, record.offset);
            match replayed.applied {
                Applied::TooLate => due_late.extend(taken.source),
                Applied::Duplicate => self.duplicates += 1,
                Applied::Counted | Applied::Replayed => {}
            }
            for (signal, index) in replayed.signals.into_iter().zip(0..) {
                let partition = i32::try_from(signal.item.0 % partitions)?;
                let entry = SignalEntry { offset: record.offset, index, signal };
                let place = (record.partition, partition);
                self.said.entry(place).or_default().push(Said::of(entry));
            }
            Ok(())
        };
        each(scene, &Topic::Valid.name(PREFIX), take).await?;
        Ok(due_late)
    }

    async fn read_signals(&mut self, scene: &Scene, topic: &str) -> anyhow::Result<()> {
        let mut partitions = BTreeMap::<i32, SignalReplay>::new();
        let take = async |record: Record| {
            let (_, payload) = unframe(record.value.as_deref().unwrap_or_default())?;
            let batch = SignalBatch::decode(payload)?;
            partitions.entry(record.partition).or_default().apply(&batch, record.offset);
            let heard = self.heard.entry((batch.source_partition, record.partition)).or_default();
            for entry in batch.entries {
                let said = Said::of(entry);
                if heard.last().is_none_or(|last| last.position < said.position) {
                    heard.push(said);
                    continue;
                }
                self.signal_repeats += 1;
                let first = heard.binary_search_by_key(&said.position, |known| known.position);
                if first.is_ok_and(|at| heard[at] == said) {
                    continue;
                }
                self.contradictions += 1;
                if self.contradictions <= TOLD_MAX {
                    let (place, offset) = (batch.source_partition, record.offset);
                    let is_due = self.said.get(&(place, record.partition));
                    let is_due = is_due.is_some_and(|due| due.binary_search(&said).is_ok());
                    let known = first.ok().map(|at| heard[at]);
                    let partition = record.partition;
                    self.told.push(format!(
                        "signal of valid partition {place} repeated in {partition} at {offset}: {said:?}, \
                         before {known:?}, due {is_due}"
                    ));
                }
            }
            Ok(())
        };
        each(scene, topic, take).await?;
        self.items = partitions.into_values().flat_map(|replay| replay.items).collect();
        Ok(())
    }
}

/// What only one of two lists in order has: of the first, and of the second.
pub(crate) fn difference(first: &[Said], second: &[Said]) -> (Vec<Said>, Vec<Said>) {
    let (mut only_first, mut only_second) = (Vec::new(), Vec::new());
    let (mut first, mut second) = (first.iter().peekable(), second.iter().peekable());
    loop {
        let order = match (first.peek(), second.peek()) {
            (Some(one), Some(other)) => one.cmp(other),
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (None, None) => return (only_first, only_second),
        };
        match order {
            Ordering::Less => only_first.extend(first.next()),
            Ordering::Greater => only_second.extend(second.next()),
            Ordering::Equal => {
                first.next();
                second.next();
            }
        }
    }
}

async fn each(
    scene: &Scene,
    topic: &str,
    mut take: impl AsyncFnMut(Record) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let stretches = scan::stretches(&scene.brokers, topic, None).await?;
    let mut records = scan::read(&scene.brokers, topic, &stretches)?;
    while let Some(record) = records.recv().await {
        take(record?).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(offset: i64, digest: u64) -> Said {
        Said { position: (offset, 0), digest, item: ItemHash(1) }
    }

    #[test]
    fn what_only_one_side_has_is_found() {
        let first = [said(1, 1), said(2, 2), said(4, 4)];
        assert_eq!(difference(&first, &first), (vec![], vec![]));
        let second = [said(1, 1), said(3, 3), said(4, 5), said(6, 6)];
        let expected = (vec![said(2, 2), said(4, 4)], vec![said(3, 3), said(4, 5), said(6, 6)]);
        assert_eq!(difference(&first, &second), expected);
        assert_eq!(difference(&first, &[]).0, first);
    }
}
