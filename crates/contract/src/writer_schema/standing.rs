//! Where a schema stands in the registry, and when that was said.

use std::time::Instant;

use super::WriterSchema;

/// What the registry said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Standing {
    /// Every subject it is registered under; `None`: the registry does not tell.
    pub(crate) subjects: Option<Vec<String>>,
    /// When it was asked; `None`: in an earlier life, of which only the disk tells.
    pub(crate) asked_at: Option<Instant>,
}

impl Standing {
    /// Whether it stands under the subject of `topic` and `full_name`. A registry that does not tell is no hindrance.
    fn is_under(&self, topic: &str, full_name: &str) -> bool {
        let is_it = |subject: &String| {
            let rest = subject.strip_prefix(topic);
            rest.and_then(|rest| rest.strip_prefix('-')) == Some(full_name)
        };
        self.subjects.as_ref().is_none_or(|subjects| subjects.iter().any(is_it))
    }
}

impl WriterSchema {
    /// The subjects it is registered under. The outer `None`: not asked yet; the inner: the registry does not tell.
    #[must_use]
    pub fn subjects(&self) -> Option<Option<Vec<String>>> {
        self.standing.read().as_ref().map(|standing| standing.subjects.clone())
    }

    /// Whether it stands under the subject of its record on `topic`, as far as the registry tells. `None`: not asked
    /// yet.
    #[must_use]
    pub fn stands_under(&self, topic: &str) -> Option<bool> {
        self.standing.read().as_ref().map(|standing| standing.is_under(topic, &self.full_name))
    }

    /// Whether the registry tells where it stands at all. `None`: not asked yet.
    pub(crate) fn is_told(&self) -> Option<bool> {
        self.standing.read().as_ref().map(|standing| standing.subjects.is_some())
    }

    /// When the registry was last asked where it stands, in this life.
    pub(crate) fn asked_at(&self) -> Option<Instant> {
        self.standing.read().as_ref().and_then(|standing| standing.asked_at)
    }

    /// Remembers what the registry said, in the place of what it said before.
    pub(crate) fn note_standing(&self, standing: Standing) {
        *self.standing.write() = Some(standing);
    }
}
