//! An item's state by feature.

use super::ItemState;
use crate::part::{Part, part};

pub(super) fn parts(state: &ItemState) -> Vec<Part> {
    let ItemState {
        position,
        item_id,
        at_ms,
        first_seen_ms,
        last_seen_ms,
        counts,
        interest,
        openings,
        pairs,
    } = state;
    let totals = counts.map(|tally| tally.total);
    vec![
        part("position", position),
        part("id", item_id),
        part("seen", &(*first_seen_ms, *last_seen_ms, *at_ms)),
        part("tallies", counts),
        part("totals", &(totals, interest.total)),
        part("interest", interest),
        part("openings", openings),
        part("pairs", &pairs.kept),
        part("pair_total", &pairs.total),
    ]
}
