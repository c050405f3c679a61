//! What the log says of one item, laid out for reading: values as of one stamp, pairs sorted for look-up.

use upnext_common::item::ItemHash;
use upnext_state::ItemState;

/// The counters of one item as of `stamp_ms`, to be decayed from there.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Counts {
    pub stamp_ms: i64,
    pub first_seen_ms: i64,
    /// Non-repeat interactions at half-lives of 1 h, 24 h, 7 d and 30 d, and undecayed.
    pub interest_1h: f64,
    pub interest_24h: f64,
    pub interest_7d: f64,
    pub interest_30d: f64,
    pub interest: f64,
    /// Interactions that opened a session, half-life 7 d.
    pub openings_7d: f64,
    pub shown: f64,
    pub clicked: f64,
    /// Sorted by hash.
    pair_items: Vec<ItemHash>,
    pair_weights: Vec<f64>,
    /// All that was ever paired with this item, half-life 60 d.
    pub pair_total: f64,
    /// The part of it that is not in the list any more.
    pub pair_rest: f64,
}

impl Counts {
    /// Reads a state as of its own newest change, whatever time it is now.
    #[must_use]
    pub fn read(state: &ItemState) -> Self {
        let stamp_ms = state.at_ms();
        let values = state.at(stamp_ms);
        let mut pairs = state.pairs().to_vec();
        pairs.sort_unstable_by_key(|pair| pair.other);
        let kept: f64 = pairs.iter().map(|pair| pair.weight).sum();
        Self {
            stamp_ms,
            first_seen_ms: state.first_seen_ms().unwrap_or(stamp_ms),
            interest_1h: values.interest.h1,
            interest_24h: values.interest.h24,
            interest_7d: values.interest.d7,
            interest_30d: values.interest.d30,
            interest: wide(values.interest.total),
            openings_7d: values.openings,
            shown: wide(state.shown_total()),
            clicked: wide(state.clicked_total()),
            pair_total: state.pair_total(),
            pair_rest: (state.pair_total() - kept).max(0.0),
            pair_items: pairs.iter().map(|pair| pair.other).collect(),
            pair_weights: pairs.iter().map(|pair| pair.weight).collect(),
        }
    }

    /// What stands in the list under `other`, as of the stamp; 0 when nothing does.
    #[must_use]
    pub fn pair_weight(&self, other: ItemHash) -> f64 {
        self.pair_items.binary_search(&other).map_or(0.0, |at| self.pair_weights[at])
    }

    /// The list, as of the stamp.
    pub fn pairs(&self) -> impl Iterator<Item = (ItemHash, f64)> {
        self.pair_items.iter().copied().zip(self.pair_weights.iter().copied())
    }
}

fn wide(count: u64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "counts of happenings are far below 2^53")]
    let wide = count as f64;
    wide
}
