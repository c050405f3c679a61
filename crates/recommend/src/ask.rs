//! The other questions: rank what is given, what is similar, what is trending; and who asks.

use std::borrow::Cow;

use upnext_common::item::ItemHash;
use upnext_common::tier::Tier;
use upnext_state::UserState;

use crate::answer::{RecommendError, answer, finite, ranker};
use crate::asked::Asked;
use crate::eligible::{Eligible, Scope};
use crate::full;
use crate::prepared::Snapshot;
use crate::query::{Filters, Query};
use crate::select;
use crate::session;
use crate::slate::{Picked, Slate, Source};

/// One state of a known and an anonymous id that ask together.
#[must_use]
pub fn merged<'a>(
    known: Option<&'a UserState>,
    anonymous: Option<&'a UserState>,
) -> Option<Cow<'a, UserState>> {
    match (known, anonymous) {
        (Some(known), Some(anonymous)) => Some(Cow::Owned(known.merge(anonymous))),
        (Some(one), None) | (None, Some(one)) => Some(Cow::Borrowed(one)),
        (None, None) => None,
    }
}

/// Orders `items` (known ones; unknown ids have no place in an answer) for this user, on the tier `full` or, without
/// a model, `session`. Filters drop; the item in view and the seen rule do not count.
///
/// # Errors
/// As [`answer`].
pub fn rank_given(
    query: &Query,
    user: Option<&UserState>,
    snapshot: &Snapshot<'_>,
    tier: Tier,
    items: &[ItemHash],
) -> Result<Picked, RecommendError> {
    let asked = Asked::new(query, user, snapshot, Scope::Given);
    let mut slate = given(items, snapshot, &asked.eligible);
    match tier {
        Tier::Full => {
            let ranker = ranker(snapshot)?;
            full::write_rows(&mut slate, &asked);
            ranker.score(&slate.rows, &mut slate.score);
        }
        Tier::Session => score_by(&mut slate, &session::scores(&asked.moment, &asked.context)),
        Tier::Trending => score_by(&mut slate, asked.moment.trend()),
        Tier::Static => slate.score = vec![0.0; slate.len()],
        Tier::Cached | Tier::Stale | Tier::Head => {
            return Err(RecommendError::NotComputed { tier });
        }
    }
    let mut picked = finite(select::select(asked.live(), slate, &asked.eligible, query.k))?;
    picked.has_context = !asked.context.items.is_empty();
    Ok(picked)
}

/// Each known item once, in the caller's order.
fn given(items: &[ItemHash], snapshot: &Snapshot<'_>, eligible: &Eligible) -> Slate {
    let mut slate = Slate::default();
    let mut met = std::collections::HashSet::new();
    for index in items.iter().filter_map(|item| snapshot.live.index_of(*item)) {
        if eligible.allows(index) && met.insert(index) {
            slate.push(index, Source::Given);
        }
    }
    slate
}

fn score_by(slate: &mut Slate, scores: &[f64]) {
    let of = |item: &u32| usize::try_from(*item).ok().and_then(|at| scores.get(at));
    let scores = slate.index.iter().map(|item| of(item).copied().unwrap_or(f64::MIN));
    slate.score = scores.map(select::narrow).collect();
}

/// What goes with one item, whoever asks: what follows it, or, while little is known of it, what it is like.
///
/// # Errors
/// As [`answer`].
pub fn similar(
    query: &Query,
    item: ItemHash,
    snapshot: &Snapshot<'_>,
) -> Result<Picked, RecommendError> {
    let query = Query { seeds: vec![item], session: None, ..query.clone() };
    let index = snapshot.live.index_of(item);
    let Some(vector) = index.and_then(|index| young_vector(index, snapshot)) else {
        return answer(&query, None, snapshot, Tier::Session);
    };
    let asked = Asked::new(&query, None, snapshot, Scope::Open);
    let near =
        |other: u32| snapshot.prepared.vector(other).map_or(-1.0, |with| cosine(vector, with));
    let scores = (0..).take(snapshot.live.len()).map(near).collect::<Vec<_>>();
    let best = select::best(snapshot.live, &scores, &asked.eligible, query.k);
    Ok(select::listed(best, |_| Source::Tower))
}

/// Pairs an item must have been in for its counts to speak for it.
const KNOWN_PAIRS: f64 = 3.0;

fn young_vector<'a>(index: u32, snapshot: &Snapshot<'a>) -> Option<&'a [f32]> {
    let pairs = snapshot.live.item(index).counts().map_or(0.0, |counts| counts.pair_total);
    snapshot.prepared.vector(index).filter(|_| pairs < KNOWN_PAIRS)
}

fn cosine(one: &[f32], other: &[f32]) -> f64 {
    let dot = |a: &[f32], b: &[f32]| {
        a.iter().zip(b).map(|(x, y)| f64::from(*x) * f64::from(*y)).sum::<f64>()
    };
    let norms = (dot(one, one) * dot(other, other)).sqrt();
    if norms > 0.0 { dot(one, other) / norms } else { 0.0 }
}

/// What is trending, in one category or in all.
///
/// # Errors
/// As [`answer`].
pub fn trending(
    query: &Query,
    category: Option<&str>,
    snapshot: &Snapshot<'_>,
) -> Result<Picked, RecommendError> {
    let mut query = query.clone();
    if let Some(category) = category {
        let category_in = Some(vec![category.to_owned()]);
        query.filters = Filters { category_in, ..query.filters };
    }
    answer(&query, None, snapshot, Tier::Trending)
}
