//! One answer on one tier.

use thiserror::Error;
use upnext_common::fault::Fault;
use upnext_common::tier::Tier;
use upnext_model::ranker::Ranker;
use upnext_model::row;
use upnext_state::UserState;

use crate::asked::Asked;
use crate::eligible::Scope;
use crate::full;
use crate::prepared::Snapshot;
use crate::query::Query;
use crate::select;
use crate::session;
use crate::slate::{Picked, Source};

/// Why a tier cannot answer; the caller goes to the next rung.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum RecommendError {
    #[error("no ranker is loaded")]
    ModelUnavailable,
    #[error("the model gave scores that are not numbers")]
    ModelBroken,
    #[error("tier {} is not computed here", tier.name())]
    NotComputed { tier: Tier },
}

impl RecommendError {
    #[must_use]
    pub fn fault(&self) -> Fault {
        match self {
            Self::ModelUnavailable => Fault::UPSTREAM,
            Self::ModelBroken | Self::NotComputed { .. } => Fault::INTERNAL,
        }
    }
}

/// Answers `query` for `user` (`None`: nothing is known) on `tier`. The same filters hold on every tier.
///
/// # Errors
/// On the full tier without a ranker or with one whose scores are not finite; and for `cached`, `stale` and `head`,
/// which are other answers kept, not ways to make one.
pub fn answer(
    query: &Query,
    user: Option<&UserState>,
    snapshot: &Snapshot<'_>,
    tier: Tier,
) -> Result<Picked, RecommendError> {
    let asked = Asked::new(query, user, snapshot, Scope::Open);
    let mut picked = match tier {
        Tier::Full => {
            let ranker = ranker(snapshot)?;
            finite(full::answer(&asked, ranker))?
        }
        Tier::Session => session::answer(&asked),
        Tier::Trending => session::trending(&asked),
        Tier::Static => fixed(&asked),
        Tier::Cached | Tier::Stale | Tier::Head => {
            return Err(RecommendError::NotComputed { tier });
        }
    };
    picked.has_context = !asked.context.items.is_empty();
    Ok(picked)
}

/// The loaded ranker, if its rows are ours.
pub(crate) fn ranker<'a>(snapshot: &Snapshot<'a>) -> Result<&'a Ranker, RecommendError> {
    let artifact = snapshot.prepared.artifact().ok_or(RecommendError::ModelUnavailable)?;
    let ranker = artifact.ranker.as_ref().filter(|ranker| ranker.columns() == row::WIDTH);
    ranker.ok_or(RecommendError::ModelUnavailable)
}

pub(crate) fn finite(picked: Picked) -> Result<Picked, RecommendError> {
    let is_finite = picked.slate.score.iter().all(|score| score.is_finite());
    if is_finite { Ok(picked) } else { Err(RecommendError::ModelBroken) }
}

/// The static tier: the artifact's own list, then the rest by id. Needs no counts and no user.
fn fixed(asked: &Asked<'_>) -> Picked {
    let live = asked.live();
    let mut places = vec![f64::NEG_INFINITY; live.len()];
    let listed = asked.snapshot.prepared.artifact().map(|artifact| artifact.static_list.as_slice());
    for (id, place) in listed.unwrap_or_default().iter().zip(0_u32..) {
        let slot = live.find(id).and_then(|index| places.get_mut(usize::try_from(index).ok()?));
        slot.into_iter().for_each(|slot| *slot = -f64::from(place));
    }
    let best = select::best(live, &places, &asked.eligible, asked.query.k);
    let ranked = best.into_iter().zip(0_u32..).map(|((item, _), place)| (item, -f64::from(place)));
    select::listed(ranked.collect(), |_| Source::Static)
}
