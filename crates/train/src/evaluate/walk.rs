//! The protocol as a sequence of steps: events, then the query that may see them.

use std::path::Path;

use upnext_common::item::{Item, stable_hash};

use super::EvaluateError;
use super::queries::{Cuts, FrozenQuery, cuts, either, queries};
use crate::dataset::{Row, Words, read_events, read_items};

/// A gold set in memory.
#[derive(Clone, Debug)]
pub struct Gold {
    /// Sorted by time; the file's order where times are equal.
    pub rows: Vec<Row>,
    pub items: Vec<Item>,
    pub queries: Vec<FrozenQuery>,
    pub cuts: Cuts,
}

impl Gold {
    /// Reads `events.csv`, `items.jsonl`, `queries.jsonl` (each or its `.gz`) and `split.json` of a directory. A data
    /// set without an items file has items known from events alone.
    ///
    /// # Errors
    /// When one of them cannot be read, or any row is bad: a gold set is whole.
    pub fn read(directory: &Path) -> Result<Self, EvaluateError> {
        let events = read_events(&either(directory, "events.csv"), &Words::default())?;
        let mut rows = events.collect::<Result<Vec<_>, _>>()?;
        rows.sort_by_key(|row| row.record_ms);
        let items = either(directory, "items.jsonl");
        let items = if items.exists() { read_items(&items)? } else { Vec::new() };
        Ok(Self { rows, items, queries: queries(directory)?, cuts: cuts(directory)? })
    }

    /// The queries of one split.
    ///
    /// # Errors
    /// When there are none.
    pub fn split(&self, split: &str) -> Result<Vec<&FrozenQuery>, EvaluateError> {
        let found = self.queries.iter().filter(|query| query.split == split).collect::<Vec<_>>();
        if found.is_empty() {
            return Err(EvaluateError::NoQueries { split: split.to_owned() });
        }
        Ok(found)
    }

    /// What may be fitted on when `split` is evaluated: everything before it starts.
    ///
    /// # Errors
    /// When there is no such split.
    pub fn before(&self, split: &str) -> Result<&[Row], EvaluateError> {
        let start = self.cuts.start_of(split)?;
        Ok(&self.rows[..self.rows.partition_point(|row| row.record_ms < start)])
    }
}

/// `count` of the queries, the same ones for the same seed, in their order.
#[must_use]
pub fn sample<'a>(queries: &[&'a FrozenQuery], count: usize, seed: u64) -> Vec<&'a FrozenQuery> {
    let draw =
        |query: &FrozenQuery| stable_hash(&[query.qid.to_le_bytes(), seed.to_le_bytes()].concat());
    let mut drawn = queries.to_vec();
    drawn.sort_by_key(|query| (draw(query), query.qid));
    drawn.truncate(count);
    drawn.sort_by_key(|query| query.qid);
    drawn
}

/// One step of the protocol.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Step<'a> {
    /// Make these visible, all before the next query's time.
    Events(&'a [Row]),
    /// Ask. What happens at the query's own time is not visible yet.
    Ask(&'a FrozenQuery),
}

/// The steps for these queries over these rows (sorted by time), in order of time. Events after the last query are
/// not part of it.
pub fn walk<'a>(
    rows: &'a [Row],
    queries: &[&'a FrozenQuery],
) -> impl Iterator<Item = Step<'a>> + use<'a> {
    let mut ordered = queries.to_vec();
    ordered.sort_by_key(|query| (query.ts_ms, query.qid));
    let mut done = 0;
    ordered.into_iter().flat_map(move |query| {
        let end = done + rows[done..].partition_point(|row| row.record_ms < query.ts_ms);
        let fresh = &rows[done..end];
        done = end;
        let events = (!fresh.is_empty()).then_some(Step::Events(fresh));
        events.into_iter().chain([Step::Ask(query)])
    })
}
