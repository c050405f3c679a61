//! Taking the best: by score, ties by item id, demoted items last.

use std::cmp::Ordering;

use upnext_model::live::LiveItems;

use crate::eligible::Eligible;
use crate::slate::{Dropped, Picked, PickedItem, Slate, Source};

/// Most dropped candidates that one source records.
const DROPPED_MAX: usize = 100;

/// Best first: the higher score, then the smaller id.
pub(crate) fn order(live: &LiveItems, a: (u32, f64), b: (u32, f64)) -> Ordering {
    b.1.total_cmp(&a.1).then_with(|| live.id(a.0).cmp(live.id(b.0)))
}

/// The best `count` of what is allowed, best first, demoted items last. `scores` is by item index.
pub(crate) fn best(
    live: &LiveItems,
    scores: &[f64],
    eligible: &Eligible,
    count: usize,
) -> Vec<(u32, f64)> {
    let all = (0..).zip(scores.iter().copied());
    let mut allowed = all.filter(|(item, _)| eligible.allows(*item)).collect::<Vec<_>>();
    let by_rank = |a: &(u32, f64), b: &(u32, f64)| {
        let demoted = eligible.is_demoted(a.0).cmp(&eligible.is_demoted(b.0));
        demoted.then_with(|| order(live, *a, *b))
    };
    if count == 0 || allowed.is_empty() {
        return Vec::new();
    }
    if count < allowed.len() {
        allowed.select_nth_unstable_by(count - 1, by_rank);
        allowed.truncate(count);
    }
    allowed.sort_unstable_by(by_rank);
    allowed
}

/// An answer that is the beginning of an ordered list; its slate is the same list.
pub(crate) fn listed(items: Vec<(u32, f64)>, mut source: impl FnMut(u32) -> Source) -> Picked {
    let mut picked = Picked::default();
    for (index, score) in items {
        let (source, score) = (source(index), narrow(score));
        picked.slate.push(index, source);
        picked.slate.score.push(score);
        picked.items.push(PickedItem { index, score, source });
    }
    picked
}

pub(crate) fn narrow(value: f64) -> f32 {
    #[expect(clippy::cast_possible_truncation, reason = "scores are answered as f32")]
    let narrow = value as f32;
    narrow
}

/// Records what would have been among the `taken` of a source, had it been allowed.
pub(crate) fn note_dropped(
    dropped: &mut Vec<Dropped>,
    scores: &[f64],
    eligible: &Eligible,
    source: Source,
    taken: &[(u32, f64)],
) {
    let least = taken.last().map_or(f64::NEG_INFINITY, |(_, score)| *score);
    let known = dropped.iter().map(|dropped| dropped.index).collect::<Vec<_>>();
    let all = (0..).zip(scores.iter().copied()).filter(|(_, score)| *score >= least);
    let more = all.filter_map(|(index, _)| {
        let cause = eligible.cause(index).filter(|_| !known.contains(&index))?;
        Some(Dropped { index, source, cause })
    });
    dropped.extend(more.take(DROPPED_MAX));
}

/// Orders the slate's candidates and takes the first `k`; the slate keeps its own order.
pub(crate) fn select(live: &LiveItems, slate: Slate, eligible: &Eligible, k: usize) -> Picked {
    let rows = slate.index.iter().zip(&slate.source).zip(&slate.score);
    let mut items = rows
        .map(|((index, source), score)| PickedItem {
            index: *index,
            score: *score,
            source: *source,
        })
        .collect::<Vec<_>>();
    items.sort_by(|a, b| {
        let demoted = eligible.is_demoted(a.index).cmp(&eligible.is_demoted(b.index));
        let of = |item: &PickedItem| (item.index, f64::from(item.score));
        demoted.then_with(|| order(live, of(a), of(b)))
    });
    items.truncate(k);
    Picked { items, slate, has_context: false }
}
