//! What is wrong with contracts as they stand, without comparing them to older ones.

use std::collections::BTreeMap;

use serde_json::Value;

use super::change::{Change, Harm, Kind, Reach};
use super::compare::Noted;
use super::contracts::{ContractSchema, Contracts};
use super::units;
use crate::compat::tree::{Body, Field};
use crate::lint as danger;

/// The head that every event has. `Event` of the common crate has the same fields.
const HEAD: [&str; 9] = [
    "event_id",
    "event_time",
    "user_id",
    "anonymous_id",
    "session_id",
    "surface",
    "decision_id",
    "device",
    "props",
];

/// Something that somebody will stumble over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Flaw {
    /// Path of the file within the directory of schemas.
    pub file: String,
    pub code: &'static str,
    /// Pointer to the field, or a named type; empty for the whole file.
    pub place: String,
    pub detail: String,
    pub hint: &'static str,
}

/// Every flaw of the schemas: docs, units, enums, the common head, and what no decoder should meet.
#[must_use]
pub fn lint(contracts: &Contracts) -> Vec<Flaw> {
    let mut found = Vec::new();
    for schema in &contracts.schemas {
        documented(schema, &mut found);
        dangerous(contracts, schema, &mut found);
    }
    for Drift { schema, field, detail } in drifts(contracts) {
        found.push(Flaw {
            file: schema.path.clone(),
            code: "head_drift",
            place: format!("/{field}"),
            detail,
            hint: Kind::HeadDrift.hint(),
        });
    }
    found
}

/// Drift of the common head that the older contracts did not have.
pub(super) fn drift(old: &Contracts, new: &Contracts) -> Vec<Change> {
    let before = drifts(old);
    let is_new = |drift: &Drift<'_>| {
        let same = |known: &Drift<'_>| {
            known.schema.full_name == drift.schema.full_name && known.field == drift.field
        };
        !before.iter().any(same)
    };
    let change = |Drift { schema, field, detail }: Drift<'_>| {
        let place = format!("/{field}");
        let (kind, harm, reach) = (Kind::HeadDrift, Harm::Breaking, Reach::Field);
        let why =
            "what reads events of all types reads this field in two ways from now on".to_owned();
        Noted { kind, place: &place, what: detail, harm, reach, why }.of(schema)
    };
    drifts(new).into_iter().filter(is_new).map(change).collect()
}

struct Drift<'a> {
    schema: &'a ContractSchema,
    field: String,
    detail: String,
}

/// Events whose head differs from what most events have there.
fn drifts(contracts: &Contracts) -> Vec<Drift<'_>> {
    let events: Vec<&ContractSchema> =
        contracts.schemas.iter().filter(|schema| schema.is_event()).collect();
    if events.len() < 3 {
        return Vec::new();
    }
    let mut found = Vec::new();
    for field in HEAD {
        let written: Vec<Option<String>> =
            events.iter().map(|schema| written(schema, field)).collect();
        let mut counts: BTreeMap<&Option<String>, usize> = BTreeMap::new();
        for one in &written {
            *counts.entry(one).or_default() += 1;
        }
        let Some((usual, _)) = counts.iter().max_by_key(|(_, count)| **count) else { continue };
        let odd = events.iter().zip(&written).filter(|(_, one)| one != usual);
        found.extend(odd.map(|(schema, one)| Drift {
            schema,
            field: field.to_owned(),
            detail: match one {
                Some(_) => format!("`{field}` is not what it is in the other events"),
                None => format!("`{field}` of the common head is missing"),
            },
        }));
    }
    found
}

/// The definition of a field as it stands in the file, with sorted keys.
fn written(schema: &ContractSchema, field: &str) -> Option<String> {
    let json: Value = serde_json::from_str(&schema.text).ok()?;
    let fields = json.get("fields")?.as_array()?;
    let found = fields.iter().find(|one| one.get("name").and_then(Value::as_str) == Some(field))?;
    Some(sorted(found).to_string())
}

/// With the keys of every object in order.
fn sorted(json: &Value) -> Value {
    match json {
        Value::Array(entries) => entries.iter().map(sorted).collect(),
        Value::Object(object) => {
            let ordered: BTreeMap<&String, Value> =
                object.iter().map(|(key, value)| (key, sorted(value))).collect();
            ordered.into_iter().map(|(key, value)| (key.clone(), value)).collect()
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => json.clone(),
    }
}

/// Docs and units of everything that the file itself defines.
fn documented(schema: &ContractSchema, found: &mut Vec<Flaw>) {
    let mut say = |code, place: String, detail: String, hint| {
        found.push(Flaw { file: schema.path.clone(), code, place, detail, hint });
    };
    let mut names: Vec<&String> = schema.types.named.keys().collect();
    names.sort();
    for name in names {
        let named = &schema.types.named[name];
        let simple = name.rsplit('.').next().unwrap_or_default();
        let is_own = schema.text.contains(&format!("\"{simple}\""));
        if !is_own {
            continue;
        }
        if named.doc.as_deref().is_none_or(str::is_empty) {
            let detail = format!("`{simple}` has no doc");
            say("doc_missing", simple.to_owned(), detail, Kind::DocMissing.hint());
        }
        match &named.body {
            Body::Enum { default: None, .. } => {
                let detail = format!("the enum `{simple}` has no default");
                let hint = Kind::EnumSymbolAdded.hint();
                say("enum_without_default", simple.to_owned(), detail, hint);
            }
            Body::Record(fields) => fields.iter().for_each(|field| of_field(field, &mut say)),
            Body::Enum { .. } | Body::Fixed { .. } => {}
        }
    }
}

fn of_field(field: &Field, say: &mut impl FnMut(&'static str, String, String, &'static str)) {
    let place = format!("/{}", field.name);
    let doc = field.doc.as_deref().unwrap_or_default();
    if doc.is_empty() {
        let detail = format!("`{}` has no doc", field.name);
        say("doc_missing", place, detail, Kind::DocMissing.hint());
    } else if let Some((named, said)) = units::contradiction(&field.name, doc) {
        let detail = format!("`{}` says {}, its doc says {}", field.name, named.name, said.name);
        say("unit_contradiction", place, detail, "make name and doc say the same unit");
    }
}

/// What ingest refuses to decode with.
fn dangerous(contracts: &Contracts, schema: &ContractSchema, found: &mut Vec<Flaw>) {
    let parse = |text: &str| serde_json::from_str::<Value>(text).ok();
    let of = |path: &String| contracts.schemas.iter().find(|known| known.path == *path);
    let environment: Vec<Value> =
        schema.references.iter().filter_map(of).filter_map(|known| parse(&known.text)).collect();
    let Some(json) = parse(&schema.text) else { return };
    if let Err(flaw) = danger::lint(&json, &environment) {
        found.push(Flaw {
            file: schema.path.clone(),
            code: "schema_lint",
            place: String::new(),
            detail: flaw.to_string(),
            hint: "ingest decodes nothing with such a schema; its events become dead letters",
        });
    }
}
