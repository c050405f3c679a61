//! The states of one partition that are in memory: which are known, which are not yet stored.

use std::collections::HashMap;

/// States by key. What is dirty stays until it is stored; the rest makes room, the longest unused first.
pub(crate) struct States<T> {
    known: HashMap<String, Known<T>>,
    dirty: Vec<String>,
    /// Counts flushes: the age of what is known.
    round: u64,
    max: usize,
}

struct Known<T> {
    state: T,
    is_dirty: bool,
    used: u64,
}

impl<T> States<T> {
    pub(crate) fn new(max: usize) -> Self {
        Self { known: HashMap::new(), dirty: Vec::new(), round: 0, max }
    }

    pub(crate) fn contains(&self, key: &str) -> bool {
        self.known.contains_key(key)
    }

    pub(crate) fn insert(&mut self, key: String, state: T) {
        let used = self.round;
        self.known.insert(key, Known { state, is_dirty: false, used });
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

    /// Everything dirty is stored. Forgets the longest unused states down to half of the bound, once over it.
    pub(crate) fn stored(&mut self) {
        for key in self.dirty.drain(..) {
            if let Some(known) = self.known.get_mut(&key) {
                known.is_dirty = false;
            }
        }
        if self.known.len() > self.max {
            let mut used: Vec<u64> = self.known.values().map(|known| known.used).collect();
            let surplus = self.known.len() - self.max / 2;
            let (_, newest_gone, _) = used.select_nth_unstable(surplus - 1);
            let newest_gone = *newest_gone;
            self.known.retain(|_, known| known.used > newest_gone);
        }
        self.round += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_dirty_is_told_until_it_is_stored() {
        let mut states = States::new(10);
        states.insert("a".to_owned(), 1);
        states.insert("b".to_owned(), 2);
        states.touch("a");
        states.touch("a");
        states.touch("nobody");
        assert_eq!(states.dirty().collect::<Vec<_>>(), [("a", &1)]);
        states.stored();
        assert_eq!(states.dirty().count(), 0);
        assert!(states.contains("a") && states.contains("b"));
    }

    #[test]
    fn the_longest_unused_make_room() {
        let mut states = States::new(4);
        for (round, keys) in [["a", "b"], ["c", "d"], ["e", "a"]].into_iter().enumerate() {
            for key in keys {
                if states.get(key).is_none() {
                    states.insert(key.to_owned(), round);
                }
                states.touch(key);
            }
            states.stored();
        }
        let kept: Vec<&str> =
            ["a", "b", "c", "d", "e"].into_iter().filter(|key| states.contains(key)).collect();
        assert_eq!(kept, ["a", "e"]);
    }
}
