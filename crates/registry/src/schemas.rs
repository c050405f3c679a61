//! What the registry knows: schemas by id, versions by subject, levels and modes. Pure; changes come as [`Change`]s.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use upnext_contract::compat::{Level, Types};
use uuid::Uuid;

mod apply;
mod history;

pub(crate) use apply::BadChange;

/// A schema that another one refers to, by the subject it stands under.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Reference {
    pub(crate) name: String,
    pub(crate) subject: String,
    pub(crate) version: u32,
}

/// A schema as it was first registered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Written {
    pub(crate) text: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) references: Vec<Reference>,
}

/// One step of the registry's history, as it stands in the journal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "op", rename_all = "snake_case")]
pub(crate) enum Change {
    /// A version of a subject; with the schema where its id is new.
    Register {
        subject: String,
        version: u32,
        id: u32,
        schema: Option<Written>,
    },
    SoftDelete {
        subject: String,
        version: u32,
    },
    HardDelete {
        subject: String,
        version: u32,
    },
    /// The level of a subject, or of all that have none; `None` takes it back.
    SetLevel {
        subject: Option<String>,
        level: Option<String>,
    },
    SetMode {
        subject: Option<String>,
        mode: Option<Mode>,
    },
    /// Ids up to this one were given, though some of them are gone.
    Given {
        id: u32,
    },
}

/// Whether a subject may change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub(crate) enum Mode {
    ReadWrite,
    ReadOnly,
    /// As read-only, and said of all subjects no subject's own mode counts.
    #[serde(rename = "READONLY_OVERRIDE")]
    ReadOnlyOverride,
    /// Schemas come with the ids and versions they had elsewhere, and are not checked.
    Import,
}

impl Mode {
    pub(crate) const ALL: [Self; 4] =
        [Self::ReadWrite, Self::ReadOnly, Self::ReadOnlyOverride, Self::Import];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::ReadWrite => "READWRITE",
            Self::ReadOnly => "READONLY",
            Self::ReadOnlyOverride => "READONLY_OVERRIDE",
            Self::Import => "IMPORT",
        }
    }

    pub(crate) fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|mode| mode.name() == name)
    }
}

/// A version of a subject.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Version {
    pub(crate) version: u32,
    pub(crate) id: u32,
    pub(crate) is_deleted: bool,
    /// Versions in the order in which they were registered, over all subjects.
    sequence: u64,
}

/// Which versions a question is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scope {
    Live,
    /// With the soft-deleted ones.
    All,
}

impl Scope {
    fn holds(self, version: &Version) -> bool {
        match self {
            Self::Live => !version.is_deleted,
            Self::All => true,
        }
    }
}

struct Stored {
    written: Written,
    types: Arc<Types>,
    guid: Uuid,
}

/// Why a schema cannot be taken in.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Unusable {
    Invalid(String),
    MissingReference(Reference),
}

/// Everything, in memory.
#[derive(Default)]
pub(crate) struct Schemas {
    by_id: BTreeMap<u32, Stored>,
    /// Ids by what makes two schemas the same.
    ids: HashMap<String, u32>,
    subjects: BTreeMap<String, Vec<Version>>,
    highest_id: u32,
    registered: u64,
    level: Option<Level>,
    levels: BTreeMap<String, Level>,
    mode: Option<Mode>,
    modes: BTreeMap<String, Mode>,
}

impl Schemas {
    pub(crate) fn subjects(&self, scope: Scope) -> impl Iterator<Item = &str> {
        let has_any =
            move |versions: &[Version]| versions.iter().any(|version| scope.holds(version));
        self.subjects.iter().filter(move |(_, all)| has_any(all)).map(|(name, _)| name.as_str())
    }

    /// Versions of a subject, ascending.
    pub(crate) fn versions(&self, subject: &str, scope: Scope) -> Vec<Version> {
        let all = self.subjects.get(subject).map_or(&[][..], Vec::as_slice);
        all.iter().filter(|version| scope.holds(version)).copied().collect()
    }

    pub(crate) fn written(&self, id: u32) -> Option<&Written> {
        self.by_id.get(&id).map(|stored| &stored.written)
    }

    pub(crate) fn highest_id(&self) -> u32 {
        self.highest_id
    }

    /// How many schemas are known.
    pub(crate) fn count(&self) -> usize {
        self.by_id.len()
    }

    pub(crate) fn types(&self, id: u32) -> Option<&Arc<Types>> {
        self.by_id.get(&id).map(|stored| &stored.types)
    }

    /// The name of a schema that follows from what it says, so that every registry gives the same.
    pub(crate) fn guid(&self, id: u32) -> Option<Uuid> {
        self.by_id.get(&id).map(|stored| stored.guid)
    }

    pub(crate) fn id_of_guid(&self, guid: Uuid) -> Option<u32> {
        self.by_id.iter().find(|(_, stored)| stored.guid == guid).map(|(id, _)| *id)
    }

