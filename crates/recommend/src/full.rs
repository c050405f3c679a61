//! The full tier: sources → feature rows → ranker, and what is left in the session tier's order.

use upnext_model::ranker::Ranker;
use upnext_model::row;
use upnext_state::UserState;

use crate::asked::Asked;
use crate::eligible::Scope;
use crate::prepared::Snapshot;
use crate::query::Query;
use crate::select;
use crate::session;
use crate::slate::{Picked, PickedItem, Slate, Source};
use crate::sources;

pub(crate) fn answer(asked: &Asked<'_>, ranker: &Ranker) -> Picked {
    let mut slate = sources::gather(asked);
    write_rows(&mut slate, asked);
    ranker.score(&slate.rows, &mut slate.score);
    let mut picked = select::select(asked.live(), slate, &asked.eligible, asked.query.k);
    fill(&mut picked, asked);
    picked
}

/// Everything the full tier would consider, with feature rows and without scores: what a ranker learns from. Works
/// without a ranker, and without a tower.
#[must_use]
pub fn candidates(query: &Query, user: Option<&UserState>, snapshot: &Snapshot<'_>) -> Slate {
    let asked = Asked::new(query, user, snapshot, Scope::Open);
    let mut slate = sources::gather(&asked);
    write_rows(&mut slate, &asked);
    slate
}

/// The feature rows of the slate's candidates.
pub(crate) fn write_rows(slate: &mut Slate, asked: &Asked<'_>) {
    let logits = asked.snapshot.prepared.logits(&asked.context.items, &slate.index);
    slate.rows = row::build(&asked.moment, &asked.context, &slate.index, logits.as_deref());
    slate.width = row::WIDTH;
}

/// Fills up with what no source had, below everything that was ranked.
fn fill(picked: &mut Picked, asked: &Asked<'_>) {
    let k = asked.query.k;
    if picked.items.len() >= k {
        return;
    }
    let taken = picked.slate.index.iter().copied().collect::<std::collections::HashSet<_>>();
    let scores = session::scores(&asked.moment, &asked.context);
    let count = k.saturating_add(taken.len());
    let rest = select::best(asked.live(), &scores, &asked.eligible, count);
    let mut score = picked.items.last().map_or(0.0, |last| last.score);
    for (index, _) in rest.into_iter().filter(|(index, _)| !taken.contains(index)) {
        if picked.items.len() >= k {
            break;
        }
        score -= 1.0;
        picked.items.push(PickedItem { index, score, source: Source::Fill });
    }
}
