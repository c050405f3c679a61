//! The figures of one evaluation and their JSON: the layout of the reference scorer.

use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::ser::{PrettyFormatter, Serializer as JsonSerializer};

use super::score::{MEASURE_NAMES, Measures};

/// Everything that is reported about one set of answers.
#[derive(Clone, Debug, PartialEq)]
pub struct Report {
    /// By kind of query, sorted by name.
    pub kinds: Vec<(String, Kind)>,
    pub totals: Totals,
}

/// One kind of query.
#[derive(Clone, Debug, PartialEq)]
pub struct Kind {
    /// All queries with context.
    pub headline: Cohort,
    /// 95 % interval per measure of the headline.
    pub interval: Option<[[f64; 2]; 5]>,
    /// Sorted by name.
    pub cohorts: Vec<(String, Cohort)>,
}

/// The means over some queries.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Cohort {
    pub queries: usize,
    pub measures: Measures,
}

/// What is counted over all kinds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    pub queries: usize,
    pub answered: usize,
    /// Banned or repeated items that had to be taken out of answers.
    pub violations: usize,
    pub distinct_items_at_20: usize,
    /// How many answers each source gave, in order of first appearance.
    pub sources: Vec<(String, usize)>,
}

impl Totals {
    pub(super) fn count_source(&mut self, source: &str) {
        match self.sources.iter_mut().find(|(name, _)| name == source) {
            Some((_, count)) => *count += 1,
            None => self.sources.push((source.to_owned(), 1)),
        }
    }
}

impl Report {
    /// A measure of a kind's headline, for example `("next", "Recall@20")`.
    #[must_use]
    pub fn headline(&self, kind: &str, measure: &str) -> Option<f64> {
        let at = MEASURE_NAMES.iter().position(|name| *name == measure)?;
        let (_, found) = self.kinds.iter().find(|(name, _)| name == kind)?;
        Some(found.headline.measures[at])
    }

    /// The report as indented JSON, figures rounded to four digits.
    #[must_use]
    pub fn to_json(&self) -> String {
        let mut bytes = Vec::new();
        let formatter = PrettyFormatter::with_indent(b" ");
        let mut serializer = JsonSerializer::with_formatter(&mut bytes, formatter);
        self.serialize(&mut serializer).expect("writing to memory cannot fail");
        String::from_utf8(bytes).expect("JSON is UTF-8")
    }
}

impl Serialize for Report {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        for (name, kind) in &self.kinds {
            map.serialize_entry(name, kind)?;
        }
        map.serialize_entry("_", &self.totals)?;
        map.end()
    }
}

impl Serialize for Kind {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry(
            "headline(with-context)",
            &Headline { mean: &self.headline, interval: self.interval.as_ref() },
        )?;
        for (name, cohort) in &self.cohorts {
            map.serialize_entry(name, &Headline { mean: cohort, interval: None })?;
        }
        map.end()
    }
}

struct Headline<'a> {
    mean: &'a Cohort,
    interval: Option<&'a [[f64; 2]; 5]>,
}

impl Serialize for Headline<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("n", &self.mean.queries)?;
        for (name, value) in MEASURE_NAMES.iter().zip(self.mean.measures) {
            map.serialize_entry(name, &rounded(value))?;
        }
        if let Some(interval) = self.interval {
            map.serialize_entry("ci95", &Interval(interval))?;
        }
        map.end()
    }
}

struct Interval<'a>(&'a [[f64; 2]; 5]);

impl Serialize for Interval<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(MEASURE_NAMES.len()))?;
        for (name, bounds) in MEASURE_NAMES.iter().zip(self.0) {
            map.serialize_entry(name, &bounds.map(rounded))?;
        }
        map.end()
    }
}

impl Serialize for Totals {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("queries", &self.queries)?;
        map.serialize_entry("answered", &self.answered)?;
        map.serialize_entry("violations", &self.violations)?;
        map.serialize_entry("distinct_items_at_20", &self.distinct_items_at_20)?;
        map.serialize_entry("sources", &Sources(&self.sources))?;
        map.end()
    }
}

struct Sources<'a>(&'a [(String, usize)]);

impl Serialize for Sources<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, count)| (name, count)))
    }
}

/// Four digits, half to even on the exact value.
fn rounded(value: f64) -> f64 {
    format!("{value:.4}").parse().unwrap_or(value)
}
