//! Schemas by their id. An id stays resolvable after a soft delete: records that carry it are still read.

use serde_json::json;
use uuid::Uuid;

use super::{Answer, Ask, described};
use crate::refusal::Refusal;
use crate::schemas::{Schemas, Written};

pub(super) fn schema(ask: &Ask<'_>, id: &str) -> Answer {
    let (id, written) = find(ask, id)?;
    let mut body = told(ask.schemas(), id, written);
    if ask.switches.is_on("fetchMaxId") {
        body["maxId"] = json!(ask.schemas().highest_id());
    }
    Ok(body)
}

/// Every version of every subject, or the last of each, as pages.
pub(super) fn list(ask: &Ask<'_>) -> Answer {
    let (schemas, scope) = (ask.schemas(), ask.switches.scope());
    let prefix = super::subjects::prefix(ask);
    let is_latest_only = ask.switches.is_on("latestOnly");
    let of_subject = |subject| {
        let versions = schemas.versions(subject, scope);
        let from = if is_latest_only { versions.len().saturating_sub(1) } else { 0 };
        versions.into_iter().skip(from).map(move |version| (subject, version))
    };
    let subjects = schemas.subjects(scope).filter(|subject| subject.starts_with(prefix));
    let versions = ask.switches.page(subjects.flat_map(of_subject));
    versions.into_iter().map(|(subject, version)| described(schemas, subject, version)).collect()
}

/// The schema of a GUID, in the form of [`schema`].
pub(super) fn schema_of_guid(ask: &Ask<'_>, guid: &str) -> Answer {
    let id = id_of(ask, guid)?;
    schema(ask, &id.to_string())
}

/// The ids of a GUID: one, since there is one context.
pub(super) fn ids_of_guid(ask: &Ask<'_>, guid: &str) -> Answer {
    Ok(json!([{ "context": ".", "id": id_of(ask, guid)? }]))
}

fn told(schemas: &Schemas, id: u32, written: &Written) -> serde_json::Value {
    let mut body = json!({ "schema": written.text });
    if let Some(guid) = schemas.guid(id) {
        body["guid"] = json!(guid.to_string());
    }
    if !written.references.is_empty() {
        body["references"] = json!(written.references);
    }
    body
}

fn id_of(ask: &Ask<'_>, guid: &str) -> Result<u32, Refusal> {
    let known = Uuid::try_parse(guid).ok().and_then(|guid| ask.schemas().id_of_guid(guid));
    known.ok_or_else(|| Refusal::new(40_403, format!("Schema {guid} not found")))
}

pub(super) fn text(ask: &Ask<'_>, id: &str) -> Answer {
    let (id, _) = find(ask, id)?;
    parsed(ask.schemas(), id)
}

pub(super) fn versions(ask: &Ask<'_>, id: &str) -> Answer {
    let (id, _) = find(ask, id)?;
    let uses = ask.schemas().uses(id, ask.switches.scope());
    Ok(uses
        .iter()
        .map(|(subject, version)| json!({ "subject": subject, "version": version }))
        .collect())
}

pub(super) fn subjects(ask: &Ask<'_>, id: &str) -> Answer {
    let (id, _) = find(ask, id)?;
    let mut subjects: Vec<&str> =
        ask.schemas().uses(id, ask.switches.scope()).iter().map(|(subject, _)| *subject).collect();
    subjects.dedup();
    Ok(json!(subjects))
}

/// The schema itself as JSON, not as a text within JSON.
pub(super) fn parsed(schemas: &Schemas, id: u32) -> Answer {
    let written = schemas.written(id).ok_or_else(|| Refusal::schema_not_found(id))?;
    serde_json::from_str(&written.text).map_err(Refusal::store)
}

fn find<'a>(ask: &'a Ask<'_>, id: &str) -> Result<(u32, &'a Written), Refusal> {
    let id = id.parse().map_err(|_| Refusal::new(404, "HTTP 404 Not Found"))?;
    let written = ask.schemas().written(id).ok_or_else(|| Refusal::schema_not_found(id))?;
    Ok((id, written))
}
