//! Whether a schema would be taken, without taking it.

use serde_json::json;
use upnext_contract::compat::{self, Incompatibility, Level, Types};

use super::subjects::unusable;
use super::{Answer, Ask, pick};
use crate::ask;
use crate::refusal::Refusal;
use crate::schemas::{Schemas, Scope};

/// Against one version, at the subject's level.
pub(super) fn with_one(ask: &Ask<'_>, subject: &str, named: &str) -> Answer {
    let new = parse(ask)?;
    let version = pick(ask.schemas(), subject, named, Scope::Live)?;
    let old = ask.schemas().types(version.id).map(|types| Types::clone(types));
    let old = old.ok_or_else(|| Refusal::schema_not_found(version.id))?;
    let level = ask.schemas().effective_level(subject);
    Ok(verdict(ask, compat::check(&new, &[old], level)))
}

/// Against the versions that the subject's level looks at.
pub(super) fn with_all(ask: &Ask<'_>, subject: &str) -> Answer {
    let new = parse(ask)?;
    let level: Level = ask.schemas().effective_level(subject);
    let old = live(ask.schemas(), subject);
    Ok(verdict(ask, compat::check(&new, &old, level)))
}

/// Live versions of a subject, oldest first.
pub(super) fn live(schemas: &Schemas, subject: &str) -> Vec<Types> {
    let versions = schemas.versions(subject, Scope::Live);
    let types = versions.iter().filter_map(|version| schemas.types(version.id));
    types.map(|types| Types::clone(types)).collect()
}

fn parse(ask: &Ask<'_>) -> Result<Types, Refusal> {
    ask.schemas().parse(&ask::written(ask.body)?).map_err(unusable)
}

fn verdict(ask: &Ask<'_>, checked: Result<(), Vec<Incompatibility>>) -> serde_json::Value {
    let found = checked.err().unwrap_or_default();
    let mut body = json!({ "is_compatible": found.is_empty() });
    if ask.switches.is_on("verbose") {
        body["messages"] = found.iter().map(ToString::to_string).collect();
    }
    body
}
