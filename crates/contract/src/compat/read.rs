//! One reader against one writer, by Avro's rules of resolution.

use std::collections::HashSet;

use super::tree::{Body, Field, Named, Type, Types};
use super::{Conflict, ConflictKind};

/// Most conflicts that are reported of one pair.
const CONFLICTS_MAX: usize = 50;

pub(super) fn conflicts(reader: &Types, writer: &Types) -> Vec<Conflict> {
    let mut pair = Pair {
        reader,
        writer,
        assumed: HashSet::new(),
        refuted: HashSet::new(),
        found: Vec::new(),
    };
    pair.compare(&reader.root, &writer.root, "");
    pair.found
}

struct Pair<'a> {
    reader: &'a Types,
    writer: &'a Types,
    /// Pairs of names under comparison or compared: recursion ends at them, and each is reported once.
    assumed: HashSet<(&'a str, &'a str)>,
    /// Pairs of names that conflict whatever else holds, so that no union tries them again.
    refuted: HashSet<(&'a str, &'a str)>,
    found: Vec<Conflict>,
}

impl<'a> Pair<'a> {
    fn compare(&mut self, reader: &'a Type, writer: &'a Type, path: &str) {
        match (reader, writer) {
            (_, Type::Union(branches)) => {
                for branch in branches {
                    self.compare_to_branch(reader, branch, path);
                }
            }
            (Type::Union(_), _) => self.compare_to_branch(reader, writer, path),
            (Type::Primitive(ours, _), Type::Primitive(theirs, _)) if ours.reads(*theirs) => {}
            (Type::Array(ours), Type::Array(theirs)) => {
                self.compare(ours, theirs, &format!("{path}/[]"));
            }
            (Type::Map(ours), Type::Map(theirs)) => {
                self.compare(ours, theirs, &format!("{path}/{{}}"));
            }
            (Type::Named(ours), Type::Named(theirs)) => self.compare_named(ours, theirs, path),
            (
                Type::Primitive(..) | Type::Array(_) | Type::Map(_) | Type::Named(_),
                Type::Primitive(..) | Type::Array(_) | Type::Map(_) | Type::Named(_),
            ) => {
                let detail = format!(
                    "reader has {}, writer {}",
                    describe(reader, self.reader),
                    describe(writer, self.writer)
                );
                self.note(ConflictKind::TypeMismatch, path, detail);
            }
        }
    }

    /// One branch of what the writer may have written: a union reads it if any of its branches does.
    fn compare_to_branch(&mut self, reader: &'a Type, writer: &'a Type, path: &str) {
        let Type::Union(branches) = reader else {
            self.compare(reader, writer, path);
            return;
        };
        let is_read = branches.iter().any(|branch| self.would_read(branch, writer, path));
        if !is_read {
            let detail = format!("no branch reads {}", describe(writer, self.writer));
            self.note(ConflictKind::MissingUnionBranch, path, detail);
        }
    }

    /// Tries a branch; only what it proved is kept, not its conflicts.
    fn would_read(&mut self, branch: &'a Type, writer: &'a Type, path: &str) -> bool {
        let mut trial = Pair {
            reader: self.reader,
            writer: self.writer,
            assumed: self.assumed.clone(),
            refuted: std::mem::take(&mut self.refuted),
            found: Vec::new(),
        };
        trial.compare(branch, writer, path);
        self.refuted = trial.refuted;
        let is_read = trial.found.is_empty();
        if is_read {
            self.assumed = trial.assumed;
        }
        is_read
    }

    fn compare_named(&mut self, reader: &'a str, writer: &'a str, path: &str) {
        if self.refuted.contains(&(reader, writer)) {
            let detail = format!("reader's `{reader}` does not read `{writer}`, as elsewhere");
            self.note(ConflictKind::TypeMismatch, path, detail);
        } else if self.assumed.insert((reader, writer)) {
            let before = self.found.len();
            self.compare_bodies(reader, writer, path);
            if self.found.len() > before {
                self.refuted.insert((reader, writer));
            }
        }
    }

