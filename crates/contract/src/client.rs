//! The schema registry as we use it: look-ups by id behind bounded caches, registration, and a clear line between
//! "there is no such schema" and "the registry is in trouble".

use std::collections::{HashMap, VecDeque};
use std::hash::Hash;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use upnext_common::clock::Clock;
use upnext_common::config;
use upnext_common::fault::Fault;

use crate::framing::SchemaKey;
use crate::writer_schema::{SchemaFlaw, WriterSchema};

mod call;

use call::Call;

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
}

impl RegistryError {
    #[must_use]
    pub fn fault(&self) -> Fault {
        match self {
            Self::Settings { .. } => Fault::CALLER,
            Self::Unavailable { .. } | Self::TooManyReferences { .. } => Fault::UPSTREAM,
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
    /// One look-up at a time: an outage costs one waiting call, not one per partition.
    turn: tokio::sync::Mutex<()>,
    negative_ttl: Duration,
}

/// How long trouble is remembered, so that a failing registry is asked a few times a second only.
const TROUBLE_TTL: Duration = Duration::from_millis(250);

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
        let call = Call::new(url, Duration::from_millis(settings.timeout_ms))?;
        let max = settings.cached_schemas_max.max(1);
        Ok(Self {
            call,
            clock,
            known: Mutex::new(Bounded::new(max)),
            failed: Mutex::new(Bounded::new(max)),
            turn: tokio::sync::Mutex::new(()),
            negative_ttl: Duration::from_millis(settings.negative_ttl_ms),
        })
    }

    /// The schema of an id or GUID, from memory where it is known.
    ///
    /// # Errors
    /// When there is none, when it is refused, or when the registry could not say.
    pub async fn schema(&self, key: impl Into<SchemaKey>) -> Result<Arc<WriterSchema>, Lookup> {
        let key = key.into();
        if let Some(found) = self.remembered(key) {
            return found;
        }
        let turn = self.turn.lock().await;
        if let Some(found) = self.remembered(key) {
            return found;
        }
        let found = self.look_up(key).await;
        self.remember(key, &found);
        drop(turn);
        found
    }

    /// Asks once under which subjects a schema stands, soft-deleted ones too, and notes them in it.
    ///
    /// # Errors
    /// When the registry could not say. A registry that does not know the question answers nothing, which is noted.
    pub async fn find_subjects(&self, schema: &WriterSchema) -> Result<(), RegistryError> {
        if schema.subjects().is_some() {
            return Ok(());
        }
        let turn = self.turn.lock().await;
        if schema.subjects().is_none() {
            schema.note_subjects(self.call.subjects_of(schema.key()).await?);
        }
        drop(turn);
        Ok(())
    }

    /// Registers a schema and returns its id; the same text gives the same id.
    ///
    /// # Errors
    /// When the registry refuses (incompatible, invalid) or does not answer.
    pub async fn register(&self, subject: &str, text: &str) -> Result<u32, RegistryError> {
        self.call.register(subject, text).await
    }

    /// Whether the registry answers at all.
    pub async fn is_reachable(&self) -> bool {
        self.call.subjects().await.is_ok()
    }

    fn remembered(&self, key: SchemaKey) -> Option<Found> {
        if let Some(schema) = self.known.lock().get(&key) {
            return Some(Ok(Arc::clone(schema)));
        }
        let failed = self.failed.lock();
        let (lookup, until) = failed.get(&key)?;
        if self.clock.instant() < *until { Some(Err(lookup.clone())) } else { None }
    }

    fn remember(&self, key: SchemaKey, found: &Found) {
        match found {
            Ok(schema) => self.known.lock().put(key, Arc::clone(schema)),
            Err(lookup) => {
                let ttl = match lookup {
                    Lookup::Unknown | Lookup::Flawed(_) => self.negative_ttl,
                    Lookup::Trouble(_) => TROUBLE_TTL.min(self.negative_ttl),
                };
                self.failed.lock().put(key, (lookup.clone(), self.clock.instant() + ttl));
            }
        }
    }

    async fn look_up(&self, key: SchemaKey) -> Found {
        let fetched = self.call.schema(key).await?;
        WriterSchema::parse(key, &fetched.text, &fetched.references)
            .map(Arc::new)
            .map_err(Lookup::Flawed)
    }
}

/// A map that forgets its oldest entry when it is full.
struct Bounded<K, V> {
    max: usize,
    entries: HashMap<K, V>,
    order: VecDeque<K>,
}

impl<K: Copy + Eq + Hash, V> Bounded<K, V> {
    fn new(max: usize) -> Self {
        Self { max, entries: HashMap::new(), order: VecDeque::new() }
    }

    fn get(&self, key: &K) -> Option<&V> {
        self.entries.get(key)
    }

    fn put(&mut self, key: K, value: V) {
        if self.entries.insert(key, value).is_some() {
            return;
        }
        self.order.push_back(key);
        if self.order.len() > self.max
            && let Some(oldest) = self.order.pop_front()
        {
            self.entries.remove(&oldest);
        }
    }
}

#[cfg(test)]
mod tests;