    /// Subjects and versions that have an id.
    pub(crate) fn uses(&self, id: u32, scope: Scope) -> Vec<(&str, u32)> {
        let mut found = Vec::new();
        for (subject, versions) in &self.subjects {
            let matching =
                versions.iter().filter(|version| version.id == id && scope.holds(version));
            found.extend(matching.map(|version| (subject.as_str(), version.version)));
        }
        found
    }

    /// Ids of schemas in use that refer to a version of a subject.
    pub(crate) fn referring_to(&self, subject: &str, version: u32, scope: Scope) -> Vec<u32> {
        let is_it = |one: &Reference| one.subject == subject && one.version == version;
        let refers = |stored: &Stored| stored.written.references.iter().any(is_it);
        let referring = self.by_id.iter().filter(|(_, stored)| refers(stored)).map(|(id, _)| *id);
        referring.filter(|id| !self.uses(*id, scope).is_empty()).collect()
    }

    /// The id of a schema that is known, whichever subject it stands under.
    pub(crate) fn id_of(&self, written: &Written) -> Option<u32> {
        self.ids.get(&identity(written)).copied()
    }

    /// The version of a subject that holds a schema.
    pub(crate) fn find(&self, subject: &str, written: &Written, scope: Scope) -> Option<Version> {
        let id = self.id_of(written)?;
        self.versions(subject, scope).into_iter().rev().find(|version| version.id == id)
    }

    pub(crate) fn next_id(&self) -> u32 {
        self.highest_id + 1
    }

    /// One above every version the subject ever had, soft-deleted ones too.
    pub(crate) fn next_version(&self, subject: &str) -> u32 {
        self.versions(subject, Scope::All).last().map_or(1, |newest| newest.version + 1)
    }

    pub(crate) fn level(&self, subject: Option<&str>) -> Option<Level> {
        match subject {
            Some(subject) => self.levels.get(subject).copied(),
            None => self.level,
        }
    }

    /// The level that applies to a subject.
    pub(crate) fn effective_level(&self, subject: &str) -> Level {
        self.level(Some(subject)).or(self.level).unwrap_or(Level::Backward)
    }

    pub(crate) fn mode(&self, subject: Option<&str>) -> Option<Mode> {
        match subject {
            Some(subject) => self.modes.get(subject).copied(),
            None => self.mode,
        }
    }

    pub(crate) fn effective_mode(&self, subject: &str) -> Mode {
        if self.mode == Some(Mode::ReadOnlyOverride) {
            return Mode::ReadOnlyOverride;
        }
        self.mode(Some(subject)).or(self.mode).unwrap_or(Mode::ReadWrite)
    }

    /// Parses a schema with everything it refers to.
    pub(crate) fn parse(&self, written: &Written) -> Result<Types, Unusable> {
        let mut texts = Vec::new();
        let mut seen = BTreeSet::new();
        self.collect(&written.references, &mut seen, &mut texts)?;
        Types::parse(&written.text, &texts).map_err(|error| Unusable::Invalid(error.detail))
    }

    /// Texts of what is referred to, each before its users and once.
    fn collect(
        &self,
        references: &[Reference],
        seen: &mut BTreeSet<(String, u32)>,
        texts: &mut Vec<String>,
    ) -> Result<(), Unusable> {
        for reference in references {
            if !seen.insert((reference.subject.clone(), reference.version)) {
                continue;
            }
            let versions = self.versions(&reference.subject, Scope::All);
            let found = versions.iter().find(|version| version.version == reference.version);
            let Some(written) = found.and_then(|version| self.written(version.id)) else {
                return Err(Unusable::MissingReference(reference.clone()));
            };
            // What is registered refers only to what was registered before it, so this ends.
            self.collect(&written.references, seen, texts)?;
            texts.push(written.text.clone());
        }
        Ok(())
    }
}

/// Equal for schemas that are the same as JSON and refer to the same versions. Docs and defaults count.
fn identity(written: &Written) -> String {
    let mut key = match serde_json::from_str::<Value>(&written.text) {
        Ok(json) => sorted(&json).to_string(),
        Err(_) => written.text.clone(),
    };
    for reference in &written.references {
        key.push_str(&format!("\n{} {} {}", reference.name, reference.subject, reference.version));
    }
    key
}

/// With the keys of every object in order, whatever map the library is built with.
fn sorted(json: &Value) -> Value {
    match json {
        Value::Array(entries) => entries.iter().map(sorted).collect(),
        Value::Object(fields) => {
            let ordered: BTreeMap<&String, Value> =
                fields.iter().map(|(key, value)| (key, sorted(value))).collect();
            ordered.into_iter().map(|(key, value)| (key.clone(), value)).collect()
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => json.clone(),
    }
}

#[cfg(test)]
mod tests;
