//! One question to the registry, with its answer classified.

use std::collections::HashSet;
use std::time::Duration;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::json;
use upnext_common::clock::Clock;
use uuid::Uuid;

use super::budget::Budget;
use super::transport::{Answer, Http, Transport};
use super::{Lookup, RegistryError};
use crate::framing::SchemaKey;
use crate::writer_schema::SchemaFlaw;

/// Most schemas that one schema may pull in by reference, and how deep.
const REFERENCES_MAX: usize = 16;
/// Most ids of one GUID that are asked about: one registry gives a schema one id per context.
const IDS_MAX: usize = 4;
/// Error code of an unknown schema id. The only answer that ever becomes a verdict.
const SCHEMA_NOT_FOUND: u32 = 40_403;
/// Versions on one page of a listing, and most pages.
const PAGE: usize = 100;
const PAGES_MAX: usize = 100;

pub(super) struct Call {
    transport: Box<dyn Transport>,
    budget: Budget,
}

/// A schema's text and those it refers to, each before its users.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fetched {
    pub(super) text: String,
    pub(super) references: Vec<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Described {
    schema: String,
    schema_type: Option<String>,
    #[serde(default)]
    references: Option<Vec<Reference>>,
}

#[derive(Deserialize)]
struct Reference {
    name: String,
    subject: String,
    version: i64,
}

#[derive(Deserialize)]
struct WithId {
    id: u32,
}

#[derive(Deserialize)]
struct Refusal {
    #[serde(default)]
    error_code: u32,
    #[serde(default)]
    message: String,
}

impl Call {
    pub(super) fn new(url: &str, timeout: Duration, clock: Clock) -> Result<Self, RegistryError> {
        Ok(Self::over(Box::new(Http::new(url, timeout)?), clock))
    }

    pub(super) fn over(transport: Box<dyn Transport>, clock: Clock) -> Self {
        Self { transport, budget: Budget::new(clock) }
    }

    pub(super) async fn schema(&self, key: SchemaKey) -> Result<Fetched, Lookup> {
        let path = match key {
            SchemaKey::Id(id) => format!("/schemas/ids/{id}?deleted=true"),
            SchemaKey::Guid(guid) => format!("/schemas/guids/{guid}?deleted=true"),
        };
        let found: Described = self.get(&path).await.map_err(lookup_of)?;
        if let Some(other) = found.schema_type.filter(|kind| kind != "AVRO") {
            let detail = format!("its type is {other}");
            return Err(Lookup::Flawed(SchemaFlaw::NotAvro { detail }));
        }
        let references = self.references(found.references).await.map_err(Lookup::Trouble)?;
        Ok(Fetched { text: found.schema, references })
    }

    /// Everything it refers to, deepest first, each once.
    async fn references(
        &self,
        references: Option<Vec<Reference>>,
    ) -> Result<Vec<String>, RegistryError> {
        let mut wanted = references.unwrap_or_default();
        let mut found: Vec<(String, String)> = Vec::new();
        let mut calls = 0;
        while let Some(reference) = wanted.pop() {
            calls += 1;
            if calls > REFERENCES_MAX {
                return Err(RegistryError::TooManyReferences { max: REFERENCES_MAX });
            }
            let subject = encoded(&reference.subject);
            let path = format!("/subjects/{subject}/versions/{}?deleted=true", reference.version);
            let referenced: Described = self.get(&path).await?;
            // What is referred to again moves behind its newest user; the list is reversed below.
            found.retain(|(name, _)| *name != reference.name);
            found.push((reference.name, referenced.schema));
            wanted.extend(referenced.references.unwrap_or_default());
        }
        found.reverse();
        Ok(found.into_iter().map(|(_, text)| text).collect())
    }

    /// Where a schema stands, soft-deleted subjects too: what was written under them is still read. `None` when this
    /// registry has no answer to the question.
    pub(super) async fn subjects_of(
        &self,
        key: SchemaKey,
    ) -> Result<Option<Vec<String>>, RegistryError> {
        match key {
            SchemaKey::Id(id) => self.subjects_of_id(id).await,
            SchemaKey::Guid(guid) => self.subjects_of_guid(guid).await,
        }
    }

    async fn subjects_of_id(&self, id: u32) -> Result<Option<Vec<String>>, RegistryError> {
        self.get_if_there(&format!("/schemas/ids/{id}/subjects?deleted=true")).await
    }

