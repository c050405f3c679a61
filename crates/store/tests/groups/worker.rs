//! One partition's worker, taken apart into single writes: it can die, sleep or be cut off between any two.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use upnext_store::{Owned, SourcePosition, Stage, Watermark};

use crate::events::{Die, Happening, SIGNALS, Said, chain, say};
use crate::nodes::{GROUPS, NODES, Node, group_of, node_of};
use crate::world::Rules;

/// Entries of one record of signals at most, so that a flush writes several.
const ENTRIES_MAX: usize = 5;
const RECORDS_MAX: usize = 9;

/// What everybody sees.
pub(crate) struct Shared {
    pub(crate) nodes: [Node; NODES],
    pub(crate) valid: Vec<Vec<Happening>>,
    /// Records of each partition: entries with their source partition.
    pub(crate) signals: Vec<Vec<Vec<(i32, Said)>>>,
}

/// One entry of a record, as both stages see it.
struct Entry {
    source: (i32, SourcePosition),
    /// User or item.
    number: u64,
    word: u64,
}

enum Write {
    Say(usize, Vec<(i32, Said)>),
    Put(u64),
    Claim(u32),
    Advance(u32),
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    Worked,
    Idle,
    /// It has to begin again from what is stored.
    Broken,
}

pub(crate) struct Worker {
    rules: Rules,
    owned: Owned,
    progress: Watermark,
    incarnations: [u32; NODES],
    states: BTreeMap<u64, ((i64, u32), u64)>,
    dirty: BTreeSet<u64>,
    writes: VecDeque<Write>,
    /// The watermarks as they are after the flush that is under way, or claimed for it.
    claimed: Owned,
}

impl Worker {
    pub(crate) fn begin(shared: &Shared, stage: Stage, partition: usize, rules: Rules) -> Self {
        let incarnations = std::array::from_fn(|node| shared.nodes[node].incarnation);
        let stored = |group: u32| {
            let group = if rules == Rules::OneWatermark { 0 } else { group };
            shared.nodes[node_of(group)].watermark(&progress_key(stage, partition, group))
        };
        let watermarks: Vec<Option<Watermark>> = (0..GROUPS).map(stored).collect();
        let highest = watermarks.iter().flatten().max_by_key(|known| known.position()).cloned();
        let partition = i32::try_from(partition).unwrap();
        let owned = Owned { stage, partition, watermarks };
        let mut progress = owned.resume();
        match rules {
            Rules::ResumeAtHighest => progress = highest.unwrap_or_default(),
            Rules::SourcesOfHighest => progress.sources = highest.unwrap_or_default().sources,
            Rules::AsBuilt | Rules::BlobsBeforeSignals | Rules::OneWatermark | Rules::NoClaims => {}
        }
        let (states, dirty, writes) = (BTreeMap::new(), BTreeSet::new(), VecDeque::new());
        let claimed = owned.clone();
        Self { rules, owned, progress, incarnations, states, dirty, writes, claimed }
    }

    /// One write; or, where none is left, the next records.
    pub(crate) fn step(&mut self, shared: &mut Shared, die: &mut Die) -> Outcome {
        match self.writes.pop_front() {
            Some(write) => self.write(shared, write),
            None => self.take(shared, die),
        }
    }

    fn take(&mut self, shared: &Shared, die: &mut Die) -> Outcome {
        let records = self.records(shared, 1 + die.roll(RECORDS_MAX));
        if records.is_empty() {
            let is_owner = (0..GROUPS).all(|group| self.owns(shared, group));
            return if is_owner { Outcome::Idle } else { Outcome::Broken };
        }
        let mut said = Vec::new();
        for entries in records {
            let offset = self.progress.next_offset;
            for (entry, place) in entries.into_iter().zip(0..) {
                if !self.apply(shared, &entry, (offset, place), &mut said) {
                    return Outcome::Broken;
                }
            }
            self.progress.pass(offset, offset);
        }
        self.plan(said, die);
        Outcome::Worked
    }

    fn records(&self, shared: &Shared, count: usize) -> Vec<Vec<Entry>> {
        let from = usize::try_from(self.progress.next_offset).unwrap();
        let partition = usize::try_from(self.owned.partition).unwrap();
        let of_event = |happening: &Happening| {
            let (source, offset) = happening.source;
            let source = (source, SourcePosition { epoch: 0, offset, index: 0 });
            vec![Entry { source, number: happening.user, word: happening.item }]
        };
        let of_signal = |(source, said): &(i32, Said)| {
            let at = SourcePosition { epoch: 0, offset: said.offset, index: said.index };
            Entry { source: (*source, at), number: said.item, word: said.word }
        };
        match self.owned.stage {
            Stage::Users => {
                shared.valid[partition].iter().skip(from).take(count).map(of_event).collect()
            }
            Stage::Items => shared.signals[partition]
                .iter()
                .skip(from)
                .take(count)
                .map(|record| record.iter().map(of_signal).collect())
                .collect(),
        }
    }

