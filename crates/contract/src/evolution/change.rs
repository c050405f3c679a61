//! One change, with its verdict and what it reaches.

use std::fmt;

/// How bad a change is. The order is that of the harm.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Harm {
    /// Deploy it.
    Harmless,
    /// Everything can be read, and something is lost, defaulted or unsaid: somebody has to look.
    Risky,
    /// Somebody cannot read it, reads it with another meaning, or has it rejected.
    Breaking,
}

impl Harm {
    pub const ALL: [Self; 3] = [Self::Harmless, Self::Risky, Self::Breaking];

    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Harmless => "harmless",
            Self::Risky => "risky",
            Self::Breaking => "breaking",
        }
    }
}

/// The closed list of changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    SchemaAdded,
    SchemaRemoved,
    NamespaceChanged,
    NameChanged,
    FieldAdded,
    FieldRemoved,
    FieldRenamed,
    TypeChanged,
    TypePromoted,
    NullabilityChanged,
    LogicalTypeChanged,
    ScaleChanged,
    UnitChanged,
    EnumSymbolAdded,
    EnumSymbolRemoved,
    EnumDefaultChanged,
    DefaultAdded,
    DefaultRemoved,
    DefaultChanged,
    AliasChanged,
    DocMissing,
    DocChanged,
    HeadDrift,
    /// Nothing above, and still it cannot be read.
    Unreadable,
    RuleAdded,
    RuleRemoved,
    RuleTightened,
    RuleLoosened,
}

impl Kind {
    pub const ALL: [Self; 28] = [
        Self::SchemaAdded,
        Self::SchemaRemoved,
        Self::NamespaceChanged,
        Self::NameChanged,
        Self::FieldAdded,
        Self::FieldRemoved,
        Self::FieldRenamed,
        Self::TypeChanged,
        Self::TypePromoted,
        Self::NullabilityChanged,
        Self::LogicalTypeChanged,
        Self::ScaleChanged,
        Self::UnitChanged,
        Self::EnumSymbolAdded,
        Self::EnumSymbolRemoved,
        Self::EnumDefaultChanged,
        Self::DefaultAdded,
        Self::DefaultRemoved,
        Self::DefaultChanged,
        Self::AliasChanged,
        Self::DocMissing,
        Self::DocChanged,
        Self::HeadDrift,
        Self::Unreadable,
        Self::RuleAdded,
        Self::RuleRemoved,
        Self::RuleTightened,
        Self::RuleLoosened,
    ];

    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::SchemaAdded => "schema_added",
            Self::SchemaRemoved => "schema_removed",
            Self::NamespaceChanged => "namespace_changed",
            Self::NameChanged => "name_changed",
            Self::FieldAdded => "field_added",
            Self::FieldRemoved => "field_removed",
            Self::FieldRenamed => "field_renamed",
            Self::TypeChanged => "type_changed",
            Self::TypePromoted => "type_promoted",
            Self::NullabilityChanged => "nullability_changed",
            Self::LogicalTypeChanged => "logical_type_changed",
            Self::ScaleChanged => "scale_changed",
            Self::UnitChanged => "unit_changed",
            Self::EnumSymbolAdded => "enum_symbol_added",
            Self::EnumSymbolRemoved => "enum_symbol_removed",
            Self::EnumDefaultChanged => "enum_default_changed",
            Self::DefaultAdded => "default_added",
            Self::DefaultRemoved => "default_removed",
            Self::DefaultChanged => "default_changed",
            Self::AliasChanged => "alias_changed",
            Self::DocMissing => "doc_missing",
            Self::DocChanged => "doc_changed",
            Self::HeadDrift => "head_drift",
            Self::Unreadable => "unreadable",
            Self::RuleAdded => "rule_added",
            Self::RuleRemoved => "rule_removed",
            Self::RuleTightened => "rule_tightened",
            Self::RuleLoosened => "rule_loosened",
        }
    }

    /// How to do it right.
    #[must_use]
    pub fn hint(self) -> &'static str {
        match self {
            Self::SchemaAdded | Self::DefaultAdded | Self::DocChanged => "nothing to do",
            Self::SchemaRemoved => "keep the schema until nobody writes it and no topic holds it",
            Self::NamespaceChanged => {
                "keep the namespace; a new one is a new event type, to be added beside the old one"
            }
            Self::NameChanged => "keep the name, or add a new type and move writers to it",
            Self::FieldAdded => "give the field a default and a doc",
            Self::FieldRemoved => {
                "say in its doc that it is going, move its readers, then remove it"
            }
            Self::FieldRenamed => {
                "add the new name as a field of its own with a default, write both, move readers, \
                 then remove the old one"
            }
            Self::TypeChanged | Self::TypePromoted | Self::Unreadable => {
                "add a new field of the new type beside it, with a default"
            }
            Self::NullabilityChanged => {
                "keep the type; if it may be absent, add a new optional field with default null"
            }
            Self::LogicalTypeChanged | Self::ScaleChanged | Self::UnitChanged => {
                "keep the unit; add a new field that names the new one"
            }
            Self::EnumSymbolAdded => "give the enum a default, so that older readers have a symbol",
            Self::EnumSymbolRemoved => "keep the symbol: old events have it",
            Self::EnumDefaultChanged => {
                "keep the enum's default; it is what readers see of symbols they do not know"
            }
            Self::DefaultRemoved | Self::DefaultChanged => {
                "keep the default; events that lack the field are read with it"
            }
            Self::AliasChanged => "keep the alias while events under the old name are on a topic",
            Self::DocMissing => "write what the field means, with its unit",
            Self::HeadDrift => "make the same change to the head of every event",
            Self::RuleAdded | Self::RuleTightened => {
                "set severity = \"warn\" first, look at what it counts, then reject"
            }
            Self::RuleRemoved | Self::RuleLoosened => {
                "make sure that features hold for the values that now pass"
            }
        }
    }
}