    async fn subjects_of_guid(&self, guid: Uuid) -> Result<Option<Vec<String>>, RegistryError> {
        let ids: Option<Vec<WithId>> =
            self.get_if_there(&format!("/schemas/guids/{guid}/ids")).await?;
        let Some(ids) = ids else { return Ok(None) };
        let mut all = Vec::new();
        for one in ids.iter().take(IDS_MAX) {
            all.extend(self.subjects_of_id(one.id).await?.unwrap_or_default());
        }
        Ok(Some(all))
    }

    /// Every id there is. `None` when this registry cannot list them, or has more than we would hold.
    pub(super) async fn ids(&self) -> Result<Option<HashSet<u32>>, RegistryError> {
        let mut all = HashSet::new();
        for page in 0..PAGES_MAX {
            let path = format!(
                "/schemas?deleted=true&latestOnly=false&offset={}&limit={PAGE}",
                page * PAGE
            );
            let Some(found) = self.get_if_there::<Vec<serde_json::Value>>(&path).await? else {
                return Ok(None);
            };
            let before = all.len();
            for one in &found {
                // A registry that lists schemas without their ids is of no use here.
                let id = one.get("id").and_then(serde_json::Value::as_u64);
                let Some(id) = id.and_then(|id| u32::try_from(id).ok()) else { return Ok(None) };
                all.insert(id);
            }
            // A registry that knows no pages gives the same one again.
            if found.len() < PAGE || (found.len() > PAGE && page == 0) || all.len() == before {
                return Ok(Some(all));
            }
        }
        Ok(None)
    }

    pub(super) async fn register(&self, subject: &str, text: &str) -> Result<u32, RegistryError> {
        let body = json!({ "schema": text, "schemaType": "AVRO" }).to_string().into_bytes();
        let path = format!("/subjects/{}/versions", encoded(subject));
        let answer = self.transport.post(&path, body).await;
        read::<WithId>(&path, answer).map(|registered| registered.id)
    }

    pub(super) async fn subjects(&self) -> Result<(), RegistryError> {
        let path = "/subjects";
        read::<serde_json::Value>(path, self.transport.get(path).await).map(drop)
    }

    async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, RegistryError> {
        self.budget.spend().await;
        read(path, self.transport.get(path).await)
    }

    /// As [`Self::get`]; `None` when the registry has no such place, or nothing there.
    async fn get_if_there<T: DeserializeOwned>(
        &self,
        path: &str,
    ) -> Result<Option<T>, RegistryError> {
        self.budget.spend().await;
        match self.transport.get(path).await {
            Ok(Answer { status: 404 | 405, .. }) => Ok(None),
            answer => read(path, answer).map(Some),
        }
    }
}

fn lookup_of(error: RegistryError) -> Lookup {
    if matches!(error, RegistryError::Refused { code: SCHEMA_NOT_FOUND, .. }) {
        Lookup::Unknown
    } else {
        Lookup::Trouble(error)
    }
}

/// What an answer says. Refused when the registry spoke in its own error format; anything else but a good answer
/// means that it could not be asked.
fn read<T: DeserializeOwned>(
    path: &str,
    answer: Result<Answer, String>,
) -> Result<T, RegistryError> {
    let unavailable = |cause: String| RegistryError::Unavailable { cause };
    let Answer { status, body } = answer.map_err(unavailable)?;
    if status == 200 {
        return serde_json::from_slice(&body)
            .map_err(|error| unavailable(format!("its answer to {path}: {error}")));
    }
    match serde_json::from_slice::<Refusal>(&body) {
        // A code belongs to its status: 40403 in an answer of 500 is an accident.
        Ok(refusal) if is_of(refusal.error_code, status) => {
            Err(RegistryError::Refused { code: refusal.error_code, message: refusal.message })
        }
        Ok(_) | Err(_) => Err(unavailable(format!("it answers {status} to {path}"))),
    }
}

fn is_of(code: u32, status: u16) -> bool {
    code != 0 && (code == u32::from(status) || code / 100 == u32::from(status))
}

/// Percent-encoded as one part of a path.
fn encoded(text: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    text.bytes()
        .map(|byte| match byte {
            plain if is_plain(plain) => char::from(plain).to_string(),
            other => format!("%{other:02X}"),
        })
        .collect()
}
