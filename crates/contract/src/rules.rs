//! The rules of `schemas/rules/*.toml`: ranges, one-of, formats and lengths on the fields of events and items.

mod field;

use std::sync::OnceLock;

use serde::Deserialize;
use upnext_common::event::EventType;
use upnext_common::item::Item;

use crate::parts::Parts;
use crate::verdict::{Reason, Rejection};

pub(crate) use field::Field;
use field::{EventField, ItemField, Seen};

const FILES: [&str; 4] = [
    include_str!("../../../schemas/rules/head.toml"),
    include_str!("../../../schemas/rules/items.toml"),
    include_str!("../../../schemas/rules/purchase.toml"),
    include_str!("../../../schemas/rules/catalogue.toml"),
];

/// One rule on one field.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    pub id: String,
    pub(crate) field: Field,
    pub severity: Severity,
    range: Option<Range>,
    length: Option<Length>,
    format: Option<Format>,
    one_of: Option<Vec<String>>,
    /// An example value of the field that passes, and one that fails.
    pub passes: toml::Value,
    pub fails: toml::Value,
}

/// What becomes of an event that breaks a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// It is a dead letter.
    Reject,
    /// It passes and is counted.
    Warn,
}

#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Range {
    min: f64,
    max: f64,
}

/// Bytes of a text, entries of a list or map.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Length {
    min: usize,
    max: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Format {
    /// A uuid in any of its text forms.
    Uuid,
    /// Three capital letters.
    Currency,
    /// No control characters.
    Printable,
    /// Lower-case letters, digits, `_`, `-`, `.` and `:`.
    Word,
}

/// All rules, sorted by what they apply to.
#[derive(Debug)]
pub struct Rules {
    all: Vec<Rule>,
    /// For each event type the places of its rules in `all`, with their fields.
    by_type: [Vec<(usize, EventField)>; EventType::ALL.len()],
    of_items: Vec<(usize, ItemField)>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    rule: Vec<Rule>,
}

/// Why files of rules are not taken. A rule without id, severity or its two examples is not read at all.
#[derive(Debug, thiserror::Error)]
enum BadRules {
    #[error(transparent)]
    Unreadable(#[from] toml::de::Error),
    #[error("a rule has an empty id")]
    NoId,
    #[error("the rule `{id}` stands twice")]
    Twice { id: String },
    #[error("the rule `{id}` has {checks} of range, length, format and one_of; it must have one")]
    Checks { id: String, checks: usize },
}

impl Rules {
    /// The rules that come with the schemas.
    pub fn embedded() -> &'static Self {
        static RULES: OnceLock<Rules> = OnceLock::new();
        RULES.get_or_init(|| {
            Self::parse(&FILES).expect("the embedded rules are parsed by the tests")
        })
    }

    fn parse(files: &[&str]) -> Result<Self, BadRules> {
        let mut all: Vec<Rule> = Vec::new();
        for file in files {
            for rule in toml::from_str::<File>(file)?.rule {
                rule.is_whole()?;
                if all.iter().any(|known| known.id == rule.id) {
                    return Err(BadRules::Twice { id: rule.id });
                }
                all.push(rule);
            }
        }
        let fields = || all.iter().map(|rule| rule.field).enumerate();
        let of_event = |(place, field)| match field {
            Field::Event(field) => Some((place, field)),
            Field::Item(_) => None,
        };
        let of_item = |(place, field)| match field {
            Field::Event(_) => None,
            Field::Item(field) => Some((place, field)),
        };
        let by_type = EventType::ALL.map(|kind| {
            fields().filter_map(of_event).filter(|(_, field)| field.is_of(kind)).collect()
        });
        let of_items = fields().filter_map(of_item).collect();
        Ok(Self { all, by_type, of_items })
    }

    #[must_use]
    pub fn all(&self) -> &[Rule] {
        &self.all
    }

    /// The first rule of severity `reject` that the event breaks. Broken warnings go to `warn` by their place.
    pub(crate) fn check_event(
        &self,
        kind: EventType,
        event: &Parts<'_>,
        warn: impl FnMut(usize),
    ) -> Option<Rejection> {
        let rules = &self.by_type[usize::from(kind.code())];
        self.first_broken(rules.iter().map(|(place, field)| (*place, field.of(event))), warn)
    }

    /// As [`Self::check_event`], for catalogue items.
    pub(crate) fn check_item(&self, item: &Item) -> Option<Rejection> {
        let rules = self.of_items.iter();
        self.first_broken(rules.map(|(place, field)| (*place, field.of(item))), |_| {})
    }

