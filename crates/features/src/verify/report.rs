//! What a comparison found, by feature.

use std::collections::BTreeMap;

use serde::Serialize;
use upnext_state::Part;
use upnext_store::Stage;

use super::kind::Kind;
use super::ledger::Settled;

/// Most differences that are told one by one.
const WRONG_MAX: usize = 50;

/// Counts of one comparison.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    pub checked: u64,
    /// Both know something, and not the same.
    pub mismatch: u64,
    /// The log tells it, the store does not.
    pub missing: u64,
    /// The store tells it, the log does not.
    pub extra: u64,
}

impl Counts {
    #[must_use]
    pub fn wrong(&self) -> u64 {
        self.mismatch + self.missing + self.extra
    }

    fn count(&mut self, what: Option<What>) {
        self.checked += 1;
        match what {
            None => {}
            Some(What::Mismatch) => self.mismatch += 1,
            Some(What::Missing) => self.missing += 1,
            Some(What::Extra) => self.extra += 1,
        }
    }
}

/// How the store differs from the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum What {
    Mismatch,
    Missing,
    Extra,
}

/// One state that is not what the log says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Wrong {
    pub key: String,
    pub what: What,
    /// The features that differ.
    pub features: Vec<&'static str>,
    /// Position of the stored state, and of what the log says of it: offsets.
    pub found_at: Option<i64>,
    pub expected_at: Option<i64>,
}

/// All states of one stage.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Compared {
    pub states: Counts,
    pub features: BTreeMap<&'static str, Counts>,
    /// The first differences.
    pub wrong: Vec<Wrong>,
}

/// Both stages, and the log between them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    pub users: Compared,
    pub items: Compared,
    /// Signals that the events lead to, against those that stand in the log; `None` for a sample.
    pub signals: Option<Counts>,
    /// Records read.
    pub records: u64,
}

impl Report {
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.wrong() == 0
    }

    /// Everything that is wrong.
    #[must_use]
    pub fn wrong(&self) -> u64 {
        let signals = self.signals.map_or(0, |signals| signals.wrong());
        self.users.states.wrong() + self.items.states.wrong() + signals
    }

    #[must_use]
    pub fn of(&self, stage: Stage) -> &Compared {
        match stage {
            Stage::Users => &self.users,
            Stage::Items => &self.items,
        }
    }

    pub(crate) fn of_mut(&mut self, stage: Stage) -> &mut Compared {
        match stage {
            Stage::Users => &mut self.users,
            Stage::Items => &mut self.items,
        }
    }
}

impl From<Settled> for Counts {
    fn from(settled: Settled) -> Self {
        let Settled { checked, missing, extra, mismatch } = settled;
        Self { checked, mismatch, missing, extra }
    }
}

impl Compared {
    /// The store holds what the log says, byte for byte.
    pub(crate) fn equal<K: Kind>(&mut self) {
        self.states.count(None);
        for part in K::parts(&K::State::default()) {
            self.features.entry(part.name).or_default().count(None);
        }
    }

    /// The store holds `found` where the log says `expected`; `None` where one of them knows nobody.
    pub(crate) fn differs<K: Kind>(
        &mut self,
        key: &str,
        expected: Option<&K::State>,
        found: Option<&[u8]>,
    ) {
        let what = match (expected, found) {
            (Some(_), None) => What::Missing,
            (None, _) => What::Extra,
            (Some(_), Some(_)) => What::Mismatch,
        };
        self.states.count(Some(what));
        let stored = found.map(K::decode);
        let (mut features, found_at) = match &stored {
            Some(Err(_)) => (vec!["unreadable"], None),
            Some(Ok(state)) => {
                (self.parts::<K>(expected, Some(state)), Some(K::position(state).next_offset))
            }
            None => (self.parts::<K>(expected, None), None),
        };
        if features.is_empty() {
            features.push("encoding");
        }
        if self.wrong.len() < WRONG_MAX {
            let expected_at = expected.map(|state| K::position(state).next_offset);
            let key = key.to_owned();
            self.wrong.push(Wrong { key, what, features, found_at, expected_at });
        }
    }

    /// The names of the features that differ.
    fn parts<K: Kind>(
        &mut self,
        expected: Option<&K::State>,
        found: Option<&K::State>,
    ) -> Vec<&'static str> {
        let of = |state: Option<&K::State>| {
            state.map_or_else(|| K::parts(&K::State::default()), K::parts)
        };
        let mut differ = Vec::new();
        for (expected, found) in of(expected).into_iter().zip(of(found)) {
            let what = difference(&expected, &found);
            self.features.entry(expected.name).or_default().count(what);
            if what.is_some() {
                differ.push(expected.name);
            }
        }
        differ
    }
}

fn difference(expected: &Part, found: &Part) -> Option<What> {
    match (&expected.value, &found.value) {
        (expected, found) if expected == found => None,
        (Some(_), None) => Some(What::Missing),
        (None, _) => Some(What::Extra),
        (Some(_), Some(_)) => Some(What::Mismatch),
    }
}

#[cfg(test)]
mod tests {
    use super::super::kind::OfItems;
    use super::*;
    use std::sync::Arc;
    use upnext_common::event::EventType;
    use upnext_common::item::ItemHash;
    use upnext_state::{ItemState, Position, Signal, What as Said};

    fn state(times: i64) -> ItemState {
        let mut state = ItemState::new();
        for time_ms in 0..times {
            let (item_id, kind) = (Arc::from("a"), EventType::ItemViewed);
            let what = Said::Count { item_id, kind, is_repeat: false, opens_session: false };
            let signal = Signal { item: ItemHash::of("a"), time_ms: time_ms + 1, what };
            let at = Position { next_offset: time_ms, ..Position::default() };
            state.apply(&signal, at);
        }
        state
    }

    #[test]
    fn a_difference_is_told_by_feature() {
        let mut compared = Compared::default();
        compared.equal::<OfItems>();
        compared.differs::<OfItems>("k", Some(&state(3)), Some(&state(2).encode()));
        compared.differs::<OfItems>("k", Some(&state(3)), None);
        compared.differs::<OfItems>("k", None, Some(&state(2).encode()));
        compared.differs::<OfItems>("k", Some(&state(3)), Some(b"garbage"));
        let expected = Counts { checked: 5, mismatch: 2, missing: 1, extra: 1 };
        assert_eq!(compared.states, expected);
        let expected = Counts { checked: 4, mismatch: 1, missing: 1, extra: 1 };
        assert_eq!(compared.features["totals"], expected);
        let expected = Counts { checked: 4, mismatch: 0, missing: 1, extra: 1 };
        assert_eq!(compared.features["id"], expected);
        assert_eq!(compared.features["pairs"], Counts { checked: 4, ..Counts::default() });
        assert_eq!(compared.wrong[0].found_at, Some(1));
        assert_eq!(compared.wrong[0].expected_at, Some(2));
        assert!(!compared.wrong[0].features.contains(&"id"));
        assert_eq!(compared.wrong[3].features, ["unreadable"]);
    }

    #[test]
    fn many_differences_are_all_counted_and_the_first_told() {
        let mut compared = Compared::default();
        for _ in 0..WRONG_MAX + 7 {
            compared.differs::<OfItems>("k", Some(&state(1)), None);
        }
        assert_eq!((compared.states.missing, compared.wrong.len()), (57, WRONG_MAX));
    }
}
