//! The evaluation in process: the same state, rows and answers as the daemons', without the wires between them.

use std::sync::Arc;

use upnext_common::clock::Clock;
use upnext_common::config::Train;
use upnext_common::event::Subject;
use upnext_common::item::{ItemHash, stable_hash};
use upnext_common::tier::Tier;
use upnext_model::artifact::Artifact;
use upnext_recommend::{Prepared, Query, RecommendError, Snapshot, answer};

use super::EvaluateError;
use super::queries::{FrozenQuery, QueryPlan};
use super::report::Report;
use super::score::{Answer, score};
use super::walk::{Gold, Step, walk};
use crate::fit::{self, Input, Stage};
use crate::live_replay::LiveReplay;

/// What is evaluated.
#[derive(Clone, Copy, Debug)]
pub struct Offline<'a> {
    pub gold: &'a Gold,
    pub split: &'a str,
    pub tier: Tier,
    /// Used by the full tier, which is fitted on what lies before the split.
    pub train: &'a Train,
    pub clock: &'a Clock,
}

/// Answers and their figures.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    pub answers: Vec<Answer>,
    pub report: Report,
}

/// Fits what the tier needs on everything before the split, then walks once over the events and asks `queries`.
///
/// # Errors
/// When there is no such split, the fit fails, or the tier cannot be answered in process.
pub fn offline(
    evaluation: &Offline<'_>,
    queries: &[&FrozenQuery],
    on_progress: &mut dyn FnMut(Stage),
) -> Result<Outcome, EvaluateError> {
    let artifact = match evaluation.tier {
        Tier::Full | Tier::Static => Some(fitted(evaluation, on_progress)?),
        Tier::Session | Tier::Trending | Tier::Cached | Tier::Stale | Tier::Head => None,
    };
    let answers = answers_of(evaluation, artifact, queries, on_progress)?;
    let report = score(queries, &answers);
    Ok(Outcome { answers, report })
}

/// The artifact for a split: fitted on everything before it starts, and on nothing else.
///
/// # Errors
/// When there is no such split or the fit fails.
pub fn fitted(
    evaluation: &Offline<'_>,
    on_progress: &mut dyn FnMut(Stage),
) -> Result<Arc<Artifact>, EvaluateError> {
    let rows = evaluation.gold.before(evaluation.split)?;
    let input = Input { rows, items: &evaluation.gold.items };
    Ok(Arc::new(fit::fit(&input, evaluation.train, evaluation.clock, on_progress)?))
}

/// Walks once over the events and asks `queries` of this artifact.
///
/// # Errors
/// When the tier cannot be answered in process.
pub fn answers_of(
    evaluation: &Offline<'_>,
    artifact: Option<Arc<Artifact>>,
    queries: &[&FrozenQuery],
    on_progress: &mut dyn FnMut(Stage),
) -> Result<Vec<Answer>, EvaluateError> {
    let replay = LiveReplay::new(&evaluation.gold.items);
    answers_from(replay, evaluation, artifact, queries, on_progress)
}

/// The same from a replay of the caller's making, which has seen nothing yet.
///
/// # Errors
/// As [`answers_of`].
pub fn answers_from(
    mut replay: LiveReplay,
    evaluation: &Offline<'_>,
    artifact: Option<Arc<Artifact>>,
    queries: &[&FrozenQuery],
    on_progress: &mut dyn FnMut(Stage),
) -> Result<Vec<Answer>, EvaluateError> {
    let mut prepared = Prepared::default();
    let mut answers = Vec::with_capacity(queries.len());
    for step in walk(&evaluation.gold.rows, queries) {
        match step {
            Step::Events(rows) => {
                rows.iter().for_each(|row| replay.apply(&row.event, row.record_ms));
                replay.refresh();
            }
            Step::Ask(query) => {
                if let Some(artifact) = &artifact
                    && (prepared.artifact().is_none() || !prepared.is_current(replay.live()))
                {
                    prepared = Prepared::new(Arc::clone(artifact), replay.live());
                }
                let snapshot = Snapshot { live: replay.live(), prepared: &prepared };
                let start = evaluation.clock.instant();
                let items = ask(&query.plan(), &replay, &snapshot, evaluation.tier)?;
                let took = evaluation.clock.instant().saturating_duration_since(start);
                let source = evaluation.tier.name().to_owned();
                answers.push(Answer {
                    qid: query.qid,
                    items,
                    source,
                    ms: took.as_secs_f64() * 1e3,
                });
                on_progress(Stage::Answers { done: answers.len(), of: queries.len() });
            }
        }
    }
    Ok(answers)
}

/// Asks one query of a replay: the item ids, best first.
///
/// # Errors
/// When the tier cannot be answered.
pub fn ask(
    plan: &QueryPlan,
    replay: &LiveReplay,
    snapshot: &Snapshot<'_>,
    tier: Tier,
) -> Result<Vec<String>, RecommendError> {
    let user = match (&plan.user_id, &plan.anonymous_id) {
        (Some(user), _) => replay.user(Subject::User(user)),
        (None, Some(anonymous)) => replay.user(Subject::Anonymous(anonymous)),
        (None, None) => None,
    };
    let hashes = |ids: &[String]| ids.iter().map(|id| ItemHash::of(id)).collect::<Vec<_>>();
    let query = Query {
        session: Some(stable_hash(plan.session_id.as_bytes())),
        seeds: hashes(&plan.seed_items),
        exclude: hashes(&plan.exclude_items).into_iter().collect(),
        ..Query::new(plan.now_ms, plan.k)
    };
    let picked = answer(&query, user, snapshot, tier)?;
    Ok(picked.items.iter().map(|item| snapshot.live.id(item.index).to_owned()).collect())
}
