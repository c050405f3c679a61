//! The schema registry as we use it: look-ups behind bounded caches, registration, and a clear line between "there is
//! no such schema" and "the registry is in trouble".
//!
//! Nothing that arrives can make it ask often (`budget`), remember much, or believe a "no" too early (`absence`). What
//! was learned once is kept on disk (`files`) and serves while the registry is away.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tracing::warn;
use upnext_common::clock::Clock;
use upnext_common::config;
use upnext_common::fault::Fault;

use crate::framing::SchemaKey;
use crate::writer_schema::{SchemaFlaw, Standing, WriterSchema};

mod bounded;
mod transport;
mod budget;
mod call;
mod absence;
mod files;
mod subjects;

pub use absence::Need;

use absence::{Absences, Patience, Word};
use bounded::Bounded;
use call::{Call, Fetched};
use files::{Files, Kept};

/// The registry did not do what was asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RegistryError {
    #[error("the registry at {url} cannot be used: {cause}")]
    Settings { url: String, cause: String },
    #[error("the registry does not answer: {cause}")]
    Unavailable { cause: String },
    #[error("the registry answered {code}: {message}")]
    Refused { code: u32, message: String },
    #[error("a schema the registry gave refers to more than {max} others")]
    TooManyReferences { max: usize },
    /// It said so, but too soon after the record came to be believed.
    #[error("the registry does not know it yet")]
    NotYetKnown,
}

impl RegistryError {
    #[must_use]
    pub fn fault(&self) -> Fault {
        match self {
            Self::Settings { .. } => Fault::CALLER,
            Self::Unavailable { .. } | Self::TooManyReferences { .. } | Self::NotYetKnown => {
                Fault::UPSTREAM
            }
            Self::Refused { code, .. } => match code {
                409 | 422 | 40_900..=40_999 | 42_200..=42_299 => Fault::CALLER,
                _ => Fault::UPSTREAM,
            },
        }
    }
}

/// Why there is no schema for an id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lookup {
    /// The registry answered: no schema has this id.
    Unknown,
    /// The registry has it, and nothing is decoded with it.
    Flawed(SchemaFlaw),
    /// The registry could not say. Retry.
    Trouble(RegistryError),
}

type Found = Result<Arc<WriterSchema>, Lookup>;

/// Shared by everything in the process that reads or writes framed values.
pub struct RegistryClient {
    call: Call,
    clock: Clock,
    known: Mutex<Bounded<SchemaKey, Arc<WriterSchema>>>,
    failed: Mutex<Bounded<SchemaKey, (Lookup, Instant)>>,
    absent: Mutex<Absences>,
    /// One look-up at a time: an outage costs one waiting call, not one per partition.
    turn: tokio::sync::Mutex<()>,
    negative_ttl: Duration,
    files: Option<Files>,
    /// Until when the last trouble counts as going on, so that what is on disk need not wait for a call to fail.
    trouble_until: Mutex<Option<Instant>>,
    url: String,
    files_max: usize,
}

/// How long trouble with one id is remembered, so that a failing registry is asked a few times a second only.
const TROUBLE_TTL: Duration = Duration::from_millis(250);
/// How long trouble with any id is taken for trouble with all that are known on disk.
const OUTAGE_TTL: Duration = Duration::from_secs(5);

impl RegistryClient {
    /// Does not connect yet.
    ///
    /// # Errors
    /// When the URL or the settings cannot be used.
    pub fn new(
        url: &str,
        settings: &config::Registry,
        clock: Clock,
    ) -> Result<Self, RegistryError> {
        let timeout = Duration::from_millis(settings.timeout_ms);
        let call = Call::new(url, timeout, clock.clone())?;
        Ok(Self::over(call, url, settings, clock))
    }

    fn over(call: Call, url: &str, settings: &config::Registry, clock: Clock) -> Self {
        let max = settings.cached_schemas_max.max(1);
        let negative_ttl = Duration::from_millis(settings.negative_ttl_ms);
        let grace = Duration::from_millis(settings.unknown_grace_ms);
        Self {
            call,
            clock,
            known: Mutex::new(Bounded::new(max)),
            failed: Mutex::new(Bounded::new(max)),
            absent: Mutex::new(Absences::new(Patience { grace, ttl: negative_ttl })),
            turn: tokio::sync::Mutex::new(()),
            negative_ttl,
            files: None,
            trouble_until: Mutex::new(None),
            url: url.to_owned(),
            files_max: max,
        }
    }

