//! The aggregator's way to the store: one connection, and any error ends it.

use std::time::Duration;

use bytes::Bytes;
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, Pipeline, Value, cmd, pipe};
use upnext_common::config;
use upnext_common::item::ItemHash;

use crate::changed::{FIELD, IDS_PER_ENTRY, pack};
use crate::functions::{self, ADVANCE, PUT_NEWER};
use crate::keys::{Keys, Stage};
use crate::{StoreError, Watermark};

/// A partition and the watermark its owner last saw; `None`: there was none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owned {
    pub stage: Stage,
    pub partition: i32,
    pub watermark: Option<Watermark>,
}

/// What one flush writes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Flush {
    /// Keys and blobs, each with its position at [`crate::POSITION_AT`].
    pub blobs: Vec<(String, Vec<u8>)>,
    /// Items for the stream of changes.
    pub changed: Vec<ItemHash>,
    /// Whether blobs are put though what is stored may be newer: for negative controls only.
    #[doc(hidden)]
    pub is_forced: bool,
    /// The watermark that is true once the blobs are stored.
    pub watermark: Watermark,
}

/// What became of a flush.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flushed {
    /// Blobs that were newer than the stored ones.
    pub stored: usize,
    /// Blobs the store knew as much or more of.
    pub skipped: usize,
}

/// One connection. It is never re-established: a reconnect could hide that the store lost writes, and its owner
/// has to start over from the stored watermark. After any error, drop it.
pub struct Session {
    connection: MultiplexedConnection,
    keys: Keys,
    changed_entries_max: usize,
}

impl Session {
    /// Connects and makes sure that the store knows our functions. `changed_max` caps the stream of changed items.
    ///
    /// # Errors
    /// When the address is none, or nobody (or nobody like Redis 7) answers there.
    pub async fn connect(
        url: &str,
        redis: &config::Redis,
        changed_max: usize,
    ) -> Result<Self, StoreError> {
        let limit = Duration::from_millis(redis.write_timeout_ms);
        let settings = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(limit))
            .set_response_timeout(Some(limit));
        let client = open(url)?;
        let mut connection = client.get_multiplexed_async_connection_with_config(&settings).await?;
        functions::load(&mut connection).await?;
        let changed_entries_max = (changed_max / IDS_PER_ENTRY).max(1);
        Ok(Self { connection, keys: Keys::new(&redis.key_prefix), changed_entries_max })
    }

    #[must_use]
    pub fn keys(&self) -> &Keys {
        &self.keys
    }

    /// The watermark as it is stored.
    ///
    /// # Errors
    /// Any ends the session.
    pub async fn watermark(
        &mut self,
        stage: Stage,
        partition: i32,
    ) -> Result<Option<Watermark>, StoreError> {
        let key = self.keys.watermark(stage, partition);
        let text: Option<String> = cmd("GET").arg(key).query_async(&mut self.connection).await?;
        text.map(|text| parse(&text)).transpose()
    }

    /// The blobs under `keys`, read before the watermark is seen to be unchanged: what was absent because the
    /// store lost it never passes for new.
    ///
    /// # Errors
    /// Any ends the session; [`StoreError::Conflict`] when the watermark is not the owner's.
    pub async fn blobs(
        &mut self,
        keys: &[String],
        owned: &Owned,
    ) -> Result<Vec<Option<Bytes>>, StoreError> {
        let mut calls = pipe();
        for key in keys {
            calls.cmd("GET").arg(key);
        }
        calls.cmd("GET").arg(self.keys.watermark(owned.stage, owned.partition));
        let mut found: Vec<Option<Vec<u8>>> = calls.query_async(&mut self.connection).await?;
        let stored = found.pop().flatten().unwrap_or_default();
        if stored != text_of(owned.watermark.as_ref()).as_bytes() {
            return Err(StoreError::Conflict);
        }
        Ok(found.into_iter().map(|blob| blob.map(Bytes::from)).collect())
    }

    /// Stores the blobs that are newer, notes what changed, then moves the watermark on: in this order, on this
    /// connection, so that a stored watermark implies its blobs.
    ///
    /// # Errors
    /// Any ends the session, and what was stored is unknown; [`StoreError::Conflict`] when the watermark is not the
    /// owner's.
    pub async fn flush(&mut self, flush: &Flush, owned: &Owned) -> Result<Flushed, StoreError> {
        let mut calls = pipe();
        for (key, blob) in &flush.blobs {
            if flush.is_forced {
                calls.cmd("SET").arg(key).arg(blob);
            } else {
                calls.cmd("FCALL").arg(PUT_NEWER).arg(1).arg(key).arg(blob);
            }
        }
        self.note_changed(&mut calls, &flush.changed);
        let key = self.keys.watermark(owned.stage, owned.partition);
        let old = text_of(owned.watermark.as_ref());
        calls.cmd("FCALL").arg(ADVANCE).arg(1).arg(key).arg(old).arg(flush.watermark.to_string());
        let replies: Vec<Value> = calls.query_async(&mut self.connection).await?;
        if replies.last() != Some(&Value::Int(1)) {
            return Err(StoreError::Conflict);
        }
        let puts = replies.iter().take(flush.blobs.len());
        let stored = puts.filter(|reply| **reply == Value::Int(1)).count();
        Ok(Flushed { stored, skipped: flush.blobs.len() - stored })
    }

    fn note_changed(&self, calls: &mut Pipeline, changed: &[ItemHash]) {
        for items in changed.chunks(IDS_PER_ENTRY) {
            calls
                .cmd("XADD")
                .arg(self.keys.changed_items())
                .arg("MAXLEN")
                .arg("~")
                .arg(self.changed_entries_max)
                .arg("*")
                .arg(FIELD)
                .arg(pack(items));
        }
    }
}

pub(crate) fn open(url: &str) -> Result<Client, StoreError> {
    Client::open(url)
        .map_err(|cause| StoreError::Url { url: url.to_owned(), cause: cause.to_string() })
}

pub(crate) fn parse(text: &str) -> Result<Watermark, StoreError> {
    text.parse().map_err(|cause: crate::MalformedWatermark| StoreError::Malformed {
        cause: cause.to_string(),
    })
}

/// An absent watermark is the empty text to the store's functions.
fn text_of(watermark: Option<&Watermark>) -> String {
    watermark.map(ToString::to_string).unwrap_or_default()
}