    fn first_broken<'a>(
        &self,
        seen: impl Iterator<Item = (usize, Option<Seen<'a>>)>,
        mut warn: impl FnMut(usize),
    ) -> Option<Rejection> {
        for (place, seen) in seen {
            let rule = &self.all[place];
            let Some(broken) = seen.and_then(|seen| rule.check(&seen)) else {
                continue;
            };
            match rule.severity {
                Severity::Warn => warn(place),
                Severity::Reject => return Some(broken.of(rule)),
            }
        }
        None
    }
}

/// What a rule found wrong.
#[derive(Debug, PartialEq, Eq)]
struct Broken {
    reason: Reason,
    /// Entry of the field, where the rule is about entries.
    entry: Option<String>,
    detail: String,
}

impl Broken {
    fn of(self, rule: &Rule) -> Rejection {
        let entry = self.entry.map(|entry| format!("/{entry}")).unwrap_or_default();
        let pointer = format!("{}{entry}", rule.field.pointer());
        Rejection::new(self.reason, pointer, format!("{} (rule {})", self.detail, rule.id))
    }
}

impl Rule {
    fn is_whole(&self) -> Result<(), BadRules> {
        if self.id.is_empty() {
            return Err(BadRules::NoId);
        }
        let checks = [
            self.range.is_some(),
            self.length.is_some(),
            self.format.is_some(),
            self.one_of.is_some(),
        ];
        match checks.into_iter().filter(|is_set| *is_set).count() {
            1 => Ok(()),
            checks => Err(BadRules::Checks { id: self.id.clone(), checks }),
        }
    }

    fn check(&self, seen: &Seen<'_>) -> Option<Broken> {
        match seen {
            Seen::Number(value) => self.check_number(*value),
            Seen::Text(text) => self.check_text(text),
            Seen::Count(entries) => self.check_length(*entries, "entries"),
            Seen::Each(texts) => self.check_entries(texts.iter().copied().enumerate()),
            Seen::Keys(entries) => self.check_entries(entries.iter().map(|(key, _)| (key, key))),
            Seen::Values(entries) => self.check_entries(entries.iter()),
        }
    }

    /// The first entry that is broken, by its name.
    fn check_entries<'a, N: ToString>(
        &self,
        mut entries: impl Iterator<Item = (N, &'a str)>,
    ) -> Option<Broken> {
        entries.find_map(|(name, text)| {
            let broken = self.check_text(text)?;
            Some(Broken { entry: Some(crate::fields::escaped(&name.to_string())), ..broken })
        })
    }

    fn check_number(&self, value: f64) -> Option<Broken> {
        let range = self.range?;
        if (range.min..=range.max).contains(&value) {
            return None;
        }
        let detail = format!("{value} is not within {} and {}", range.min, range.max);
        Some(Broken { reason: Reason::Range, entry: None, detail })
    }

    fn check_text(&self, text: &str) -> Option<Broken> {
        self.check_length(text.len(), "bytes")
            .or_else(|| self.check_format(text))
            .or_else(|| self.check_one_of(text))
    }

    fn check_length(&self, found: usize, what: &str) -> Option<Broken> {
        let length = self.length?;
        if (length.min..=length.max).contains(&found) {
            return None;
        }
        let detail = format!("has {found} {what}, allowed are {} to {}", length.min, length.max);
        Some(Broken { reason: Reason::Length, entry: None, detail })
    }

    fn check_format(&self, text: &str) -> Option<Broken> {
        let format = self.format?;
        if format.admits(text) {
            return None;
        }
        let detail = format!("`{}` is not {}", excerpt(text), format.name());
        Some(Broken { reason: Reason::Format, entry: None, detail })
    }

    fn check_one_of(&self, text: &str) -> Option<Broken> {
        let known = self.one_of.as_ref()?;
        if known.iter().any(|word| word == text) {
            return None;
        }
        let detail = format!("`{}` is not one of the {} known values", excerpt(text), known.len());
        Some(Broken { reason: Reason::Enum, entry: None, detail })
    }
}

impl Format {
    fn admits(self, text: &str) -> bool {
        match self {
            Self::Uuid => uuid::Uuid::try_parse(text).is_ok(),
            Self::Currency => text.len() == 3 && text.bytes().all(|byte| byte.is_ascii_uppercase()),
            Self::Printable => !text.chars().any(char::is_control),
            Self::Word => text.bytes().all(|byte| {
                byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"_-.:".contains(&byte)
            }),
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Uuid => "a uuid",
            Self::Currency => "three capital letters",
            Self::Printable => "free of control characters",
            Self::Word => "lower-case letters, digits and _-.:",
        }
    }
}

/// Enough of a text to recognise it, without control characters.
fn excerpt(text: &str) -> String {
    let short: String = text.chars().take(40).flat_map(char::escape_debug).collect();
    if text.chars().nth(40).is_some() { format!("{short}…") } else { short }
}

#[cfg(test)]
mod tests;
