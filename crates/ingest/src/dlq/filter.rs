//! Which dead letters are meant.

use serde::{Deserialize, Serialize};
use thiserror::Error;
use upnext_contract::Reason;

use super::letter::Letter;

const STAGES: [&str; 6] = ["framing", "schema", "decode", "contract", "stream", "internal"];

/// Every condition that is set must hold.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Filter {
    /// Codes; any of them. Empty: all.
    pub reason: Vec<String>,
    pub stage: Option<String>,
    /// Where the rejected record stood.
    pub topic: Option<String>,
    pub partition: Option<i32>,
    pub offset: Option<i64>,
    pub schema_id: Option<String>,
    pub key: Option<String>,
    /// As [`Letter::producer`] tells it.
    pub producer: Option<String>,
    /// The record's timestamp: from, and before.
    pub since_ms: Option<i64>,
    pub until_ms: Option<i64>,
    pub attempt: Option<u32>,
}

/// A filter that asks for what cannot be.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("unknown {what} `{found}`; known: {known}")]
pub struct BadFilter {
    pub what: &'static str,
    pub found: String,
    pub known: String,
}

impl Filter {
    /// # Errors
    /// When a reason or stage is none: such a filter would find nothing, and say so without saying why.
    pub fn check(&self) -> Result<(), BadFilter> {
        if let Some(found) = self.reason.iter().find(|code| Reason::from_code(code).is_none()) {
            let known = Reason::ALL.map(Reason::code).join(", ");
            return Err(BadFilter { what: "reason", found: found.clone(), known });
        }
        match &self.stage {
            Some(found) if !STAGES.contains(&found.as_str()) => {
                Err(BadFilter { what: "stage", found: found.clone(), known: STAGES.join(", ") })
            }
            Some(_) | None => Ok(()),
        }
    }

    #[must_use]
    pub fn takes(&self, letter: &Letter) -> bool {
        let time_ms = letter.record.timestamp_ms;
        let source = letter.source.as_ref();
        let key = letter.record.key.as_deref().unwrap_or_default();
        self.names(&letter.reason, true)
            && self.stage.as_ref().is_none_or(|stage| *stage == letter.stage)
            && self.topic.as_ref().is_none_or(|it| source.is_some_and(|of| of.topic == *it))
            && self.partition.is_none_or(|it| source.is_some_and(|of| of.partition == it))
            && self.offset.is_none_or(|it| source.is_some_and(|of| of.offset == it))
            && self.schema_id.as_ref().is_none_or(|id| letter.schema_id.as_ref() == Some(id))
            && self.key.as_ref().is_none_or(|wanted| wanted.as_bytes() == key)
            && self.producer.as_ref().is_none_or(|producer| *producer == letter.producer())
            && self.since_ms.is_none_or(|since_ms| time_ms >= since_ms)
            && self.until_ms.is_none_or(|until_ms| time_ms < until_ms)
            && self.attempt.is_none_or(|attempt| attempt == letter.attempt)
    }

    /// Whether the reason is asked for by name; `otherwise` where no reason is.
    pub(super) fn names(&self, reason: &str, otherwise: bool) -> bool {
        if self.reason.is_empty() { otherwise } else { self.reason.iter().any(|it| it == reason) }
    }
}

#[cfg(test)]
mod tests {
    use super::super::letter::tests::letter;
    use super::*;

    #[track_caller]
    fn check(filter: Filter, expected: bool) {
        let letter = letter(
            5,
            &[
                ("reason", "range"),
                ("stage", "contract"),
                ("topic", "t.events.v1"),
                ("partition", "3"),
                ("offset", "41"),
                ("schema_id", "7"),
                ("attempt", "2"),
            ],
        );
        assert_eq!(filter.takes(&letter), expected, "{filter:?}");
    }

    #[test]
    fn every_condition_must_hold() {
        let none = Filter::default;
        let text = |text: &str| Some(text.to_owned());
        check(none(), true);
        for (reasons, expected) in [(vec!["size", "range"], true), (vec!["size"], false)] {
            let reason = reasons.into_iter().map(str::to_owned).collect();
            check(Filter { reason, ..none() }, expected);
        }
        check(Filter { stage: text("contract"), topic: text("t.events.v1"), ..none() }, true);
        check(Filter { stage: text("decode"), topic: text("t.events.v1"), ..none() }, false);
        check(Filter { topic: text("t.else"), ..none() }, false);
        check(Filter { partition: Some(3), offset: Some(41), ..none() }, true);
        check(Filter { partition: Some(3), offset: Some(42), ..none() }, false);
        check(Filter { partition: Some(4), ..none() }, false);
        check(Filter { schema_id: text("7"), key: text("u1"), ..none() }, true);
        check(Filter { schema_id: text("8"), ..none() }, false);
        check(Filter { key: text("u2"), ..none() }, false);
        check(Filter { producer: text("schema 7"), attempt: Some(2), ..none() }, true);
        check(Filter { producer: text("else"), ..none() }, false);
        check(Filter { attempt: Some(1), ..none() }, false);
        let at = 1_700_000_000_005;
        check(Filter { since_ms: Some(at), until_ms: Some(at + 1), ..none() }, true);
        check(Filter { since_ms: Some(at + 1), ..none() }, false);
        check(Filter { until_ms: Some(at), ..none() }, false);
    }

    #[test]
    fn a_filter_that_can_find_nothing_is_refused() {
        let reason = vec!["late".to_owned(), "lateness".to_owned()];
        let error = Filter { reason, ..Filter::default() }.check().unwrap_err();
        assert!(error.to_string().starts_with("unknown reason `lateness`; known: empty, "));
        let stage = Some("nowhere".to_owned());
        let error = Filter { stage, ..Filter::default() }.check().unwrap_err();
        assert!(error.to_string().contains("known: framing, "), "{error}");
        assert_eq!(Filter::default().check(), Ok(()));
    }
}
