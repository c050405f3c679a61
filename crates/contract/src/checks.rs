//! What is checked about an event once it can be read: whom it names, the rules, and its time.

use upnext_common::config;
use upnext_common::event::{Event, EventType};
use upnext_common::item::Item;
use upnext_common::metrics::{Counter, Metrics, RuleLabels};

use crate::parts::Parts;
use crate::rules::{Rule, Rules, Severity};
use crate::verdict::{Reason, Rejection, Verdict};

pub(crate) mod time;

/// The bounds of the contract that are configured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Largest record value that is decoded at all.
    pub value_bytes_max: usize,
    /// How far an event may lie before its record's timestamp.
    pub event_age_max_ms: i64,
    /// How far an event may lie after its record's timestamp.
    pub event_ahead_max_ms: i64,
}

impl Default for Limits {
    fn default() -> Self {
        Self::from(&config::Ingest::default())
    }
}

impl From<&config::Ingest> for Limits {
    fn from(ingest: &config::Ingest) -> Self {
        Self {
            value_bytes_max: ingest.value_bytes_max,
            event_age_max_ms: ingest.event_age_max_ms,
            event_ahead_max_ms: ingest.event_ahead_max_ms,
        }
    }
}

/// Everything about an event that needs no registry; all that the HTTP path judges by.
#[derive(Debug)]
pub struct Checks {
    rules: &'static Rules,
    limits: Limits,
    /// Breaches of each rule that only warns.
    warned: Vec<Counter>,
}

impl Checks {
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        let rules = Rules::embedded();
        let warned = rules.all().iter().map(|_| Counter::default()).collect();
        Self { rules, limits, warned }
    }

    /// The same, with its warnings among the process's metrics.
    #[must_use]
    pub fn counting(self, metrics: &Metrics) -> Self {
        let counter = |rule: &Rule| {
            let labels = RuleLabels { rule: rule.id.clone() };
            metrics.rule_warnings.get_or_create(&labels).clone()
        };
        let all = self.rules.all().iter();
        let warned = all.map(|rule| match rule.severity {
            Severity::Warn => counter(rule),
            Severity::Reject => Counter::default(),
        });
        Self { warned: warned.collect(), ..self }
    }

    #[must_use]
    pub fn limits(&self) -> Limits {
        self.limits
    }

    /// The verdict on a readable event whose record has, or would have, this timestamp.
    #[must_use]
    pub fn judge_event(&self, event: &Event, timestamp_ms: i64) -> Verdict {
        match self.first_objection(event, timestamp_ms) {
            Some(rejection) => Verdict::Reject(rejection),
            None => Verdict::Accept(Box::new(event.clone())),
        }
    }

    /// As [`Self::judge_event`], without a copy: the first thing that speaks against the event.
    #[must_use]
    pub fn first_objection(&self, event: &Event, timestamp_ms: i64) -> Option<Rejection> {
        let parts = Parts::of(event);
        let warn = |place: usize| {
            self.warned[place].inc();
        };
        identity(&parts)
            .or_else(|| self.rules.check_event(event.event_type(), &parts, warn))
            .or_else(|| time::check(event.event_time_ms, timestamp_ms, self.limits))
    }

    /// Whether nothing speaks against what was read of an event, not even a warning. Counts nothing.
    pub(crate) fn is_clean(
        &self,
        kind: EventType,
        parts: &Parts<'_>,
        key: Option<&[u8]>,
        timestamp_ms: i64,
    ) -> bool {
        let mut is_warned = false;
        let objection = identity(parts)
            .or_else(|| check_key(parts, key))
            .or_else(|| self.rules.check_event(kind, parts, |_| is_warned = true))
            .or_else(|| time::check(parts.event_time_ms?, timestamp_ms, self.limits));
        objection.is_none() && !is_warned
    }

    /// The first rule that a catalogue item breaks.
    #[must_use]
    pub fn check_item(&self, item: &Item) -> Option<Rejection> {
        self.rules.check_item(item)
    }

    /// How often each rule of severity `warn` was broken, by rule id: here, or where its counters are shared.
    #[must_use]
    pub fn warnings(&self) -> Vec<(&str, u64)> {
        let counts = self.warned.iter().map(Counter::get);
        let named = self.rules.all().iter().zip(counts);
        named
            .filter(|(_, count)| *count > 0)
            .map(|(rule, count)| (rule.id.as_str(), count))
            .collect()
    }
}

/// An event that names nobody changes nobody's state.
fn identity(event: &Parts<'_>) -> Option<Rejection> {
    if event.key().is_some() {
        return None;
    }
    Some(Rejection::new(Reason::Missing, "/user_id", "neither user_id nor anonymous_id is given"))
}

/// The record's key must be the event's: by it the events of a user stay in order.
pub(crate) fn check_key(event: &Parts<'_>, key: Option<&[u8]>) -> Option<Rejection> {
    let expected = event.key()?;
    let detail = match key {
        Some(key) if key == expected.as_bytes() => return None,
        Some(_) => "the record's key is not the event's user_id, else anonymous_id",
        None => "the record has no key; it must be the event's user_id, else anonymous_id",
    };
    let pointer = if event.user_id.is_some() { "/user_id" } else { "/anonymous_id" };
    Some(Rejection::new(Reason::KeyMismatch, pointer, detail))
}

#[cfg(test)]
mod tests;
