//! Scoring answers against the frozen targets: the same figures as the reference scorer of the gold sets.

use std::collections::{HashMap, HashSet};

use super::bootstrap;
use super::queries::{ANSWER_ITEMS_MAX, FrozenQuery};
use super::report::{Cohort, Kind, Report, Totals};

/// One answer: the items best first, and where they came from.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Answer {
    pub qid: u64,
    pub items: Vec<String>,
    pub source: String,
    pub ms: f64,
}

/// Recall@20, HR@10, MRR@20, nDCG@10, Hit@100.
pub type Measures = [f64; 5];
pub const MEASURE_NAMES: [&str; 5] = ["Recall@20", "HR@10", "MRR@20", "nDCG@10", "Hit@100"];
/// Cohorts outside the headline: nothing is known about the asker.
const WITHOUT_CONTEXT: [&str; 2] = ["first-event", "cold-start"];
const RECALL_AT: usize = 20;
const GAIN_AT: usize = 10;

/// One scored query.
#[derive(Clone, Debug)]
pub(crate) struct Scored<'a> {
    pub(crate) query: &'a FrozenQuery,
    pub(crate) measures: Measures,
}

/// Scores the answers to all `queries`. A query without an answer scores 0; banned and repeated items are taken
/// out of an answer before it is scored, and counted.
#[must_use]
pub fn score(queries: &[&FrozenQuery], answers: &[Answer]) -> Report {
    let by_id = answers.iter().map(|answer| (answer.qid, answer)).collect::<HashMap<_, _>>();
    let mut totals = Totals { queries: queries.len(), ..Totals::default() };
    let mut covered = HashSet::new();
    let mut scored = Vec::with_capacity(queries.len());
    for query in queries {
        let answer = by_id.get(&query.qid);
        totals.count_source(answer.map_or("none", |answer| &answer.source));
        totals.answered += usize::from(answer.is_some());
        let raw = answer.map_or(&[][..], |answer| &answer.items);
        let (items, violations) = cleaned(raw, query.banned());
        totals.violations += violations;
        covered.extend(items.iter().take(RECALL_AT).copied());
        scored.push(Scored { query, measures: measure(&items, &query.targets) });
    }
    totals.distinct_items_at_20 = covered.len();
    Report { kinds: kinds(&scored), totals }
}

/// The items without banned and repeated ones, and how many of those there were.
fn cleaned<'a>(raw: &'a [String], banned: &[String]) -> (Vec<&'a str>, usize) {
    let banned = banned.iter().map(String::as_str).collect::<HashSet<_>>();
    let mut taken = HashSet::new();
    let items = raw.iter().map(String::as_str);
    let items = items.filter(|item| !banned.contains(item) && taken.insert(*item));
    let items = items.collect::<Vec<_>>();
    let violations = raw.len() - items.len();
    (items, violations)
}

/// The five measures of one ranked list. Gain is 1/log2(rank + 1), rank from 1.
#[must_use]
pub fn measure(items: &[&str], targets: &[String]) -> Measures {
    let wanted = targets.iter().map(String::as_str).collect::<HashSet<_>>();
    let top = items.iter().take(RECALL_AT).enumerate();
    let hits = top.filter(|(_, item)| wanted.contains(*item)).map(|(at, _)| at);
    let hits = hits.collect::<Vec<_>>();
    let gained: f64 = hits.iter().filter(|at| **at < GAIN_AT).map(|at| gain(*at)).sum();
    let best: f64 = (0..wanted.len().min(GAIN_AT)).map(gain).sum();
    let is_hit = items.iter().take(ANSWER_ITEMS_MAX).any(|item| wanted.contains(item));
    [
        share(hits.len(), wanted.len().min(RECALL_AT)),
        f64::from(u8::from(hits.iter().any(|at| *at < GAIN_AT))),
        hits.first().map_or(0.0, |at| share(1, at + 1)),
        if best > 0.0 { gained / best } else { 0.0 },
        f64::from(u8::from(is_hit)),
    ]
}

fn gain(at: usize) -> f64 {
    1.0 / count(at + 2).log2()
}

fn share(part: usize, whole: usize) -> f64 {
    if whole == 0 { 0.0 } else { count(part) / count(whole) }
}

pub(crate) fn count(number: usize) -> f64 {
    u32::try_from(number).map_or(f64::INFINITY, f64::from)
}

fn kinds(scored: &[Scored<'_>]) -> Vec<(String, Kind)> {
    let mut names = scored.iter().map(|row| row.query.kind.as_str()).collect::<Vec<_>>();
    names.sort_unstable();
    names.dedup();
    let of = |name: &str| {
        let rows = scored.iter().filter(|row| row.query.kind == name).collect::<Vec<_>>();
        (name.to_owned(), kind(&rows))
    };
    names.into_iter().map(of).collect()
}

fn kind(rows: &[&Scored<'_>]) -> Kind {
    let has_context = |row: &&&Scored<'_>| !WITHOUT_CONTEXT.contains(&row.query.cohort.as_str());
    let headline = rows.iter().filter(has_context).copied().collect::<Vec<_>>();
    let mut names = rows.iter().map(|row| row.query.cohort.as_str()).collect::<Vec<_>>();
    names.sort_unstable();
    names.dedup();
    let cohort = |name: &str| {
        let of = rows.iter().filter(|row| row.query.cohort == name).copied().collect::<Vec<_>>();
        (name.to_owned(), mean(&of))
    };
    Kind {
        headline: mean(&headline),
        interval: bootstrap::interval(&headline),
        cohorts: names.into_iter().map(cohort).collect(),
    }
}

fn mean(rows: &[&Scored<'_>]) -> Cohort {
    let mut measures = [0.0; 5];
    for row in rows {
        for (sum, value) in measures.iter_mut().zip(row.measures) {
            *sum += value;
        }
    }
    for sum in &mut measures {
        *sum = if rows.is_empty() { 0.0 } else { *sum / count(rows.len()) };
    }
    Cohort { queries: rows.len(), measures }
}
