//! Serving's way to the store: never in the way, back by itself.

use std::time::Duration;

use bytes::Bytes;
use redis::{Value, pipe};
use upnext_common::clock::Clock;
use upnext_common::config;
use upnext_common::deadline::Deadline;
use upnext_common::event::Subject;
use upnext_common::item::ItemHash;

use crate::changed::{Changed, entries, place};
use crate::keys::{Keys, Stage};
use crate::line::Line;
use crate::session::{open, parse};
use crate::{StoreError, Watermark};

/// Longest wait of what no request waits for: scans, changes, watermarks.
const BULK_LIMIT: Duration = Duration::from_secs(2);
/// Keys asked for in one step of a scan; about how many items come in one batch.
const SCAN_KEYS: usize = 1_000;
/// Entries of changes taken at once.
const CHANGES_MAX: usize = 1_000;
/// Pause between two looks at the stream of changes.
const CHANGES_POLL: Duration = Duration::from_millis(20);

/// Reads under a deadline over one connection, everything else over a second one.
pub struct Reader {
    reads: Line,
    bulk: Line,
    keys: Keys,
    clock: Clock,
    read_limit: Duration,
}

impl Reader {
    /// Starts to connect in the background; a store that is away is no error. Needs a tokio runtime.
    ///
    /// # Errors
    /// When `url` is not an address.
    pub fn connect(url: &str, redis: &config::Redis, clock: Clock) -> Result<Self, StoreError> {
        let client = open(url)?;
        Ok(Self {
            reads: Line::open(client.clone()),
            bulk: Line::open(client),
            keys: Keys::new(&redis.key_prefix),
            clock,
            read_limit: Duration::from_millis(redis.read_timeout_ms),
        })
    }

    /// Whether the next read would be sent at all.
    #[must_use]
    pub fn is_up(&self) -> bool {
        self.reads.is_up()
    }

