//! The nodes of a store: each loses the end of its own writes, at its own time.

use std::collections::BTreeMap;

use upnext_store::Watermark;

pub(crate) const NODES: usize = 3;
pub(crate) const GROUPS: u32 = 5;

/// What is stored under a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Stored {
    /// Position (epoch aside) and state.
    Blob((i64, u32), u64),
    Progress(Watermark),
}

#[derive(Default)]
pub(crate) struct Node {
    writes: Vec<(String, Stored)>,
    stored: BTreeMap<String, Stored>,
    /// Counts what breaks connections.
    pub(crate) incarnation: u32,
}

impl Node {
    pub(crate) fn blob(&self, key: &str) -> Option<((i64, u32), u64)> {
        match self.stored.get(key) {
            Some(Stored::Blob(position, state)) => Some((*position, *state)),
            Some(Stored::Progress(_)) | None => None,
        }
    }

    pub(crate) fn watermark(&self, key: &str) -> Option<Watermark> {
        match self.stored.get(key) {
            Some(Stored::Progress(watermark)) => Some(watermark.clone()),
            Some(Stored::Blob(..)) | None => None,
        }
    }

    pub(crate) fn put_newer(&mut self, key: &str, position: (i64, u32), state: u64) {
        if self.blob(key).is_none_or(|(known, _)| known < position) {
            self.write(key, Stored::Blob(position, state));
        }
    }

    /// Whether the watermark was the one expected.
    pub(crate) fn advance(&mut self, key: &str, old: Option<&Watermark>, new: &Watermark) -> bool {
        let is_owned = self.watermark(key).as_ref() == old;
        if is_owned {
            self.write(key, Stored::Progress(new.clone()));
        }
        is_owned
    }

    fn write(&mut self, key: &str, value: Stored) {
        self.writes.push((key.to_owned(), value.clone()));
        self.stored.insert(key.to_owned(), value);
    }

    /// Its newest writes are gone, as when a replica that lags takes over: every connection breaks.
    pub(crate) fn lose(&mut self, writes: usize) {
        self.writes.truncate(self.writes.len().saturating_sub(writes));
        self.stored = self.writes.iter().cloned().collect();
        self.incarnation += 1;
    }

    /// Everything is gone, and nobody is told.
    pub(crate) fn empty(&mut self) {
        self.writes.clear();
        self.stored.clear();
    }
}

/// The group of a name, and the node of a group.
pub(crate) fn group_of(number: u64) -> u32 {
    u32::try_from(number % u64::from(GROUPS)).unwrap()
}

pub(crate) fn node_of(group: u32) -> usize {
    group as usize % NODES
}
