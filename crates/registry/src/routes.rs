//! What is answered to what is asked.

mod subjects;
mod ids;
mod compatibility;
mod settings;

use std::sync::Arc;

use parking_lot::Mutex;
use serde_json::{Value, json};
use upnext_http::axum::Router;
use upnext_http::axum::body::{Body, to_bytes};
use upnext_http::axum::extract::{Request, State};
use upnext_http::axum::http::{Method, StatusCode};
use upnext_http::axum::response::{IntoResponse, Response};
use upnext_http::axum::routing::any;

use crate::BODY_BYTES_MAX;
use crate::ask::{Place, Switches};
use crate::ledger::Ledger;
use crate::refusal::{Refusal, answer};
use crate::schemas::{Schemas, Scope, Version};

type Shared = Arc<Mutex<Ledger>>;
type Answer = Result<Value, Refusal>;

pub(crate) fn router(ledger: Shared) -> Router {
    Router::new().route("/", any(take)).route("/{*path}", any(take)).with_state(ledger)
}

/// A request in hand: what it may touch, its switches and its body.
struct Ask<'a> {
    ledger: &'a mut Ledger,
    switches: Switches,
    body: &'a [u8],
}

impl Ask<'_> {
    fn schemas(&self) -> &Schemas {
        self.ledger.schemas()
    }
}

/// The file is synced under the lock: the registry is for one machine, and changes are rare.
async fn take(State(ledger): State<Shared>, request: Request<Body>) -> Response {
    let (head, body) = request.into_parts();
    let Ok(body) = to_bytes(body, BODY_BYTES_MAX).await else {
        return Refusal::new(413, "the body is too large").into_response();
    };
    let Some(place) = Place::of(&head.uri) else {
        return Refusal::new(404, "HTTP 404 Not Found").into_response();
    };
    let mut ledger = ledger.lock();
    let ask = Ask { ledger: &mut ledger, switches: Switches::of(&head.uri), body: &body };
    match answer_to(&head.method, place, ask) {
        Ok(body) => answer(StatusCode::OK, &body),
        Err(refusal) => refusal.into_response(),
    }
}

fn answer_to(method: &Method, place: Place, mut ask: Ask<'_>) -> Answer {
    match (method.as_str(), place) {
        ("GET", Place::Root) => Ok(json!({})),
        ("GET", Place::Subjects) => Ok(subjects::list(&ask)),
        ("POST", Place::Subject(subject)) => subjects::look_up(&ask, &subject),
        ("DELETE", Place::Subject(subject)) => subjects::delete(&mut ask, &subject),
        ("GET", Place::Versions(subject)) => subjects::versions(&ask, &subject),
        ("POST", Place::Versions(subject)) => subjects::register(&mut ask, subject),
        ("GET", Place::Version(subject, version)) => subjects::version(&ask, &subject, &version),
        ("DELETE", Place::Version(subject, version)) => {
            subjects::delete_version(&mut ask, &subject, &version)
        }
        ("GET", Place::VersionSchema(subject, version)) => {
            subjects::version_schema(&ask, &subject, &version)
        }
        ("GET", Place::ReferencedBy(subject, version)) => {
            subjects::referenced_by(&ask, &subject, &version)
        }
        ("GET", Place::Schemas) => ids::list(&ask),
        ("GET", Place::Schema(id)) => ids::schema(&ask, &id),
        ("GET", Place::SchemaText(id)) => ids::text(&ask, &id),
        ("GET", Place::SchemaVersions(id)) => ids::versions(&ask, &id),
        ("GET", Place::SchemaSubjects(id)) => ids::subjects(&ask, &id),
        ("GET", Place::SchemaOfGuid(guid)) => ids::schema_of_guid(&ask, &guid),
        ("GET", Place::IdsOfGuid(guid)) => ids::ids_of_guid(&ask, &guid),
        ("GET", Place::SchemaTypes) => Ok(json!(["AVRO"])),
        ("POST", Place::Compatibility(subject)) => compatibility::with_all(&ask, &subject),
        ("POST", Place::CompatibilityOf(subject, version)) => {
            compatibility::with_one(&ask, &subject, &version)
        }
        ("GET", Place::Config(subject)) => settings::level(&ask, subject.as_deref()),
        ("PUT", Place::Config(subject)) => settings::set_level(&mut ask, subject),
        ("DELETE", Place::Config(subject)) => settings::clear_level(&mut ask, subject),
        ("GET", Place::Mode(subject)) => settings::mode(&ask, subject.as_deref()),
        ("PUT", Place::Mode(subject)) => settings::set_mode(&mut ask, subject),
        ("DELETE", Place::Mode(subject)) => settings::clear_mode(&mut ask, subject),
        ("GET", Place::Contexts) => Ok(json!(["."])),
        ("GET", Place::ClusterId) => Ok(json!({ "id": "upnext-embedded", "scope": {} })),
        ("GET", Place::ServerVersion) => Ok(json!({ "version": env!("CARGO_PKG_VERSION") })),
        _ => Err(Refusal::new(405, "HTTP 405 Method Not Allowed")),
    }
}

/// The version of a subject that a path names: a number, `latest` or `-1`.
fn pick(schemas: &Schemas, subject: &str, named: &str, scope: Scope) -> Result<Version, Refusal> {
    let versions = schemas.versions(subject, scope);
    if named == "latest" || named == "-1" {
        return versions.last().copied().ok_or_else(|| Refusal::subject_not_found(subject));
    }
    let number = named.parse::<u32>().ok().filter(|number| (1..1 << 31).contains(number));
    let number = number.ok_or_else(|| Refusal::invalid_version(named))?;
    if schemas.versions(subject, Scope::All).is_empty() {
        return Err(Refusal::subject_not_found(subject));
    }
    let found = versions.into_iter().find(|version| version.version == number);
    found.ok_or_else(|| Refusal::version_not_found(number))
}

/// A version with its schema, as clients know it.
fn described(schemas: &Schemas, subject: &str, version: Version) -> Answer {
    let written =
        schemas.written(version.id).ok_or_else(|| Refusal::schema_not_found(version.id))?;
    let mut body = json!({
        "subject": subject,
        "version": version.version,
        "id": version.id,
        "schema": written.text,
    });
    if let Some(guid) = schemas.guid(version.id) {
        body["guid"] = json!(guid.to_string());
    }
    if !written.references.is_empty() {
        body["references"] = json!(written.references);
    }
    Ok(body)
}

#[cfg(test)]
mod tests;
