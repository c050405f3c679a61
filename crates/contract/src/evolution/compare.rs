//! One schema against what it was: every difference, whoever asks the registry or not.

use std::collections::HashSet;

use super::change::{Change, Harm, Kind, Reach};
use super::contracts::ContractSchema;
use super::fields;
use crate::compat::tree::{Body, Logical, Named, Primitive, Type, Types};

/// The differences of a pair; a side that is absent was added or removed.
pub(super) fn schemas(
    before: Option<&ContractSchema>,
    after: Option<&ContractSchema>,
) -> Vec<Change> {
    let (Some(before), Some(after)) = (before, after) else {
        return before.or(after).map(|one| whole(one, after.is_some())).into_iter().collect();
    };
    let mut walk = Walk {
        old: &before.types,
        new: &after.types,
        schema: after,
        seen: HashSet::new(),
        found: Vec::new(),
    };
    walk.names(before);
    walk.types(&before.types.root, &after.types.root, "");
    walk.found
}

fn whole(schema: &ContractSchema, is_added: bool) -> Change {
    let (kind, harm, reach, why) = if is_added {
        (Kind::SchemaAdded, Harm::Harmless, Reach::Nothing, "nobody reads it yet")
    } else {
        let why = "events of this type have no contract any more and become dead letters";
        (Kind::SchemaRemoved, Harm::Breaking, Reach::Event, why)
    };
    let noted = Noted { kind, place: "", what: String::new(), harm, reach, why: why.to_owned() };
    noted.of(schema)
}

/// A change as the walk finds it.
pub(super) struct Noted<'a> {
    pub(super) kind: Kind,
    pub(super) place: &'a str,
    pub(super) what: String,
    pub(super) harm: Harm,
    pub(super) reach: Reach,
    pub(super) why: String,
}

impl Noted<'_> {
    pub(super) fn of(self, schema: &ContractSchema) -> Change {
        Change {
            file: schema.path.clone(),
            schema: schema.full_name.clone(),
            records: vec![schema.simple_name().to_owned()],
            kind: self.kind,
            place: self.place.to_owned(),
            what: self.what,
            harm: self.harm,
            why: self.why,
            reach: self.reach,
            was: None,
        }
    }
}

pub(super) struct Walk<'a> {
    pub(super) old: &'a Types,
    pub(super) new: &'a Types,
    schema: &'a ContractSchema,
    /// Pairs of names that were compared, so that recursion ends and each is told once.
    seen: HashSet<(&'a str, &'a str)>,
    found: Vec<Change>,
}

impl<'a> Walk<'a> {
    pub(super) fn note(&mut self, noted: Noted<'_>) -> &mut Change {
        self.found.push(noted.of(self.schema));
        let last = self.found.len() - 1;
        &mut self.found[last]
    }

    pub(super) fn risky(&mut self, kind: Kind, place: &str, what: String, why: &str) {
        let (harm, reach) = (Harm::Risky, Reach::Field);
        self.note(Noted { kind, place, what, harm, reach, why: why.to_owned() });
    }

    pub(super) fn breaking(&mut self, kind: Kind, place: &str, what: String, why: &str) {
        let (harm, reach) = (Harm::Breaking, Reach::Event);
        self.note(Noted { kind, place, what, harm, reach, why: why.to_owned() });
    }

    /// Breaking for the value alone: the event itself is read as before.
    pub(super) fn breaking_value(&mut self, kind: Kind, place: &str, what: String, why: &str) {
        let (harm, reach) = (Harm::Breaking, Reach::Field);
        self.note(Noted { kind, place, what, harm, reach, why: why.to_owned() });
    }

    pub(super) fn harmless(&mut self, kind: Kind, place: &str, what: String, why: &str) {
        let (harm, reach) = (Harm::Harmless, Reach::Nothing);
        self.note(Noted { kind, place, what, harm, reach, why: why.to_owned() });
    }

    fn names(&mut self, before: &ContractSchema) {
        let (old, new) = (before.full_name.as_str(), self.schema.full_name.as_str());
        if old == new {
            return;
        }
        let what = format!("{old} → {new}");
        if before.simple_name() == self.schema.simple_name() {
            let why = "the registry files it under another subject, where it meets no older version, and ingest \
                       knows no event type of that name: every event becomes a dead letter";
            self.breaking(Kind::NamespaceChanged, "", what, why);
        } else {
            let why = "ingest knows no event type of that name: every event becomes a dead letter";
            self.breaking(Kind::NameChanged, "", what, why);
        }
    }

    pub(super) fn types(&mut self, old: &'a Type, new: &'a Type, place: &str) {
        let (was_optional, old_branches) = branches(old);
        let (is_optional, new_branches) = branches(new);
        if was_optional != is_optional {
            self.nullability(is_optional, place);
        }
        match (old_branches.as_slice(), new_branches.as_slice()) {
            ([old], [new]) => self.single(old, new, place),
            (old, new) => self.branches(old, new, place),
        }
    }