/// How far a change goes, for whoever reads events.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reach {
    /// Nobody reads anything else than before.
    Nothing,
    /// The field itself.
    Field,
    /// Whole events are lost: they cannot be read, or are rejected.
    Event,
}

/// One difference between two states of the contracts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Path of the file within the directory of schemas.
    pub file: String,
    /// Full name of the record; empty for rules.
    pub schema: String,
    /// Simple names of the records that the change concerns.
    pub records: Vec<String>,
    pub kind: Kind,
    /// RFC 6901 pointer to the field; empty for the whole. For rules, the rule's id.
    pub place: String,
    /// From what to what.
    pub what: String,
    pub harm: Harm,
    /// What it does, to somebody who knows the data and not Avro.
    pub why: String,
    pub reach: Reach,
    /// The field's former place, where it moved.
    pub(crate) was: Option<String>,
}

impl Change {
    /// The field of the record that is concerned: the first part of the pointer.
    #[must_use]
    pub fn field(&self) -> Option<&str> {
        self.place.strip_prefix('/').and_then(|rest| rest.split('/').next())
    }

    /// The field's former name, where it was renamed.
    #[must_use]
    pub fn former_field(&self) -> Option<&str> {
        self.was.as_deref().and_then(|was| was.strip_prefix('/')?.split('/').next())
    }

    /// Raises the harm and says why.
    pub(crate) fn worsen(&mut self, harm: Harm, reach: Reach, why: &str) {
        self.harm = self.harm.max(harm);
        self.reach = self.reach.max(reach);
        if !self.why.contains(why) {
            self.why = format!("{}; {why}", self.why);
        }
    }
}

impl fmt::Display for Change {
    /// `unit_changed at /dwell_ms: milliseconds → seconds`
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.kind.code())?;
        if !self.place.is_empty() {
            write!(out, " at {}", self.place)?;
        }
        if !self.what.is_empty() {
            write!(out, ": {}", self.what)?;
        }
        Ok(())
    }
}
