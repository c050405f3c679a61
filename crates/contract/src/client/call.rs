//! One call to the registry, with its answer classified.

mod plain;

use std::error::Error;
use std::time::Duration;

use schema_registry_converter::async_impl::schema_registry as rest;
use schema_registry_converter::async_impl::schema_registry::SrSettings;
use schema_registry_converter::error::SRCError;
use schema_registry_converter::schema_registry_common::{
    RawError, RegisteredReference, RegisteredSchema, SchemaType, SuppliedSchema,
};

use super::{Lookup, RegistryError};
use crate::framing::SchemaKey;
use crate::writer_schema::SchemaFlaw;
use plain::Plain;

/// Most schemas that one schema may pull in by reference.
const REFERENCES_MAX: usize = 16;
/// Error code of an unknown schema id.
const SCHEMA_NOT_FOUND: u32 = 40_403;

pub(super) struct Call {
    settings: SrSettings,
    plain: Plain,
}

/// A schema's text and those it refers to, each before its users.
pub(super) struct Fetched {
    pub(super) text: String,
    pub(super) references: Vec<String>,
}

impl Call {
    pub(super) fn new(url: &str, timeout: Duration) -> Result<Self, RegistryError> {
        let url = url.trim_end_matches('/').to_owned();
        let plain = Plain::new(&url, timeout)?;
        let settings = SrSettings::new_builder(url.clone())
            .set_timeout(timeout)
            .no_proxy()
            .build()
            .map_err(|error| RegistryError::Settings { url, cause: cause_of(&error) })?;
        Ok(Self { settings, plain })
    }

    pub(super) async fn schema(&self, key: SchemaKey) -> Result<Fetched, Lookup> {
        let found = match key {
            SchemaKey::Id(id) => rest::get_schema_by_id(id, &self.settings).await,
            SchemaKey::Guid(guid) => {
                rest::get_schema_by_guid(&guid.to_string(), &self.settings).await
            }
        };
        let found = found.map_err(|error| lookup_of(classify(&error)))?;
        if found.schema_type != SchemaType::Avro {
            let detail = format!("its type is {:?}", found.schema_type);
            return Err(Lookup::Flawed(SchemaFlaw::NotAvro { detail }));
        }
        let references = self.references(&found).await.map_err(Lookup::Trouble)?;
        Ok(Fetched { text: found.schema, references })
    }

    /// Everything it refers to, deepest first, each once.
    async fn references(&self, schema: &RegisteredSchema) -> Result<Vec<String>, RegistryError> {
        let mut wanted: Vec<RegisteredReference> = schema.references.clone();
        let mut found: Vec<(String, String)> = Vec::new();
        let mut calls = 0;
        while let Some(reference) = wanted.pop() {
            calls += 1;
            if calls > REFERENCES_MAX {
                return Err(RegistryError::TooManyReferences { max: REFERENCES_MAX });
            }
            let referenced = rest::get_referenced_schema(&self.settings, &reference)
                .await
                .map_err(|error| classify(&error))?;
            // What is referred to again moves behind its newest user; the list is reversed below.
            found.retain(|(name, _)| *name != reference.name);
            found.push((reference.name, referenced.schema));
            wanted.extend(referenced.references);
        }
        found.reverse();
        Ok(found.into_iter().map(|(_, text)| text).collect())
    }

    /// Where a schema stands. `None` when this registry has no answer to the question.
    pub(super) async fn subjects_of(
        &self,
        key: SchemaKey,
    ) -> Result<Option<Vec<String>>, RegistryError> {
        match key {
            SchemaKey::Id(id) => self.plain.subjects_of(id).await,
            SchemaKey::Guid(guid) => self.plain.subjects_of_guid(guid).await,
        }
    }

    pub(super) async fn register(&self, subject: &str, text: &str) -> Result<u32, RegistryError> {
        let schema = SuppliedSchema::new(None, SchemaType::Avro, text.to_owned());
        rest::post_schema(&self.settings, subject.to_owned(), schema)
            .await
            .map(|registered| registered.id)
            .map_err(|error| classify(&error))
    }

    pub(super) async fn subjects(&self) -> Result<(), RegistryError> {
        rest::get_all_subjects(&self.settings).await.map(drop).map_err(|error| classify(&error))
    }
}

fn lookup_of(error: RegistryError) -> Lookup {
    if matches!(error, RegistryError::Refused { code: SCHEMA_NOT_FOUND, .. }) {
        Lookup::Unknown
    } else {
        Lookup::Trouble(error)
    }
}

/// Refused when the registry spoke in its own error format; anything else means that it could not be asked.
fn classify(error: &SRCError) -> RegistryError {
    match error.source().and_then(|cause| cause.downcast_ref::<RawError>()) {
        Some(raw) if raw.error_code != 0 => {
            RegistryError::Refused { code: raw.error_code, message: raw.message.clone() }
        }
        Some(_) | None => RegistryError::Unavailable { cause: cause_of(error) },
    }
}

/// The error and what lies under it, on one line.
fn cause_of(error: &SRCError) -> String {
    let mut text = error.error.clone();
    let mut cause = error.source();
    while let Some(inner) = cause {
        text = format!("{text}: {inner}");
        cause = inner.source();
    }
    text
}
