//! Expected states of one partition: those in use as they are, the others encoded.

use std::collections::HashMap;

use super::kind::Kind;

/// States that are kept decoded.
const LIVE_MAX: usize = 20_000;

pub(crate) struct Held<K: Kind> {
    live: HashMap<String, K::State>,
    packed: HashMap<String, Vec<u8>>,
}

impl<K: Kind> Held<K> {
    pub(crate) fn new() -> Self {
        Self { live: HashMap::new(), packed: HashMap::new() }
    }

    pub(crate) fn insert(&mut self, key: String, state: K::State) {
        self.packed.remove(&key);
        self.live.insert(key, state);
    }

    pub(crate) fn contains(&self, key: &str) -> bool {
        self.live.contains_key(key) || self.packed.contains_key(key)
    }

    pub(crate) fn keys(&self) -> Vec<String> {
        self.live.keys().chain(self.packed.keys()).cloned().collect()
    }

    /// The state under `key`, an empty one if there is none.
    pub(crate) fn state(&mut self, key: &str) -> &mut K::State {
        if !self.live.contains_key(key) {
            if self.live.len() >= LIVE_MAX {
                self.packed.extend(self.live.drain().map(|(key, state)| (key, K::encode(&state))));
            }
            let packed = self.packed.remove(key);
            // We encoded it ourselves.
            let state = packed.and_then(|blob| K::decode(&blob).ok()).unwrap_or_default();
            self.live.insert(key.to_owned(), state);
        }
        self.live.entry(key.to_owned()).or_default()
    }

    /// A copy of the state under `key`.
    pub(crate) fn copy(&self, key: &str) -> K::State {
        let packed = || K::decode(self.packed.get(key)?).ok();
        self.live.get(key).cloned().or_else(packed).unwrap_or_default()
    }
}