    /// The encoded states of users, in order; `None` for those nobody has seen. One round trip, at most the
    /// configured read timeout and never past the deadline.
    ///
    /// # Errors
    /// [`StoreError::Timeout`], [`StoreError::Unavailable`] or [`StoreError::BreakerOpen`].
    pub async fn users(
        &self,
        subjects: &[Subject<'_>],
        deadline: Deadline,
    ) -> Result<Vec<Option<Bytes>>, StoreError> {
        let keys = subjects.iter().map(|subject| self.keys.user(*subject)).collect();
        self.blobs(keys, deadline).await
    }

    /// The encoded states of items, in order. As [`Self::users`].
    ///
    /// # Errors
    /// As [`Self::users`].
    pub async fn items(
        &self,
        items: &[ItemHash],
        deadline: Deadline,
    ) -> Result<Vec<Option<Bytes>>, StoreError> {
        let keys = items.iter().map(|item| self.keys.item(*item)).collect();
        self.blobs(keys, deadline).await
    }

    async fn blobs(
        &self,
        keys: Vec<String>,
        deadline: Deadline,
    ) -> Result<Vec<Option<Bytes>>, StoreError> {
        let left = deadline.left(self.clock.instant());
        if keys.is_empty() || left.is_zero() {
            return if keys.is_empty() { Ok(Vec::new()) } else { Err(StoreError::Timeout) };
        }
        let limit = left.min(self.read_limit);
        read(&self.reads, &keys, limit, limit == self.read_limit).await
    }

    /// The encoded states of items for the columns of serving: off the request path, so without its deadline.
    ///
    /// # Errors
    /// As [`Self::users`].
    pub async fn refresh(&self, items: &[ItemHash]) -> Result<Vec<Option<Bytes>>, StoreError> {
        let keys: Vec<String> = items.iter().map(|item| self.keys.item(*item)).collect();
        if keys.is_empty() {
            Ok(Vec::new())
        } else {
            read(&self.bulk, &keys, BULK_LIMIT, true).await
        }
    }

    /// Hands every item to `on_batch`, some of them perhaps twice. Returns how many there were.
    ///
    /// # Errors
    /// As [`Self::users`]; what came before has been handed on.
    pub async fn all_items(
        &self,
        mut on_batch: impl FnMut(Vec<(ItemHash, Bytes)>),
    ) -> Result<usize, StoreError> {
        let mut cursor = 0_u64;
        let mut count = 0;
        loop {
            let mut scan = pipe();
            let pattern = self.keys.items_pattern();
            scan.cmd("SCAN").arg(cursor).arg("MATCH").arg(pattern).arg("COUNT").arg(SCAN_KEYS);
            let ((next, keys),): ((u64, Vec<String>),) =
                self.bulk.call(&scan, BULK_LIMIT, true).await?;
            let known = keys.iter().filter_map(|key| self.keys.item_of(key)).collect::<Vec<_>>();
            let blobs = self.refresh(&known).await?;
            let pairs = known.into_iter().zip(blobs);
            let batch: Vec<_> = pairs.filter_map(|(item, blob)| Some((item, blob?))).collect();
            count += batch.len();
            if !batch.is_empty() {
                on_batch(batch);
            }
            if next == 0 {
                return Ok(count);
            }
            cursor = next;
        }
    }

    /// The newest place in the stream of changes: take it before reading all items, then ask for changes since.
    ///
    /// # Errors
    /// As [`Self::users`].
    pub async fn changes_head(&self) -> Result<String, StoreError> {
        let mut calls = pipe();
        calls.cmd("XREVRANGE").arg(self.keys.changed_items()).arg("+").arg("-").arg("COUNT").arg(1);
        let (reply,): (Value,) = self.bulk.call(&calls, BULK_LIMIT, true).await?;
        let newest = entries(&reply).into_iter().next();
        Ok(newest.map_or_else(|| "0-0".to_owned(), |(id, _)| id))
    }

    /// What changed after the place `last`, waiting up to `wait` for something to.
    ///
    /// # Errors
    /// As [`Self::users`].
    pub async fn changed_since(&self, last: &str, wait: Duration) -> Result<Changed, StoreError> {
        let until = Deadline::after(self.clock.instant(), wait);
        loop {
            let changed = self.changes_after(last).await?;
            let is_over = until.has_passed(self.clock.instant());
            if is_over || changed.has_gap || !changed.items.is_empty() {
                return Ok(changed);
            }
            tokio::time::sleep(CHANGES_POLL).await;
        }
    }

    async fn changes_after(&self, last: &str) -> Result<Changed, StoreError> {
        let key = self.keys.changed_items();
        let mut calls = pipe();
        calls.cmd("XRANGE").arg(&key).arg("-").arg("+").arg("COUNT").arg(1);
        let after = format!("({last}");
        calls.cmd("XRANGE").arg(&key).arg(after).arg("+").arg("COUNT").arg(CHANGES_MAX);
        let (oldest, newer): (Value, Value) = self.bulk.call(&calls, BULK_LIMIT, true).await?;
        let oldest = entries(&oldest).into_iter().next().and_then(|(id, _)| place(&id));
        let asked = place(last);
        // Whoever asks from the very beginning has read nothing that could have been followed by a gap.
        let has_gap = asked > Some((0, 0)) && oldest > asked;
        let newer = entries(&newer);
        let next = newer.last().map_or_else(|| last.to_owned(), |(id, _)| id.clone());
        Ok(Changed {
            items: newer.into_iter().flat_map(|(_, items)| items).collect(),
            next,
            has_gap,
        })
    }

    /// How far a partition of a stage has been applied; `None` before its first flush.
    ///
    /// # Errors
    /// As [`Self::users`], or [`StoreError::Malformed`].
    pub async fn watermark(
        &self,
        stage: Stage,
        partition: i32,
    ) -> Result<Option<Watermark>, StoreError> {
        let mut calls = pipe();
        calls.cmd("GET").arg(self.keys.watermark(stage, partition));
        let (text,): (Option<String>,) = self.bulk.call(&calls, BULK_LIMIT, true).await?;
        text.map(|text| parse(&text)).transpose()
    }
}

async fn read(
    line: &Line,
    keys: &[String],
    limit: Duration,
    is_whole_wait: bool,
) -> Result<Vec<Option<Bytes>>, StoreError> {
    let mut calls = pipe();
    for key in keys {
        calls.cmd("GET").arg(key);
    }
    let blobs: Vec<Option<Vec<u8>>> = line.call(&calls, limit, is_whole_wait).await?;
    Ok(blobs.into_iter().map(|blob| blob.map(Bytes::from)).collect())
}
