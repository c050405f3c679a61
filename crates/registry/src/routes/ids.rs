//! Schemas by their id. An id stays resolvable after a soft delete: records that carry it are still read.

use serde_json::json;

use super::{Answer, Ask};
use crate::refusal::Refusal;
use crate::schemas::{Schemas, Written};

pub(super) fn schema(ask: &Ask<'_>, id: &str) -> Answer {
    let (_, written) = find(ask, id)?;
    let mut body = json!({ "schema": written.text });
    if !written.references.is_empty() {
        body["references"] = json!(written.references);
    }
    Ok(body)
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
