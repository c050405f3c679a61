//! Both stages in memory, one pass: what training replays, and what the daemon's state is held against.

use std::collections::{BTreeMap, HashMap};

use upnext_common::event::{Event, Subject};
use upnext_common::item::ItemHash;

use crate::header::Position;
use crate::item::ItemState;
use crate::pair::PAIRS_MAX;
use crate::signal::{Signal, SignalBatch};
use crate::user::{Applied, UserState};

/// Whose state it is, owned.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum OwnedSubject {
    User(String),
    Anonymous(String),
}

impl OwnedSubject {
    #[must_use]
    pub fn as_subject(&self) -> Subject<'_> {
        match self {
            Self::User(id) => Subject::User(id),
            Self::Anonymous(id) => Subject::Anonymous(id),
        }
    }
}

impl From<Subject<'_>> for OwnedSubject {
    fn from(subject: Subject<'_>) -> Self {
        match subject {
            Subject::User(id) => Self::User(id.to_owned()),
            Subject::Anonymous(id) => Self::Anonymous(id.to_owned()),
        }
    }
}

/// What one event did.
#[derive(Clone, Debug, PartialEq)]
pub struct Replayed {
    pub applied: Applied,
    /// Its signals, in order.
    pub signals: Vec<Signal>,
}

impl Replayed {
    /// Items whose state changed, each once, in order of first mention.
    #[must_use]
    pub fn touched(&self) -> Vec<ItemHash> {
        let mut items = Vec::new();
        for signal in &self.signals {
            if !items.contains(&signal.item) {
                items.push(signal.item);
            }
        }
        items
    }
}

/// The state of everyone and everything after a sequence of events.
#[derive(Clone, Debug)]
pub struct Replay {
    pub users: HashMap<OwnedSubject, UserState>,
    pub items: HashMap<ItemHash, ItemState>,
    next_offset: i64,
    next_signal: i64,
    pairs_max: usize,
}

impl Default for Replay {
    fn default() -> Self {
        Self::with_pairs_max(PAIRS_MAX)
    }
}

impl Replay {
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// One whose items keep other than 64 pairs: see [`ItemState::with_pairs_max`].
    #[must_use]
    pub fn with_pairs_max(pairs_max: usize) -> Self {
        let (users, items) = (HashMap::new(), HashMap::new());
        Self { users, items, next_offset: 0, next_signal: 0, pairs_max }
    }

    /// Applies the next event of one log: to its user, and what follows from that to items.
    pub fn apply(&mut self, event: &Event, record_ms: i64) -> Replayed {
        self.apply_at(event, record_ms, self.next_offset)
    }

    /// The same for an event whose offset is known, so that users' bytes equal the daemon's. Offsets ascend
    /// within each subject.
    pub fn apply_at(&mut self, event: &Event, record_ms: i64, offset: i64) -> Replayed {
        self.next_offset = self.next_offset.max(offset + 1);
        let mut signals = Vec::new();
        let Some(subject) = event.subject() else {
            return Replayed { applied: Applied::Duplicate, signals };
        };
        let user = self.users.entry(subject.into()).or_default();
        let applied = user.apply(event, record_ms, offset, &mut signals);
        for signal in &signals {
            let at = Position { epoch: 0, next_offset: self.next_signal, next_index: 0 };
            let item = self.items.entry(signal.item);
            item.or_insert_with(|| ItemState::with_pairs_max(self.pairs_max)).apply(signal, at);
            self.next_signal += 1;
        }
        Replayed { applied, signals }
    }
}

/// The items stage in memory: state of items after the records of one signals partition, each source position
/// counted once.
#[derive(Clone, Debug, Default)]
pub struct SignalReplay {
    pub items: HashMap<ItemHash, ItemState>,
    /// Last position taken from each partition of valid events.
    sources: BTreeMap<i32, (u32, i64, u32)>,
}

impl SignalReplay {
    /// Takes the batch that stands at `offset`; returns how many of its entries were new.
    pub fn apply(&mut self, batch: &SignalBatch, offset: i64) -> usize {
        let mut taken = 0;
        for (entry, next_index) in batch.entries.iter().zip(0..) {
            let source = (batch.source_epoch, entry.offset, entry.index);
            let last = self.sources.get(&batch.source_partition);
            if last.is_some_and(|last| *last >= source) {
                continue;
            }
            self.sources.insert(batch.source_partition, source);
            let at = Position { epoch: 0, next_offset: offset, next_index };
            let item = self.items.entry(entry.signal.item).or_default();
            taken += usize::from(item.apply(&entry.signal, at));
        }
        taken
    }
}

#[cfg(test)]
mod tests;