    fn compare_bodies(&mut self, reader: &'a str, writer: &'a str, path: &str) {
        let (Some(ours), Some(theirs)) =
            (self.reader.named.get(reader), self.writer.named.get(writer))
        else {
            debug_assert!(false, "names are resolved when schemas are parsed");
            return;
        };
        match (&ours.body, &theirs.body) {
            (Body::Record(_), Body::Record(_))
            | (Body::Enum { .. }, Body::Enum { .. })
            | (Body::Fixed { .. }, Body::Fixed { .. })
                if !is_named_alike(reader, ours, writer) =>
            {
                let detail = format!("reader has `{reader}`, writer `{writer}`");
                self.note(ConflictKind::NameMismatch, path, detail);
            }
            (Body::Record(ours), Body::Record(theirs)) => self.compare_fields(ours, theirs, path),
            (Body::Enum { symbols, default }, Body::Enum { symbols: written, .. }) => {
                let missing: Vec<&str> = written
                    .iter()
                    .filter(|symbol| !symbols.contains(symbol))
                    .map(String::as_str)
                    .collect();
                if !missing.is_empty() && default.is_none() {
                    let detail = format!("reader lacks {} and has no default", missing.join(", "));
                    self.note(ConflictKind::MissingEnumSymbols, path, detail);
                }
            }
            (Body::Fixed { size, .. }, Body::Fixed { size: written, .. }) => {
                if size != written {
                    let detail = format!("reader has {size} bytes, writer {written}");
                    self.note(ConflictKind::FixedSizeMismatch, path, detail);
                }
            }
            (
                Body::Record(_) | Body::Enum { .. } | Body::Fixed { .. },
                Body::Record(_) | Body::Enum { .. } | Body::Fixed { .. },
            ) => {
                let detail = format!("reader has `{reader}`, writer `{writer}` of another kind");
                self.note(ConflictKind::TypeMismatch, path, detail);
            }
        }
    }

    fn compare_fields(&mut self, ours: &'a [Field], theirs: &'a [Field], path: &str) {
        for field in ours {
            let path = format!("{path}/{}", field.name);
            match written(field, theirs) {
                Some(theirs) => self.compare(&field.kind, &theirs.kind, &path),
                None if field.default.is_some() => {}
                None => {
                    let detail = format!("reader needs `{}`, which is not written", field.name);
                    self.note(ConflictKind::ReaderFieldMissingDefaultValue, &path, detail);
                }
            }
        }
    }

    fn note(&mut self, kind: ConflictKind, path: &str, detail: String) {
        if self.found.len() < CONFLICTS_MAX {
            self.found.push(Conflict { kind, path: path.to_owned(), detail });
        }
    }
}

/// The field a reader's field takes its data from: the one of its name, else of one of its aliases.
fn written<'a>(field: &Field, theirs: &'a [Field]) -> Option<&'a Field> {
    let by_name = |name: &str| theirs.iter().find(|written| written.name == name);
    by_name(&field.name).or_else(|| field.aliases.iter().find_map(|alias| by_name(alias)))
}

fn is_named_alike(reader: &str, ours: &Named, writer: &str) -> bool {
    let simple = |name: &str| name.rsplit('.').next().map(str::to_owned);
    simple(reader) == simple(writer) || ours.aliases.iter().any(|alias| alias == writer)
}

fn describe(kind: &Type, types: &Types) -> String {
    match kind {
        Type::Primitive(primitive, _) => primitive.name().to_owned(),
        Type::Array(_) => "an array".to_owned(),
        Type::Map(_) => "a map".to_owned(),
        Type::Union(branches) => {
            let names: Vec<String> =
                branches.iter().map(|branch| describe(branch, types)).collect();
            format!("a union of {}", names.join(", "))
        }
        Type::Named(name) => match types.named.get(name).map(|named| &named.body) {
            Some(Body::Record(_)) => format!("the record `{name}`"),
            Some(Body::Enum { .. }) => format!("the enum `{name}`"),
            Some(Body::Fixed { .. }) => format!("the fixed `{name}`"),
            None => format!("`{name}`"),
        },
    }
}
