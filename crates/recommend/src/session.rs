//! The session tier: a product of next-item probabilities from live counts, nothing trained.

use upnext_model::live::Moment;
use upnext_model::row::Context;

use crate::asked::Asked;
use crate::select;
use crate::slate::{Picked, Source};

/// Weight of the item before the newest.
const SECOND: f64 = 0.2;
/// Weight by which well-known items are held back.
const POPULARITY: f64 = 0.2;

/// `ln P(i|c0) + .2 ln P(i|c1) - .2 ln(1 + count(i))` of every item, by index; without context, `ln T(i)`.
pub(crate) fn scores(moment: &Moment<'_>, context: &Context) -> Vec<f64> {
    let Some(newest) = context.items.first() else {
        return moment.trend().iter().map(|trend| trend.ln()).collect();
    };
    let mut scores = Vec::new();
    moment.chances_after(*newest, &mut scores);
    for (score, item) in scores.iter_mut().zip(0..) {
        *score = score.ln() - POPULARITY * moment.count(item).ln_1p();
    }
    if let Some(second) = context.items.get(1) {
        let mut chances = Vec::new();
        moment.chances_after(*second, &mut chances);
        for (score, chance) in scores.iter_mut().zip(chances) {
            *score += SECOND * chance.ln();
        }
    }
    scores
}

pub(crate) fn answer(asked: &Asked<'_>) -> Picked {
    let items = &asked.context.items;
    let follows =
        |item: u32, last: Option<&u32>| last.is_some_and(|last| asked.moment.has_pair(item, *last));
    listed(asked, &scores(&asked.moment, &asked.context), |item| {
        if follows(item, items.first()) {
            Source::Next
        } else if follows(item, items.get(1)) {
            Source::Previous
        } else {
            Source::Trending
        }
    })
}

/// The trending tier: the share of interest, half-life 7 d.
pub(crate) fn trending(asked: &Asked<'_>) -> Picked {
    listed(asked, asked.moment.trend(), |_| Source::Trending)
}

fn listed(asked: &Asked<'_>, scores: &[f64], source: impl Fn(u32) -> Source) -> Picked {
    let best = select::best(asked.live(), scores, &asked.eligible, asked.query.k);
    let mut dropped = Vec::new();
    if asked.query.explain {
        select::note_dropped(&mut dropped, scores, &asked.eligible, Source::Trending, &best);
        dropped.iter_mut().for_each(|dropped| dropped.source = source(dropped.index));
    }
    let mut picked = select::listed(best, source);
    picked.slate.dropped = dropped;
    picked
}
