//! The rungs themselves: an answer computed on the pool, and the last resort made in the request's own task.

use std::collections::{BTreeMap, HashMap};

use serde_json::Value;
use tracing::warn;
use upnext_common::decision::DecidedItem;
use upnext_common::item::{Item, ItemHash};
use upnext_common::tier::{Reason, Tier};
use upnext_model::live::LiveItems;
use upnext_model::row;
use upnext_recommend::{
    Picked, Query, RecommendError, Slate, Snapshot, Source, answer, keep, rank_given, similar,
    trending,
};
use upnext_state::UserState;

use crate::answer::AnsweredItem;
use crate::engine::{Question, Want};
use crate::hydrate::Hydrated;
use crate::world::World;

/// What was computed, in terms that outlive the columns.
#[derive(Debug)]
pub(crate) struct Computed {
    pub(crate) tier: Tier,
    /// Why it is from a lower rung than was tried.
    pub(crate) reasons: Vec<Reason>,
    pub(crate) items: Vec<AnsweredItem>,
    /// For the decision log: the shown items, or all that were considered.
    pub(crate) candidates: Vec<DecidedItem>,
    /// The artifact in use.
    pub(crate) model: Option<String>,
}

/// Computes the answer on `tier`, or on the next lower rung that can give one. `wants_all`: log every candidate.
pub(crate) fn compute(
    world: &World,
    question: &Question,
    hydrated: &Hydrated,
    (tier, wants_all): (Tier, bool),
) -> Computed {
    let columns = world.columns();
    let prepared = world.prepared();
    let snapshot = Snapshot { live: &columns.live, prepared: &prepared };
    let query = question.query();
    let user = hydrated.state.as_ref();
    let mut reasons = Vec::new();
    let mut tier = tier;
    let picked = loop {
        match pick(question, &query, user, (&snapshot, tier)) {
            Ok(picked) => break picked,
            Err(error) => {
                warn!(%error, tier = tier.name(), "rung failed, will try the next");
                reasons.push(reason_of(error));
                tier = below(tier);
            }
        }
    };
    if matches!(question.want, Want::Similar(_)) && of_vectors(&picked) {
        tier = Tier::Full;
    }
    Computed {
        tier,
        reasons,
        items: answered(question, &picked, &columns.live),
        candidates: decided(&picked, &columns.live, wants_all),
        model: world.model_id(),
    }
}