    /// False when a state cannot be had.
    fn apply(
        &mut self,
        shared: &Shared,
        entry: &Entry,
        at: (i64, u32),
        said: &mut Vec<Said>,
    ) -> bool {
        let (source, position) = entry.source;
        if self.progress.contains(source, position) {
            return true;
        }
        self.progress.sources.insert(source, position);
        let group = group_of(entry.number);
        if self.owned.is_ahead(group, (0, at.0)) {
            return true;
        }
        if !self.states.contains_key(&entry.number) {
            let stored = shared.nodes[node_of(group)].blob(&self.key(entry.number));
            if !self.owns(shared, group) {
                return false;
            }
            self.states.insert(entry.number, stored.unwrap_or_default());
        }
        self.dirty.insert(entry.number);
        let Some((next, state)) = self.states.get_mut(&entry.number) else { return false };
        if *next > at {
            return true;
        }
        if self.owned.stage == Stage::Users {
            said.extend(say(*state, at.0, entry.word));
        }
        *next = (at.0, at.1 + 1);
        *state = chain(*state, entry.word);
        true
    }

    /// The writes of a flush: signals, then blobs, then watermarks; within each in any order.
    fn plan(&mut self, said: Vec<Said>, die: &mut Die) {
        let mut signals = Vec::new();
        for partition in 0..SIGNALS {
            let of = said.iter().filter(|said| said.item as usize % SIGNALS == partition);
            let entries: Vec<_> = of.map(|said| (self.owned.partition, *said)).collect();
            signals.extend(
                entries.chunks(ENTRIES_MAX).map(|some| Write::Say(partition, some.to_vec())),
            );
        }
        let groups = if self.rules == Rules::OneWatermark { 0..1 } else { 0..GROUPS };
        let dirty = std::mem::take(&mut self.dirty);
        // Each node sees its claims, then its blobs; among nodes there is no order.
        let of_node = |node| {
            let is_there = move |group: &u32| node_of(*group) == node;
            let blobs = dirty.iter().filter(move |number| is_there(&group_of(**number)));
            let claims = groups.clone().filter(is_there).map(Write::Claim);
            claims.chain(blobs.map(|number| Write::Put(*number))).collect::<VecDeque<_>>()
        };
        let mut by_node: Vec<VecDeque<Write>> = (0..NODES).map(of_node).collect();
        let mut blobs = Vec::new();
        while by_node.iter().any(|writes| !writes.is_empty()) {
            blobs.extend(by_node[die.roll(NODES)].pop_front());
        }
        let watermarks = shuffled(groups.map(Write::Advance), die);
        self.claimed = self.owned.clone();
        if self.rules != Rules::NoClaims {
            self.claimed = self.owned.claimed(die.roll(usize::MAX) as u64);
        }
        self.writes = if self.rules == Rules::BlobsBeforeSignals {
            blobs.into_iter().chain(signals).chain(watermarks).collect()
        } else {
            signals.into_iter().chain(blobs).chain(watermarks).collect()
        };
    }

    fn write(&mut self, shared: &mut Shared, write: Write) -> Outcome {
        match write {
            Write::Say(partition, entries) => shared.signals[partition].push(entries),
            Write::Put(number) => {
                let node = node_of(group_of(number));
                let (Some((position, state)), true) =
                    (self.states.get(&number), self.is_connected(shared, node))
                else {
                    return Outcome::Broken;
                };
                shared.nodes[node].put_newer(&self.key(number), *position, *state);
            }
            Write::Claim(_) if self.rules == Rules::NoClaims => {}
            Write::Claim(group) => return self.advance(shared, group, &self.owned, &self.claimed),
            Write::Advance(group) => {
                let after = self.owned.advanced(&self.progress);
                let outcome = self.advance(shared, group, &self.claimed, &after);
                if self.writes.is_empty() {
                    self.owned = after;
                }
                return outcome;
            }
        }
        Outcome::Worked
    }

    fn advance(&self, shared: &mut Shared, group: u32, old: &Owned, new: &Owned) -> Outcome {
        if !self.is_connected(shared, node_of(group)) {
            return Outcome::Broken;
        }
        let [old, new] = [old, new].map(|owned| owned.watermarks[group as usize].as_ref());
        let node = &mut shared.nodes[node_of(group)];
        let is_moved = new.is_some_and(|new| node.advance(&self.progress_key(group), old, new));
        if is_moved { Outcome::Worked } else { Outcome::Broken }
    }

    /// Whether the connection stands and the watermark is the one this worker knows.
    fn owns(&self, shared: &Shared, group: u32) -> bool {
        let group = if self.rules == Rules::OneWatermark { 0 } else { group };
        let node = node_of(group);
        let stored = shared.nodes[node].watermark(&self.progress_key(group));
        self.is_connected(shared, node) && stored.as_ref() == self.stored(group)
    }

    fn is_connected(&self, shared: &Shared, node: usize) -> bool {
        shared.nodes[node].incarnation == self.incarnations[node]
    }

    fn stored(&self, group: u32) -> Option<&Watermark> {
        self.owned.watermarks[group as usize].as_ref()
    }

    fn key(&self, number: u64) -> String {
        state_key(self.owned.stage, number)
    }

    fn progress_key(&self, group: u32) -> String {
        progress_key(self.owned.stage, usize::try_from(self.owned.partition).unwrap(), group)
    }
}

pub(crate) fn state_key(stage: Stage, number: u64) -> String {
    format!("{}:{number}", stage.name())
}

fn progress_key(stage: Stage, partition: usize, group: u32) -> String {
    format!("w:{}:{partition}:{group}", stage.name())
}

fn shuffled<T>(all: impl Iterator<Item = T>, die: &mut Die) -> Vec<T> {
    let mut all: Vec<T> = all.collect();
    for at in (1..all.len()).rev() {
        all.swap(at, die.roll(at + 1));
    }
    all
}
