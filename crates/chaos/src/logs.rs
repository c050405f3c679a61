//! One pass over the logs in memory: what state has to be, and what became of every record.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet, HashMap};

use upnext_common::item::{ItemHash, stable_hash};
use upnext_common::position::{SOURCE_OFFSET, SOURCE_PARTITION};
use upnext_common::topic::Topic;
use upnext_contract::letter::said as letter_said;
use upnext_contract::{Decoder, unframe};
use upnext_kafka::{Record, scan};
use upnext_state::replay::{Replay, SignalReplay};
use upnext_state::signal::{SignalBatch, SignalEntry};
use upnext_state::{Applied, ItemState};

use crate::scene::{PREFIX, Scene};

/// Partition and offset in the raw topic.
pub(crate) type Source = (i32, i64);

/// What one pass over the topics says.
#[derive(Default)]
pub(crate) struct Logs {
    pub(crate) raw: BTreeSet<Source>,
    /// Raw positions of valid records.
    pub(crate) valid: BTreeSet<Source>,
    /// Raw positions of what ingest rejected.
    pub(crate) dead: BTreeSet<Source>,
    /// Raw positions of what features found too late.
    pub(crate) late: BTreeSet<Source>,
    /// What has to be there.
    pub(crate) due_late: BTreeSet<Source>,
    /// Records that stand in the valid topic or in the dead letters once more.
    pub(crate) repeats: u64,
    /// Events that their users had told before.
    pub(crate) duplicates: u64,
    pub(crate) replay: Replay,
    pub(crate) items: HashMap<ItemHash, ItemState>,
    /// What the events say about items, and what stands in the signals topic, each position once.
    pub(crate) said: Signals,
    pub(crate) heard: Signals,
    pub(crate) signal_repeats: u64,
    /// Repeats of signals that say something else than the first time.
    pub(crate) contradictions: u64,
}

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

impl Logs {
    /// Reads all four topics.
    ///
    /// # Errors
    /// When one cannot be read, or holds what nobody could have written.
    pub(crate) async fn read(scene: &Scene) -> anyhow::Result<Self> {
        let mut logs = Self::default();
        let mut raw = BTreeSet::new();
        each(scene, Topic::Events, async |record| {
            raw.insert((record.partition, record.offset));
            Ok(())
        })
        .await?;
        logs.raw = raw;
        logs.read_valid(scene).await?;
        each(scene, Topic::DeadLetters, async |record| logs.take_letter(&record)).await?;
        logs.read_signals(scene).await?;
        Ok(logs)
    }

    async fn read_valid(&mut self, scene: &Scene) -> anyhow::Result<()> {
        let decoder = Decoder::new(scene.registry()?);
        let signals = Topic::Signals.name(PREFIX);
        let partitions = scan::stretches(&scene.brokers, &signals, None).await?.len() as u64;
        let mut last = HashMap::<Source, i64>::new();
        let take = async |record: Record| {
            let source = source_of(&record)?;
            self.repeats += u64::from(!self.valid.insert(source));
            let newest = last.entry((record.partition, source.0.into())).or_insert(-1);
            if source.1 <= *newest {
                return Ok(());
            }
            *newest = source.1;
            let event = decoder.event(record.value.as_deref().unwrap_or_default()).await?;
            let replayed = self.replay.apply_at(&event, record.timestamp_ms, record.offset);
            match replayed.applied {
                Applied::TooLate => drop(self.due_late.insert(source)),
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
        each(scene, Topic::Valid, take).await
    }

    fn take_letter(&mut self, letter: &Record) -> anyhow::Result<()> {
        let says = |name| letter_said(&letter.headers, name).unwrap_or_default();
        let source = (says("partition").parse()?, says("offset").parse()?);
        if says("reason") == "late" && says("stage") == "stream" {
            self.late.insert(source);
        } else {
            self.repeats += u64::from(!self.dead.insert(source));
        }
        Ok(())
    }

    async fn read_signals(&mut self, scene: &Scene) -> anyhow::Result<()> {
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
                let is_same = first.is_ok_and(|at| heard[at] == said);
                self.contradictions += u64::from(!is_same);
            }
            Ok(())
        };
        each(scene, Topic::Signals, take).await?;
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
    topic: Topic,
    mut take: impl AsyncFnMut(Record) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let name = topic.name(PREFIX);
    let stretches = scan::stretches(&scene.brokers, &name, None).await?;
    let mut records = scan::read(&scene.brokers, &name, &stretches)?;
    while let Some(record) = records.recv().await {
        take(record?).await?;
    }
    Ok(())
}

fn source_of(record: &Record) -> anyhow::Result<Source> {
    let text = |name| std::str::from_utf8(record.header(name).unwrap_or_default());
    Ok((text(SOURCE_PARTITION)?.parse()?, text(SOURCE_OFFSET)?.parse()?))
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
