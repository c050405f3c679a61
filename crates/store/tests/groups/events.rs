//! What happens, and what a single pass makes of it. States are chains of hashes: every loss, repeat and change of order
//! shows.

use std::collections::BTreeMap;

/// Partitions of raw events, of valid events and of signals.
pub(crate) const RAW: usize = 2;
pub(crate) const VALID: usize = 2;
pub(crate) const SIGNALS: usize = 2;
pub(crate) const USERS: u64 = 14;
pub(crate) const ITEMS: u64 = 12;

/// A deterministic source of numbers.
pub(crate) struct Die(u64);

impl Die {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub(crate) fn roll(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from((self.0 >> 11) % bound as u64).unwrap()
    }
}

pub(crate) fn chain(state: u64, word: u64) -> u64 {
    (state ^ word).wrapping_mul(0x0000_0100_0000_01b3).rotate_left(17) ^ word
}

/// A valid event, with its place among the raw ones.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Happening {
    pub(crate) source: (i32, i64),
    pub(crate) user: u64,
    pub(crate) item: u64,
}

/// What an event says about an item, with its place among the valid ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Said {
    pub(crate) offset: i64,
    pub(crate) index: u32,
    pub(crate) item: u64,
    /// Depends on the user's state.
    pub(crate) word: u64,
}

/// Two entries for each event: about its item, and about one that the user's state names.
pub(crate) fn say(before: u64, offset: i64, item: u64) -> [Said; 2] {
    let word = chain(before, item);
    [(0, item), (1, before % ITEMS)].map(|(index, item)| Said { offset, index, item, word })
}

/// Valid partitions, with repeats where ingest began again.
pub(crate) fn log(die: &mut Die, each: usize) -> Vec<Vec<Happening>> {
    let mut valid = vec![Vec::new(); VALID];
    let mut next = [0_usize; RAW];
    while next.iter().any(|next| *next < each) {
        let partition = die.roll(RAW);
        if next[partition] >= each {
            continue;
        }
        if die.roll(20) == 0 {
            next[partition] = next[partition].saturating_sub(die.roll(8));
        }
        // The same event at the same place, however often it is read.
        let mut at = Die::new((next[partition] * RAW + partition + 1) as u64);
        let user = at.roll(usize::try_from(USERS).unwrap()) as u64;
        let item = at.roll(usize::try_from(ITEMS).unwrap()) as u64;
        let source = (i32::try_from(partition).unwrap(), i64::try_from(next[partition]).unwrap());
        valid[usize::try_from(user).unwrap() % VALID].push(Happening { source, user, item });
        next[partition] += 1;
    }
    valid
}

/// What a single pass makes of the valid events: users, and everything said about each item by source partition.
pub(crate) type Passed = (BTreeMap<u64, u64>, BTreeMap<(usize, u64), Vec<Said>>);

pub(crate) fn pass(valid: &[Vec<Happening>]) -> Passed {
    let (mut users, mut said) = Passed::default();
    for (partition, happenings) in valid.iter().enumerate() {
        let mut seen = BTreeMap::new();
        for (happening, offset) in happenings.iter().zip(0..) {
            let (source, at) = happening.source;
            if seen.get(&source).is_some_and(|last| *last >= at) {
                continue;
            }
            seen.insert(source, at);
            let state: &mut u64 = users.entry(happening.user).or_default();
            for entry in say(*state, offset, happening.item) {
                said.entry((partition, entry.item)).or_insert_with(Vec::new).push(entry);
            }
            *state = chain(*state, happening.item);
        }
    }
    (users, said)
}
