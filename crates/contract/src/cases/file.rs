//! The format of a file of cases.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;
use serde_json::{Map, Value};
use serde_saphyr::Spanned;

use super::CasesError;
use crate::verdict::Reason;

/// Time of records whose case does not say.
const RECORD_TIME_MS: i64 = 1_790_000_000_000;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct File {
    /// The fields that an event has unless its case says otherwise.
    #[serde(default)]
    pub(super) base: Map<String, Value>,
    /// Timestamp of the records, milliseconds.
    #[serde(default = "record_time")]
    pub(super) record_time: i64,
    pub(super) cases: Vec<Case>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Case {
    pub(super) name: Spanned<String>,
    /// The event in its JSON form, laid over the base; null takes a field of the base away.
    #[serde(default)]
    pub(super) event: Map<String, Value>,
    /// The record's key where it is not the event's; null for none.
    #[serde(default, deserialize_with = "given")]
    pub(super) key: Option<Option<String>>,
    pub(super) record_time: Option<i64>,
    /// What the producer's schema has in place of ours: the type of a field; null where it lacks the field.
    #[serde(default)]
    pub(super) writer: BTreeMap<String, Value>,
    /// The record's value as hex digits, in place of an event.
    pub(super) value: Option<String>,
    pub(super) expect: Expect,
}

/// The verdict a case expects.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub(super) enum Expect {
    Word(String),
    Reject(Rejected),
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Rejected {
    pub(super) reason: String,
    pub(super) pointer: Option<String>,
    /// A part of the detail.
    pub(super) detail: Option<String>,
}

impl File {
    pub(super) fn parse(path: &Path, text: &str) -> Result<Self, CasesError> {
        let wrong = |line, column, cause| CasesError::NotCases {
            path: path.to_owned(),
            line,
            column,
            cause,
        };
        let file: Self = serde_saphyr::from_str(text).map_err(|error| {
            let at = error.location();
            wrong(
                at.map_or(1, |at| at.line()),
                at.map_or(1, |at| at.column()),
                first_line(&error.to_string()),
            )
        })?;
        for case in &file.cases {
            case.check().map_err(|cause| wrong(case.line(), 1, cause))?;
        }
        Ok(file)
    }
}

impl Case {
    pub(super) fn line(&self) -> u64 {
        self.name.referenced.line()
    }

    fn check(&self) -> Result<(), String> {
        let name = &self.name.value;
        match &self.expect {
            Expect::Word(word) if word == "accept" => {}
            Expect::Word(word) => {
                return Err(format!(
                    "`{name}` expects `{word}`; it may expect `accept` or a map with a `reason`"
                ));
            }
            Expect::Reject(rejected) if Reason::from_code(&rejected.reason).is_none() => {
                let known = Reason::ALL.map(Reason::code).join(", ");
                let reason = &rejected.reason;
                return Err(format!("`{name}` expects the reason `{reason}`; known are {known}"));
            }
            Expect::Reject(_) => {}
        }
        match (&self.value, self.event.is_empty() && self.writer.is_empty()) {
            (Some(_), false) => Err(format!("`{name}` gives a value and an event; it takes one")),
            (Some(_), true) | (None, _) => Ok(()),
        }
    }
}

impl Expect {
    pub(super) fn text(&self) -> String {
        match self {
            Self::Word(word) => word.clone(),
            Self::Reject(rejected) => {
                let mut text = rejected.reason.clone();
                if let Some(pointer) = &rejected.pointer {
                    text.push_str(&format!(" at `{pointer}`"));
                }
                if let Some(detail) = &rejected.detail {
                    text.push_str(&format!(": …{detail}…"));
                }
                text
            }
        }
    }
}

fn record_time() -> i64 {
    RECORD_TIME_MS
}

/// Tells a null from a field that is not there.
fn given<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Option<Option<String>>, D::Error> {
    Option::deserialize(from).map(Some)
}

fn first_line(text: &str) -> String {
    text.lines().find(|line| !line.trim().is_empty()).unwrap_or_default().trim().to_owned()
}
