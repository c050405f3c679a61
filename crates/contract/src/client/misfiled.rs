//! Schemas that stand under foreign subjects only: their verdict may change, since somebody may register them under
//! their own. So they are not known for ever, but for as long as a "no" is believed.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use upnext_common::clock::Clock;

use super::bounded::Bounded;
use crate::framing::SchemaKey;
use crate::writer_schema::WriterSchema;

pub(super) struct Known {
    schemas: Bounded<SchemaKey, Arc<WriterSchema>>,
    /// Until when a misfiled one is believed to be; only of those that are known.
    believed: HashMap<SchemaKey, Instant>,
    ttl: Duration,
}

impl Known {
    pub(super) fn new(max: usize, ttl: Duration) -> Self {
        Self { schemas: Bounded::new(max), believed: HashMap::new(), ttl }
    }

    pub(super) fn put(&mut self, key: SchemaKey, schema: Arc<WriterSchema>) {
        self.schemas.put(key, schema);
        self.believed.retain(|key, _| self.schemas.get(key).is_some());
    }

    pub(super) fn keys(&self) -> impl Iterator<Item = &SchemaKey> {
        self.schemas.entries.keys()
    }

    /// What is known under the key, unless it is worth asking again.
    pub(super) fn get(&mut self, key: SchemaKey, clock: &Clock) -> Option<Arc<WriterSchema>> {
        let schema = self.schemas.get(&key)?;
        if schema.is_misfiled() {
            let now = clock.instant();
            let until = *self.believed.entry(key).or_insert(now + self.ttl);
            if now > until {
                self.believed.remove(&key);
                self.schemas.remove(&key);
                return None;
            }
        }
        Some(Arc::clone(schema))
    }
}
