//! Whether what was written with one schema can be read with another, by every level the registry knows.
//!
//! The rules are those of Avro's schema resolution, applied to schemas whose names were resolved first: a type that
//! is defined once and referred to by name elsewhere is the same type in both places. Names match by their last
//! part or by an alias of the reader, as the specification has it.

pub(crate) mod tree;
mod read;

use std::fmt;

pub use tree::{SchemaError, Types};

/// How far a new schema must get along with the ones before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    None,
    /// The new one reads what the last one wrote.
    Backward,
    BackwardTransitive,
    /// The last one reads what the new one writes.
    Forward,
    ForwardTransitive,
    Full,
    FullTransitive,
}

impl Level {
    pub const ALL: [Self; 7] = [
        Self::None,
        Self::Backward,
        Self::BackwardTransitive,
        Self::Forward,
        Self::ForwardTransitive,
        Self::Full,
        Self::FullTransitive,
    ];

    /// The registry's word for it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "NONE",
            Self::Backward => "BACKWARD",
            Self::BackwardTransitive => "BACKWARD_TRANSITIVE",
            Self::Forward => "FORWARD",
            Self::ForwardTransitive => "FORWARD_TRANSITIVE",
            Self::Full => "FULL",
            Self::FullTransitive => "FULL_TRANSITIVE",
        }
    }

    /// The level of a word in any case.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|level| level.name().eq_ignore_ascii_case(name))
    }

    fn is_backward(self) -> bool {
        match self {
            Self::Backward | Self::BackwardTransitive | Self::Full | Self::FullTransitive => true,
            Self::None | Self::Forward | Self::ForwardTransitive => false,
        }
    }

    fn is_forward(self) -> bool {
        match self {
            Self::Forward | Self::ForwardTransitive | Self::Full | Self::FullTransitive => true,
            Self::None | Self::Backward | Self::BackwardTransitive => false,
        }
    }

    fn is_transitive(self) -> bool {
        match self {
            Self::BackwardTransitive | Self::ForwardTransitive | Self::FullTransitive => true,
            Self::None | Self::Backward | Self::Forward | Self::Full => false,
        }
    }
}

/// Who could not read whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// The new schema cannot read what an old one wrote.
    Backward,
    /// An old schema cannot read what the new one writes.
    Forward,
}

/// One reason why two schemas do not get along.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Incompatibility {
    pub direction: Direction,
    /// Which of the old schemas, counted from 0 at the oldest.
    pub old: usize,
    pub conflict: Conflict,
}

impl fmt::Display for Incompatibility {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let whom = match self.direction {
            Direction::Backward => "the new schema cannot read data of an old one",
            Direction::Forward => "an old schema cannot read data of the new one",
        };
        write!(out, "{whom}: {}", self.conflict)
    }
}

/// A place where a reader fails.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conflict {
    pub kind: ConflictKind,
    /// Pointer into the reader's record: fields by name, `[]` for items, `{}` for values.
    pub path: String,
    pub detail: String,
}

impl fmt::Display for Conflict {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = if self.path.is_empty() { "/" } else { &self.path };
        write!(out, "{} at `{path}`: {}", self.kind.name(), self.detail)
    }
}

/// The kinds of conflict, by the names that other registries give them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConflictKind {
    NameMismatch,
    FixedSizeMismatch,
    MissingEnumSymbols,
    ReaderFieldMissingDefaultValue,
    TypeMismatch,
    MissingUnionBranch,
}

impl ConflictKind {
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::NameMismatch => "NAME_MISMATCH",
            Self::FixedSizeMismatch => "FIXED_SIZE_MISMATCH",
            Self::MissingEnumSymbols => "MISSING_ENUM_SYMBOLS",
            Self::ReaderFieldMissingDefaultValue => "READER_FIELD_MISSING_DEFAULT_VALUE",
            Self::TypeMismatch => "TYPE_MISMATCH",
            Self::MissingUnionBranch => "MISSING_UNION_BRANCH",
        }
    }
}

/// Checks a new schema against the old ones, oldest first.
///
/// # Errors
/// Every conflict found, at the level asked for.
pub fn check(new: &Types, old: &[Types], level: Level) -> Result<(), Vec<Incompatibility>> {
    let first = if level.is_transitive() { 0 } else { old.len().saturating_sub(1) };
    let mut found = Vec::new();
    for (index, old) in old.iter().enumerate().skip(first) {
        let mut note = |direction, reader, writer| {
            let conflicts = read::conflicts(reader, writer).into_iter();
            found.extend(conflicts.map(|conflict| Incompatibility {
                direction,
                old: index,
                conflict,
            }));
        };
        if level.is_backward() {
            note(Direction::Backward, new, old);
        }
        if level.is_forward() {
            note(Direction::Forward, old, new);
        }
    }
    if found.is_empty() { Ok(()) } else { Err(found) }
}

/// Whether `reader` reads everything that `writer` wrote.
///
/// # Errors
/// Every conflict found.
pub fn can_read(reader: &Types, writer: &Types) -> Result<(), Vec<Conflict>> {
    let found = read::conflicts(reader, writer);
    if found.is_empty() { Ok(()) } else { Err(found) }
}

#[cfg(test)]
mod tests;