fn pick(
    question: &Question,
    query: &Query,
    user: Option<&UserState>,
    (snapshot, tier): (&Snapshot<'_>, Tier),
) -> Result<Picked, RecommendError> {
    match &question.want {
        Want::Recommend => answer(query, user, snapshot, tier),
        Want::Rank(items) => {
            let items: Vec<ItemHash> = items.iter().map(|id| ItemHash::of(id)).collect();
            rank_given(query, user, snapshot, tier, &items)
        }
        Want::Similar(item_id) => similar(query, ItemHash::of(item_id), snapshot),
        Want::Trending => trending(query, None, snapshot),
    }
}

fn reason_of(error: RecommendError) -> Reason {
    match error {
        RecommendError::ModelUnavailable => Reason::ModelUnavailable,
        RecommendError::ModelBroken => Reason::ModelError,
        RecommendError::NotComputed { .. } => Reason::RetrievalError,
    }
}

/// The next rung down that is computed; `static` cannot fail.
fn below(tier: Tier) -> Tier {
    match tier {
        Tier::Full | Tier::Cached | Tier::Stale => Tier::Session,
        Tier::Session | Tier::Head => Tier::Trending,
        Tier::Trending | Tier::Static => Tier::Static,
    }
}

fn of_vectors(picked: &Picked) -> bool {
    picked.items.first().is_some_and(|item| item.source == Source::Tower)
}

/// The answer of the last resort: the list made beforehand, filtered; for `static`, the artifact's own. No sums, no
/// waiting but for one short write.
pub(crate) fn last_resort(
    world: &World,
    question: &Question,
    hydrated: &Hydrated,
    tier: Tier,
) -> Computed {
    let columns = world.columns();
    let live = &columns.live;
    let prepared = world.prepared();
    let mut query = question.query();
    let order = match &question.want {
        // The caller's own order: nothing better is known within no time.
        Want::Rank(items) => {
            query.seeds.clear();
            items.iter().filter_map(|id| live.find(id)).collect()
        }
        Want::Recommend | Want::Similar(_) | Want::Trending if tier == Tier::Static => {
            let listed = prepared.artifact().map(|artifact| artifact.static_list.as_slice());
            listed.unwrap_or_default().iter().filter_map(|id| live.find(id)).collect()
        }
        Want::Recommend | Want::Similar(_) | Want::Trending => {
            world.lists().order(live, query.filters.category_in.as_deref())
        }
    };
    if let Want::Similar(item_id) = &question.want {
        query.exclude.insert(ItemHash::of(item_id));
    }
    let source = if tier == Tier::Static { Source::Static } else { Source::Trending };
    let kept = keep(&order, &query, hydrated.state.as_ref(), live);
    let items = kept.iter().zip(0_u16..).map(|(index, place)| upnext_recommend::PickedItem {
        index: *index,
        score: -f32::from(place),
        source,
    });
    let picked = Picked { items: items.collect(), slate: Slate::default(), has_context: false };
    Computed {
        tier,
        reasons: Vec::new(),
        items: answered(question, &picked, live),
        candidates: decided(&picked, live, false),
        model: world.model_id(),
    }
}

fn answered(question: &Question, picked: &Picked, live: &LiveItems) -> Vec<AnsweredItem> {
    let request = &question.request;
    let places = places(&picked.slate);
    let ranked = picked.items.iter().zip(1_u32..);
    ranked
        .map(|(item, rank)| AnsweredItem {
            item_id: live.id(item.index).to_owned(),
            rank,
            score: if item.score.is_finite() { item.score } else { 0.0 },
            source: item.source.name().to_owned(),
            meta: (!request.fields.is_empty())
                .then(|| meta(&request.fields, live.item(item.index).record().map(AsRef::as_ref))),
            explain: request.explain.then(|| {
                let at = places.get(&item.index).copied();
                explain(at.map_or(&[], |at| picked.slate.row(at)))
            }),
        })
        .collect()
}

/// Position in the slate by item.
fn places(slate: &Slate) -> HashMap<u32, usize> {
    slate.index.iter().copied().zip(0..).collect()
}

/// The catalogue fields asked for, as far as the item has them.
fn meta(fields: &[String], record: Option<&Item>) -> BTreeMap<String, Value> {
    let Some(record) = record else { return BTreeMap::new() };
    let found = fields.iter().filter_map(|field| {
        let value = match field.as_str() {
            "title" => record.title.as_deref().map(Value::from),
            "category" => record.category.as_deref().map(Value::from),
            "price" => record.price.map(Value::from),
            "attributes" => Some(serde_json::json!(record.attributes)),
            name => record.attributes.get(name).map(|text| Value::from(text.as_str())),
        };
        Some((field.clone(), value?))
    });
    found.collect()
}

fn explain(values: &[f32]) -> BTreeMap<String, f32> {
    row::names().into_iter().zip(values.iter().copied()).collect()
}

/// What goes into the decision log: the shown items with their rows, and the unshown ones if all are wanted.
fn decided(picked: &Picked, live: &LiveItems, wants_all: bool) -> Vec<DecidedItem> {
    let places = places(&picked.slate);
    let row_at = |at: usize| {
        picked.slate.row(at).iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<u8>>()
    };
    let shown = picked.items.iter().zip(1_i32..).map(|(item, rank)| DecidedItem {
        item_id: live.id(item.index).to_owned(),
        rank,
        score: item.score,
        source: item.source.name().to_owned(),
        propensity: 1.0,
        row: places.get(&item.index).map(|at| row_at(*at)).unwrap_or_default(),
    });
    let mut decided: Vec<DecidedItem> = shown.collect();
    if wants_all {
        let shown: std::collections::HashSet<u32> =
            picked.items.iter().map(|item| item.index).collect();
        let slate = &picked.slate;
        let rest = (0..slate.len()).filter(|at| !shown.contains(&slate.index[*at]));
        decided.extend(rest.map(|at| DecidedItem {
            item_id: live.id(slate.index[at]).to_owned(),
            rank: 0,
            score: slate.score.get(at).copied().unwrap_or(0.0),
            source: slate.source[at].name().to_owned(),
            propensity: 0.0,
            row: row_at(at),
        }));
    }
    decided
}

#[cfg(test)]
mod tests;
