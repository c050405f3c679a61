//! The states of one partition that are in memory: which are known, which are not yet stored.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// What a state takes in memory for each byte of its blob, at most, and beside that with its key.
const BYTES_PER_BLOB_BYTE: usize = 5;
const BYTES_BESIDE: usize = 768;

/// What the states of all partitions of a process may take together.
#[derive(Debug)]
pub(crate) struct Budget {
    used: AtomicUsize,
    max: usize,
}

impl Budget {
    pub(crate) fn new(max: usize) -> Self {
        Self { used: AtomicUsize::new(0), max }
    }

    fn is_exceeded(&self) -> bool {
        self.used.load(Ordering::Acquire) > self.max
    }
}

/// States by key. What is dirty stays until it is stored; the rest makes room, the longest unused first.
pub(crate) struct States<T> {
    known: HashMap<String, Known<T>>,
    dirty: Vec<String>,
    /// Counts flushes: the age of what is known.
    round: u64,
    max: usize,
    budget: Arc<Budget>,
    /// Our part of the budget, bytes.
    bytes: usize,
}

struct Known<T> {
    state: T,
    is_dirty: bool,
    used: u64,
    bytes: usize,
}

impl<T> States<T> {
    pub(crate) fn new(max: usize, budget: Arc<Budget>) -> Self {
        Self { known: HashMap::new(), dirty: Vec::new(), round: 0, max, budget, bytes: 0 }
    }

    pub(crate) fn contains(&self, key: &str) -> bool {
        self.known.contains_key(key)
    }

    /// A state as it was read from a blob of so many bytes.
    pub(crate) fn insert(&mut self, key: String, state: T, blob_bytes: usize) {
        let (used, bytes) = (self.round, size(blob_bytes));
        let before = self.known.insert(key, Known { state, is_dirty: false, used, bytes });
        self.resize(before.map_or(0, |known| known.bytes), bytes);
    }

    pub(crate) fn get(&mut self, key: &str) -> Option<&mut T> {
        let known = self.known.get_mut(key)?;
        known.used = self.round;
        Some(&mut known.state)
    }

    /// Notes that the state under `key` has changed.
    pub(crate) fn touch(&mut self, key: &str) {
        if let Some(known) = self.known.get_mut(key)
            && !known.is_dirty
        {
            known.is_dirty = true;
            self.dirty.push(key.to_owned());
        }
    }

    pub(crate) fn dirty(&self) -> impl Iterator<Item = (&str, &T)> {
        self.dirty.iter().filter_map(|key| Some((key.as_str(), &self.known.get(key)?.state)))
    }

    /// About how much memory they take.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Everything dirty is stored, as these blobs.
    pub(crate) fn stored(&mut self, blobs: &[(String, Vec<u8>)]) {
        for (key, blob) in blobs {
            if let Some(known) = self.known.get_mut(key) {
                known.is_dirty = false;
                let before = std::mem::replace(&mut known.bytes, size(blob.len()));
                let after = known.bytes;
                self.resize(before, after);
            }
        }
        self.dirty.clear();
        self.make_room();
        self.round += 1;
    }

    /// Forgets the longest unused states, once there are too many or all partitions together hold too much: down to
    /// half of the bound, or of what there is. Never what is dirty.
    pub(crate) fn make_room(&mut self) {
        let kept_max = if self.known.len() > self.max {
            self.max / 2
        } else if self.budget.is_exceeded() {
            self.known.len() / 2
        } else {
            return;
        };
        if !self.dirty.is_empty() || self.known.is_empty() {
            return;
        }
        let mut used: Vec<u64> = self.known.values().map(|known| known.used).collect();
        let surplus = self.known.len() - kept_max;
        let (_, newest_gone, _) = used.select_nth_unstable(surplus - 1);
        let newest_gone = *newest_gone;
        self.known.retain(|_, known| known.used > newest_gone);
        self.known.shrink_to(2 * self.known.len());
        let kept = self.known.values().map(|known| known.bytes).sum();
        self.resize(self.bytes, kept);
    }

    fn resize(&mut self, before: usize, after: usize) {
        self.bytes = self.bytes + after - before;
        if after >= before {
            self.budget.used.fetch_add(after - before, Ordering::AcqRel);
        } else {
            self.budget.used.fetch_sub(before - after, Ordering::AcqRel);
        }
    }
}

impl<T> Drop for States<T> {
    fn drop(&mut self) {
        self.resize(self.bytes, 0);
    }
}

fn size(blob_bytes: usize) -> usize {
    BYTES_BESIDE + BYTES_PER_BLOB_BYTE * blob_bytes
}

#[cfg(test)]
mod tests;