    /// Keeps what it learns under `data_dir`, and goes by that while the registry is away.
    #[must_use]
    pub fn with_files(mut self, data_dir: &Path) -> Self {
        match Files::open(data_dir, &self.url, self.files_max) {
            Ok(files) => self.files = Some(files),
            Err(error) => warn!(%error, path = %data_dir.display(), "schemas are not kept on disk"),
        }
        self
    }

    /// The schema of an id or GUID, from memory where it is known.
    ///
    /// # Errors
    /// When there is none, when it is refused, or when the registry could not say.
    pub async fn schema(&self, key: impl Into<SchemaKey>) -> Result<Arc<WriterSchema>, Lookup> {
        self.found(key.into(), None).await
    }

    pub(crate) fn in_memory(&self, key: SchemaKey) -> Option<Arc<WriterSchema>> {
        self.known.lock().get(&key).map(Arc::clone)
    }

    pub(crate) async fn found(&self, key: SchemaKey, need: Option<Need>) -> Found {
        // The way of nearly every record: nothing but a look into a map.
        if let Some(schema) = self.in_memory(key) {
            return Ok(schema);
        }
        let now = self.clock.instant();
        self.schema_for(key, need.unwrap_or(Need { since: now, is_redriven: false })).await
    }

    /// As [`Self::schema`], for a record of which more is known.
    ///
    /// # Errors
    /// As [`Self::schema`]; trouble with [`RegistryError::NotYetKnown`] while an absent id is not believed yet.
    pub async fn schema_for(
        &self,
        key: impl Into<SchemaKey>,
        need: Need,
    ) -> Result<Arc<WriterSchema>, Lookup> {
        let key = key.into();
        if let Some(found) = self.remembered(key, need) {
            return found;
        }
        let turn = self.turn.lock().await;
        let found = match self.remembered(key, need) {
            Some(found) => found,
            None => self.ask(key, need).await,
        };
        drop(turn);
        found
    }

    /// Registers a schema and returns its id; the same text gives the same id. While the registry is away, the id it
    /// gave before, where that is kept on disk.
    ///
    /// # Errors
    /// When the registry refuses (incompatible, invalid) or does not answer.
    pub async fn register(&self, subject: &str, text: &str) -> Result<u32, RegistryError> {
        let kept = self.files.as_ref().and_then(|files| files.registered(subject, text));
        if let Some(id) = kept
            && self.is_in_trouble()
        {
            return Ok(id);
        }
        match (self.call.register(subject, text).await, kept) {
            (Ok(id), _) => {
                if let Some(files) = &self.files {
                    files.keep_registered(subject, text, id);
                }
                Ok(id)
            }
            (Err(error), Some(id)) if error.fault().may_retry() => {
                warn!(%error, subject, id, "not registered now, goes on with the id it had");
                self.note_trouble();
                Ok(id)
            }
            (Err(error), _) => Err(error),
        }
    }

    /// Whether the registry answers at all.
    pub async fn is_reachable(&self) -> bool {
        self.call.subjects().await.is_ok()
    }

    /// What it takes to parse a schema again elsewhere; asks where it is not kept on disk.
    ///
    /// # Errors
    /// As [`Self::schema`].
    pub async fn source(&self, key: SchemaKey, need: Need) -> Result<SchemaSource, Lookup> {
        if let Some(kept) = self.files.as_ref().and_then(|files| files.schema(key)) {
            return Ok(SchemaSource { text: kept.text, references: kept.references });
        }
        // So that what is absent is absent by the same rule.
        let word = self.absent.lock().word_on(key, need, self.clock.instant());
        if word != Word::Ask {
            self.schema_for(key, need).await?;
        }
        let Fetched { text, references } = self.call.schema(key).await?;
        Ok(SchemaSource { text, references })
    }

    /// Takes a schema for known, without the registry.
    ///
    /// # Errors
    /// When nothing may be decoded with it.
    pub fn learn(&self, key: SchemaKey, source: &SchemaSource) -> Result<(), SchemaFlaw> {
        let schema = WriterSchema::parse(key, &source.text, &source.references)?;
        let asked_at = Some(self.clock.instant());
        schema.note_standing(Standing { subjects: None, asked_at });
        self.known.lock().put(key, Arc::new(schema));
        Ok(())
    }