    fn nullability(&mut self, is_optional: bool, place: &str) {
        let (what, why) = if is_optional {
            ("required → optional", "readers that require a value meet null")
        } else {
            ("optional → required", "older events hold null where a value is now required")
        };
        self.risky(Kind::NullabilityChanged, place, what.to_owned(), why);
    }

    /// Unions of several types: branches are told apart by what they are.
    fn branches(&mut self, old: &[&'a Type], new: &[&'a Type], place: &str) {
        for before in old {
            match new.iter().find(|after| is_alike(before, after)) {
                Some(after) => self.single(before, after, place),
                None => {
                    let what = format!("{} is no longer allowed", word(before));
                    self.risky(Kind::TypeChanged, place, what, "older events may hold it");
                }
            }
        }
        for after in new.iter().filter(|after| !old.iter().any(|before| is_alike(before, after))) {
            let what = format!("{} is allowed too", word(after));
            self.risky(Kind::TypeChanged, place, what, "readers meet a type they do not expect");
        }
    }

    fn single(&mut self, old: &'a Type, new: &'a Type, place: &str) {
        match (old, new) {
            (Type::Primitive(old, was), Type::Primitive(new, is)) => {
                self.primitives(*old, *new, place);
                self.logical(was.as_ref(), is.as_ref(), place);
            }
            (Type::Array(old), Type::Array(new)) => self.types(old, new, &format!("{place}/[]")),
            (Type::Map(old), Type::Map(new)) => self.types(old, new, &format!("{place}/{{}}")),
            (Type::Union(_), Type::Union(_)) => self.types(old, new, place),
            (Type::Named(old), Type::Named(new)) => self.named(old, new, place),
            (
                Type::Primitive(..)
                | Type::Array(_)
                | Type::Map(_)
                | Type::Named(_)
                | Type::Union(_),
                Type::Primitive(..)
                | Type::Array(_)
                | Type::Map(_)
                | Type::Named(_)
                | Type::Union(_),
            ) => {
                let what = format!("{} → {}", word(old), word(new));
                self.breaking(
                    Kind::TypeChanged,
                    place,
                    what,
                    "neither reads what the other writes",
                );
            }
        }
    }

    fn primitives(&mut self, old: Primitive, new: Primitive, place: &str) {
        if old == new {
            return;
        }
        let what = format!("{} → {}", old.name(), new.name());
        if new.reads(old) {
            let why =
                "readers of the old type cannot hold the new one, although the new reads the old";
            self.risky(Kind::TypePromoted, place, what, why);
        } else {
            self.breaking(
                Kind::TypeChanged,
                place,
                what,
                "older events cannot be read as the new type",
            );
        }
    }

    fn logical(&mut self, old: Option<&Logical>, new: Option<&Logical>, place: &str) {
        if old == new {
            return;
        }
        let what = format!("{} → {}", logical_word(old), logical_word(new));
        match (old, new) {
            (Some(old), Some(new)) if old.name == new.name && old.scale == new.scale => {
                let why = "one side holds more digits than the other can";
                self.risky(Kind::ScaleChanged, place, what, why);
            }
            (Some(old), Some(new)) if old.name == new.name => {
                let why = "the same bytes are read as another amount, by a power of ten";
                self.breaking(Kind::ScaleChanged, place, what, why);
            }
            (None, Some(_)) => {
                let why = "readers take the numbers that are there for the unit now declared";
                self.risky(Kind::LogicalTypeChanged, place, what, why);
            }
            (Some(_), None | Some(_)) | (None, None) => {
                let why = "the bytes stay readable, so no registry objects, and every value is read with \
                           another meaning or unit";
                self.breaking(Kind::LogicalTypeChanged, place, what, why);
            }
        }
    }

    fn named(&mut self, old_name: &'a str, new_name: &'a str, place: &str) {
        if !self.seen.insert((old_name, new_name)) {
            return;
        }
        let (Some(old), Some(new)) = (self.old.named.get(old_name), self.new.named.get(new_name))
        else {
            return;
        };
        if !place.is_empty() && simple(old_name) != simple(new_name) {
            let what = format!("{old_name} → {new_name}");
            let why = "Avro matches named types by name: neither reads what the other writes";
            if new.aliases.iter().any(|alias| alias == old_name) {
                self.risky(
                    Kind::NameChanged,
                    place,
                    what,
                    "readers without the alias cannot follow",
                );
            } else {
                self.breaking(Kind::NameChanged, place, what, why);
            }
        }
        fields::docs(self, old.doc.as_deref(), new.doc.as_deref(), place);
        self.bodies(old, new, place);
    }

