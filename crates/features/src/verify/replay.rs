//! One partition of a log, read in order: the states it leads to, each source position counted once.

use std::collections::BTreeMap;

use upnext_state::{Position, Signal};
use upnext_store::SourcePosition;

use super::held::Held;
use super::kind::{Kind, Told};
use super::ledger::Ledger;
use crate::outlet::partition_of;

/// What the log of one partition says up to an offset.
pub(crate) struct Replay<K: Kind> {
    pub(crate) held: Held<K>,
    /// Only states that are held already change: nobody else is of interest.
    pub(crate) is_closed: bool,
    pub(crate) partition: i32,
    pub(crate) epoch: u32,
    pub(crate) next_offset: i64,
    /// Last position taken from each partition of the hop before.
    sources: BTreeMap<i32, SourcePosition>,
    /// Signals said or heard, where they are summed up, and the number of signals partitions.
    pub(crate) ledger: Option<(Ledger, i32)>,
}

impl<K: Kind> Replay<K> {
    pub(crate) fn new(partition: i32, epoch: u32) -> Self {
        Self {
            held: Held::new(),
            is_closed: false,
            partition,
            epoch,
            next_offset: 0,
            sources: BTreeMap::new(),
            ledger: None,
        }
    }

    /// Goes on from here for `wanted` alone, and leaves this one as it is. The ledger goes along.
    pub(crate) fn onward(&mut self, wanted: Held<K>) -> Self {
        Self {
            held: wanted,
            is_closed: true,
            partition: self.partition,
            epoch: self.epoch,
            next_offset: self.next_offset,
            sources: self.sources.clone(),
            ledger: self.ledger.take(),
        }
    }

    /// Takes the record at `offset`; `changed` is told of every state that it changes.
    pub(crate) fn apply(
        &mut self,
        offset: i64,
        told: Vec<Told<K::Entry>>,
        mut changed: impl FnMut(&str, &K::State),
    ) {
        if offset < self.next_offset {
            return;
        }
        self.next_offset = offset + 1;
        let mut said = Vec::new();
        let mut index = 0;
        for (Told { entry, source }, next_index) in told.into_iter().zip(0..) {
            if source.is_some_and(|(partition, place)| !self.is_news(partition, place)) {
                continue;
            }
            let Some((key, entry)) = entry else { continue };
            if let (Some(signal), Some((partition, place))) = (K::signal(&entry), source) {
                self.note((partition, self.partition), (place.offset, place.index), signal);
            }
            if self.is_closed && !self.held.contains(&key) {
                continue;
            }
            let state = self.held.state(&key);
            let at = Position { epoch: self.epoch, next_offset: offset, next_index };
            if K::apply(state, &entry, at, &mut said) {
                changed(&key, state);
            }
            for signal in said.drain(..) {
                let to =
                    self.ledger.as_ref().map_or(0, |(_, count)| partition_of(signal.item, *count));
                self.note((self.partition, to), (offset, index), &signal);
                index += 1;
            }
        }
    }

    /// Whether that source position was not taken before; it is now.
    fn is_news(&mut self, partition: i32, place: SourcePosition) -> bool {
        if self.sources.get(&partition).is_some_and(|last| *last >= place) {
            return false;
        }
        self.sources.insert(partition, place);
        true
    }

    fn note(&mut self, pair: (i32, i32), place: (i64, u32), signal: &Signal) {
        if let Some((ledger, _)) = &mut self.ledger {
            ledger.note(pair, place, signal);
        }
    }
}