    fn remembered(&self, key: SchemaKey, need: Need) -> Option<Found> {
        let now = self.clock.instant();
        if let Some(schema) = self.known.lock().get(&key) {
            return Some(Ok(Arc::clone(schema)));
        }
        if let Some((lookup, until)) = self.failed.lock().get(&key)
            && now < *until
        {
            return Some(Err(lookup.clone()));
        }
        if self.is_in_trouble()
            && let Some(schema) = self.kept(key)
        {
            return Some(Ok(schema));
        }
        match self.absent.lock().word_on(key, need, now) {
            Word::Absent => Some(Err(Lookup::Unknown)),
            Word::Wait => Some(Err(not_yet())),
            Word::Ask | Word::List => None,
        }
    }

    /// Asks the registry. To be called in turn.
    async fn ask(&self, key: SchemaKey, need: Need) -> Found {
        let asked_at = self.clock.instant();
        if self.absent.lock().word_on(key, need, asked_at) == Word::List {
            self.list().await;
            if let Some(found) = self.remembered(key, need) {
                return found;
            }
        }
        let found = match self.call.schema(key).await {
            Ok(fetched) => self.take(key, &fetched),
            Err(lookup) => Err(lookup),
        };
        match &found {
            Ok(schema) => self.known.lock().put(key, Arc::clone(schema)),
            Err(Lookup::Unknown) => {
                let mut absent = self.absent.lock();
                absent.note(key, asked_at);
                if absent.word_on(key, need, asked_at) != Word::Absent {
                    return Err(not_yet());
                }
            }
            Err(lookup @ Lookup::Flawed(_)) => self.note_failure(key, lookup, self.negative_ttl),
            Err(lookup @ Lookup::Trouble(_)) => {
                self.note_trouble();
                if let Some(schema) = self.kept(key) {
                    warn!(%key, "the registry is away, goes on with the schema kept on disk");
                    return Ok(schema);
                }
                self.note_failure(key, lookup, TROUBLE_TTL.min(self.negative_ttl));
            }
        }
        found
    }

    fn take(&self, key: SchemaKey, fetched: &Fetched) -> Found {
        let schema =
            WriterSchema::parse(key, &fetched.text, &fetched.references).map_err(Lookup::Flawed)?;
        if let Some(files) = &self.files {
            files.keep(&Kept::new(key, fetched));
        }
        Ok(Arc::new(schema))
    }

    /// The schema as it is kept on disk, which is known from then on.
    fn kept(&self, key: SchemaKey) -> Option<Arc<WriterSchema>> {
        let kept = self.files.as_ref()?.schema(key)?;
        let schema = WriterSchema::parse(key, &kept.text, &kept.references).ok()?;
        if let Some(subjects) = kept.subjects {
            schema.note_standing(Standing { subjects, asked_at: None });
        }
        let schema = Arc::new(schema);
        self.known.lock().put(key, Arc::clone(&schema));
        Some(schema)
    }

    /// Asks for all ids. A list that lacks one we know is not the whole.
    async fn list(&self) {
        let asked_at = self.clock.instant();
        let listed = match self.call.ids().await {
            Ok(listed) => listed,
            Err(error) => {
                warn!(%error, "the registry's ids cannot be listed");
                None
            }
        };
        let known = self.known.lock();
        let mut ids = known.entries.keys().filter_map(|key| match key {
            SchemaKey::Id(id) => Some(id),
            SchemaKey::Guid(_) => None,
        });
        let whole = listed.filter(|listed| !listed.is_empty() && ids.all(|id| listed.contains(id)));
        self.absent.lock().note_listing(whole, asked_at);
    }

    fn note_failure(&self, key: SchemaKey, lookup: &Lookup, ttl: Duration) {
        self.failed.lock().put(key, (lookup.clone(), self.clock.instant() + ttl));
    }

    fn note_trouble(&self) {
        *self.trouble_until.lock() = Some(self.clock.instant() + OUTAGE_TTL);
    }

    fn is_in_trouble(&self) -> bool {
        self.trouble_until.lock().is_some_and(|until| self.clock.instant() < until)
    }
}

fn not_yet() -> Lookup {
    Lookup::Trouble(RegistryError::NotYetKnown)
}

/// A schema's text and those it refers to, each before its users.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SchemaSource {
    pub text: String,
    pub references: Vec<String>,
}

#[cfg(test)]
mod tests;