    fn bodies(&mut self, old: &'a Named, new: &'a Named, place: &str) {
        match (&old.body, &new.body) {
            (Body::Record(old), Body::Record(new)) => fields::records(self, old, new, place),
            (
                Body::Enum { symbols: old, default: was },
                Body::Enum { symbols: new, default: is },
            ) => {
                self.symbols(old, new, is.as_deref(), place);
                self.enum_default(was.as_deref(), is.as_deref(), place);
            }
            (Body::Fixed { size: old, logical: was }, Body::Fixed { size: new, logical: is }) => {
                if old != new {
                    let what = format!("{old} → {new} bytes");
                    let why = "neither reads what the other writes";
                    self.breaking(Kind::TypeChanged, place, what, why);
                }
                self.logical(was.as_ref(), is.as_ref(), place);
            }
            (
                Body::Record(_) | Body::Enum { .. } | Body::Fixed { .. },
                Body::Record(_) | Body::Enum { .. } | Body::Fixed { .. },
            ) => {
                let what = "another kind of type".to_owned();
                self.breaking(
                    Kind::TypeChanged,
                    place,
                    what,
                    "neither reads what the other writes",
                );
            }
        }
    }

    fn symbols(&mut self, old: &[String], new: &[String], default: Option<&str>, place: &str) {
        let gone: Vec<&str> = missing(old, new);
        if !gone.is_empty() {
            let what = format!("without {}", gone.join(", "));
            let why = match default {
                Some(default) => {
                    format!("older events that say {} read as {default}", gone.join(", "))
                }
                None => "older events that say it cannot be read".to_owned(),
            };
            self.risky(Kind::EnumSymbolRemoved, place, what, &why);
        }
        let added: Vec<&str> = missing(new, old);
        if !added.is_empty() {
            let what = format!("with {}", added.join(", "));
            match default {
                Some(default) => {
                    let why = format!("older readers see {default}");
                    self.harmless(Kind::EnumSymbolAdded, place, what, &why);
                }
                None => {
                    let why = "older readers have no symbol for it, and the enum no default";
                    self.risky(Kind::EnumSymbolAdded, place, what, why);
                }
            }
        }
    }

    fn enum_default(&mut self, old: Option<&str>, new: Option<&str>, place: &str) {
        match (old, new) {
            (Some(old), None) => {
                let what = format!("{old} → none");
                let why = "the next symbol that is added makes events unreadable to everyone with this schema";
                self.risky(Kind::EnumDefaultChanged, place, what, why);
            }
            (Some(old), Some(new)) if old != new => {
                let what = format!("{old} → {new}");
                let why = "symbols that a reader does not know are read as another one than before";
                self.risky(Kind::EnumDefaultChanged, place, what, why);
            }
            (None, Some(new)) => {
                let what = format!("none → {new}");
                self.harmless(
                    Kind::EnumDefaultChanged,
                    place,
                    what,
                    "unknown symbols can be read now",
                );
            }
            (Some(_), Some(_)) | (None, None) => {}
        }
    }
}

/// Whether null is allowed, and what else.
fn branches(kind: &Type) -> (bool, Vec<&Type>) {
    let Type::Union(branches) = kind else { return (false, vec![kind]) };
    let is_null = |branch: &&Type| matches!(branch, Type::Primitive(Primitive::Null, _));
    let others: Vec<&Type> = branches.iter().filter(|branch| !is_null(branch)).collect();
    (others.len() < branches.len(), others)
}

fn is_alike(one: &Type, other: &Type) -> bool {
    match (one, other) {
        (Type::Primitive(one, _), Type::Primitive(other, _)) => one == other,
        (Type::Named(one), Type::Named(other)) => simple(one) == simple(other),
        (Type::Array(_), Type::Array(_)) | (Type::Map(_), Type::Map(_)) => true,
        (
            Type::Primitive(..) | Type::Array(_) | Type::Map(_) | Type::Named(_) | Type::Union(_),
            Type::Primitive(..) | Type::Array(_) | Type::Map(_) | Type::Named(_) | Type::Union(_),
        ) => false,
    }
}

fn word(kind: &Type) -> String {
    match kind {
        Type::Primitive(primitive, None) => primitive.name().to_owned(),
        Type::Primitive(primitive, Some(logical)) => {
            format!("{} ({})", primitive.name(), logical.name)
        }
        Type::Array(_) => "array".to_owned(),
        Type::Map(_) => "map".to_owned(),
        Type::Union(_) => "union".to_owned(),
        Type::Named(name) => simple(name).to_owned(),
    }
}

fn logical_word(logical: Option<&Logical>) -> String {
    let Some(logical) = logical else { return "a plain number".to_owned() };
    match logical.precision {
        Some(precision) => format!("{}({precision}, {})", logical.name, logical.scale.unwrap_or(0)),
        None => logical.name.clone(),
    }
}

fn simple(name: &str) -> &str {
    name.rsplit('.').next().unwrap_or_default()
}

fn missing<'s>(of: &'s [String], in_other: &[String]) -> Vec<&'s str> {
    of.iter().filter(|symbol| !in_other.contains(symbol)).map(String::as_str).collect()
}
