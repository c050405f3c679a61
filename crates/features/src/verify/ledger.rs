//! What was said about items, against what was heard: sums by pair of partitions, whatever their order.

use std::collections::BTreeMap;

use upnext_common::item::stable_hash;
use upnext_state::{Signal, SignalBatch, SignalEntry};

/// Partition of valid events, partition of signals.
type Pair = (i32, i32);

/// How many signals, and the sum of their hashes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Sum {
    count: u64,
    hash: u64,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Ledger {
    sums: BTreeMap<Pair, Sum>,
    /// Per partition of valid events, the offset from which on nothing is noted; `None`: everything is.
    until: Option<BTreeMap<i32, i64>>,
}

/// What a comparison of two ledgers tells.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Settled {
    pub(crate) checked: u64,
    pub(crate) missing: u64,
    pub(crate) extra: u64,
    /// Pairs of partitions whose counts agree and whose signals do not.
    pub(crate) mismatch: u64,
}

impl Ledger {
    /// One that notes only what events before these offsets said.
    pub(crate) fn until(offsets: BTreeMap<i32, i64>) -> Self {
        Self { until: Some(offsets), ..Self::default() }
    }

    /// Notes one signal of the event at `offset` of the pair's first partition.
    pub(crate) fn note(&mut self, pair: Pair, (offset, index): (i64, u32), signal: &Signal) {
        let is_before =
            |until: &BTreeMap<i32, i64>| until.get(&pair.0).is_some_and(|end| offset < *end);
        if self.until.as_ref().is_some_and(|until| !is_before(until)) {
            return;
        }
        let entry = SignalEntry { offset, index, signal: signal.clone() };
        let bytes = SignalBatch { source_partition: pair.0, entries: vec![entry], source_epoch: 0 }
            .encode();
        let sum = self.sums.entry(pair).or_default();
        sum.count += 1;
        sum.hash = sum.hash.wrapping_add(stable_hash(&bytes));
    }

    /// `self` is what the events say, `heard` what stands in the log of signals.
    pub(crate) fn against(&self, heard: &Self) -> Settled {
        let mut settled = Settled::default();
        let pairs =
            self.sums.keys().chain(heard.sums.keys().filter(|pair| !self.sums.contains_key(pair)));
        for pair in pairs {
            let of = |ledger: &Self| ledger.sums.get(pair).copied().unwrap_or_default();
            let (said, heard) = (of(self), of(heard));
            settled.checked += said.count;
            settled.missing += said.count.saturating_sub(heard.count);
            settled.extra += heard.count.saturating_sub(said.count);
            settled.mismatch += u64::from(said.count == heard.count && said.hash != heard.hash);
        }
        settled
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use upnext_common::event::EventType;
    use upnext_common::item::ItemHash;
    use upnext_state::{Direction, What};

    use super::*;

    fn ledger(offsets: &[i64]) -> Ledger {
        let mut ledger = Ledger::default();
        for offset in offsets {
            let (item_id, kind) = (Arc::from("a"), EventType::ItemViewed);
            let what = What::Count { item_id, kind, is_repeat: false, opens_session: false };
            let signal = Signal { item: ItemHash(1), time_ms: 7, what };
            ledger.note((0, 1), (*offset, 0), &signal);
        }
        ledger
    }

    #[track_caller]
    fn check(heard: &[i64], expected: (u64, u64, u64)) {
        let found = ledger(&[1, 2, 3]).against(&ledger(heard));
        assert_eq!(found.checked, 3);
        assert_eq!((found.mismatch, found.missing, found.extra), expected, "{heard:?}");
    }

    #[test]
    fn signals_are_the_same_in_any_order_and_differ_otherwise() {
        check(&[3, 1, 2], (0, 0, 0));
        check(&[1, 2], (0, 1, 0));
        check(&[1, 2, 3, 3], (0, 0, 1));
        check(&[1, 2, 4], (1, 0, 0));
        check(&[], (0, 3, 0));
    }

    #[test]
    fn what_is_not_settled_is_not_noted() {
        let mut heard = Ledger::until(BTreeMap::from([(0, 3)]));
        let signal = |other| {
            let what = What::Pair { other, distance: 1, direction: Direction::Forward };
            Signal { item: ItemHash(1), time_ms: 7, what }
        };
        for (partition, offset) in [(0, 2), (0, 3), (1, 0)] {
            heard.note((partition, 1), (offset, 0), &signal(ItemHash(9)));
        }
        let mut said = Ledger::default();
        said.note((0, 1), (2, 0), &signal(ItemHash(9)));
        assert_eq!(said.against(&heard), Settled { checked: 1, ..Settled::default() });
    }
}
