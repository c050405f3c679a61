//! Serving's way to the store: never in the way, back by itself.

use std::time::Duration;

use bytes::Bytes;
use redis::{Pipeline, Value, from_redis_value};
use upnext_common::clock::Clock;
use upnext_common::config;
use upnext_common::deadline::Deadline;
use upnext_common::event::Subject;
use upnext_common::item::ItemHash;

use crate::address::Address;
use crate::bundle::Bundle;
use crate::changed::{Changed, Place, entries};
use crate::keys::{Keys, Stage};
use crate::lines::{Lines, Net, Use, Wait};
use crate::session::{blob, watermark};
use crate::{Owned, StoreError, Watermark};

/// Longest wait of what no request waits for: scans, changes, watermarks.
const BULK: Wait = Wait { of: Use::Bulk, limit: Duration::from_secs(2), is_whole: true };
/// Keys asked for in one step of a scan; about how many items come in one batch.
const SCAN_KEYS: usize = 1_000;
/// Entries of changes taken at once.
const CHANGES_MAX: usize = 1_000;
/// Pause between two looks at the stream of changes.
const CHANGES_POLL: Duration = Duration::from_millis(20);

/// Reads under a deadline over one connection per node, everything else over a second one.
pub struct Reader {
    lines: Lines,
    keys: Keys,
    clock: Clock,
    read_limit: Duration,
}

/// How far a walk through all keys has come. The default is the beginning.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cursor {
    /// The chart that the nodes are counted by; 0: not begun.
    net: u64,
    node: usize,
    at: u64,
}

impl Reader {
    /// Starts to connect in the background; a store that is away is no error. Needs a tokio runtime.
    ///
    /// # Errors
    /// When `url` is not an address, or the settings cannot be.
    pub fn connect(url: &str, redis: &config::Redis, clock: Clock) -> Result<Self, StoreError> {
        let keys = Keys::of(redis)?;
        Ok(Self {
            lines: Lines::open(Address::parse(url, &keys)?, keys.clone()),
            keys,
            clock,
            read_limit: Duration::from_millis(redis.read_timeout_ms),
        })
    }

    /// Whether the next read would be sent at all, whatever it asks for.
    #[must_use]
    pub fn is_up(&self) -> bool {
        self.lines.net().is_ok_and(|net| net.is_up())
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
        self.read(&keys, Wait { of: Use::Reads, limit, is_whole: limit == self.read_limit }).await
    }

    async fn read(&self, keys: &[String], wait: Wait) -> Result<Vec<Option<Bytes>>, StoreError> {
        let net = self.lines.net()?;
        let mut calls = Bundle::default();
        for key in keys {
            let seat = net.seat(self.keys.group_of(key).unwrap_or(0));
            calls.to(seat).cmd("GET").arg(key);
        }
        let replies = self.lines.call(&net, calls, wait).await?;
        Ok(replies.into_iter().map(blob).collect())
    }

    /// What no request waits for.
    async fn bulk(&self, net: &Net, calls: Bundle) -> Result<Vec<Value>, StoreError> {
        self.lines.call(net, calls, BULK).await
    }

    /// The encoded states of items for the columns of serving: off the request path, so without its deadline.
    ///
    /// # Errors
    /// As [`Self::users`].
    pub async fn refresh(&self, items: &[ItemHash]) -> Result<Vec<Option<Bytes>>, StoreError> {
        let keys: Vec<String> = items.iter().map(|item| self.keys.item(*item)).collect();
        self.stored(&keys).await
    }

    /// Hands every item to `on_batch`, some of them perhaps twice. Returns how many there were.
    ///
    /// # Errors
    /// As [`Self::users`]; what came before has been handed on.
    pub async fn all_items(
        &self,
        mut on_batch: impl FnMut(Vec<(ItemHash, Bytes)>),
    ) -> Result<usize, StoreError> {
        let (mut count, mut cursor) = (0, Some(Cursor::default()));
        while let Some(from) = cursor {
            let (next, keys) = self.scanned(Stage::Items, from).await?;
            let known = keys.iter().filter_map(|key| self.keys.item_of(key)).collect::<Vec<_>>();
            let blobs = self.refresh(&known).await?;
            let pairs = known.into_iter().zip(blobs);
            let batch: Vec<_> = pairs.filter_map(|(item, blob)| Some((item, blob?))).collect();
            count += batch.len();
            if !batch.is_empty() {
                on_batch(batch);
            }
            cursor = next;
        }
        Ok(count)
    }

    /// One step through the keys of a stage's states: where to go on (`None`: that was all) and the keys, some of
    /// them perhaps told twice. When the keys of a cluster have moved meanwhile, the walk goes on from the beginning:
    /// no node knows how far another one's keys were told.
    ///
    /// # Errors
    /// As [`Self::users`].
    pub async fn scanned(
        &self,
        stage: Stage,
        from: Cursor,
    ) -> Result<(Option<Cursor>, Vec<String>), StoreError> {
        let net = self.lines.net()?;
        let from = if from.net == net.number() {
            from
        } else {
            Cursor { net: net.number(), ..Cursor::default() }
        };
        let pattern = match stage {
            Stage::Users => self.keys.users_pattern(),
            Stage::Items => self.keys.items_pattern(),
        };
        let mut calls = Bundle::default();
        let scan = calls.to(from.node).cmd("SCAN").arg(from.at);
        scan.arg("MATCH").arg(pattern).arg("COUNT").arg(SCAN_KEYS);
        let reply = self.bulk(&net, calls).await?.pop().unwrap_or(Value::Nil);
        let malformed =
            |cause: redis::ParsingError| StoreError::Malformed { cause: cause.to_string() };
        let (at, keys): (u64, Vec<String>) = from_redis_value(reply).map_err(malformed)?;
        let next = match at {
            0 => {
                let next = Cursor { node: from.node + 1, at: 0, ..from };
                Some(next).filter(|next| next.node < net.nodes())
            }
            at => Some(Cursor { at, ..from }),
        };
        Ok((next, keys))
    }

    /// The blobs under these keys, in order: off the request path.
    ///
    /// # Errors
    /// As [`Self::users`].
    pub async fn stored(&self, keys: &[String]) -> Result<Vec<Option<Bytes>>, StoreError> {
        if keys.is_empty() { Ok(Vec::new()) } else { self.read(keys, BULK).await }
    }

    /// Removes keys; how many there were. For states that nobody reads any more.
    ///
    /// # Errors
    /// As [`Self::users`].
    pub async fn removed(&self, keys: &[String]) -> Result<u64, StoreError> {
        let net = self.lines.net()?;
        let mut calls = Bundle::default();
        for key in keys {
            calls.to(net.seat_of(key)?).cmd("UNLINK").arg(key);
        }
        let replies = self.bulk(&net, calls).await?;
        let count = |reply: Value| if let Value::Int(count) = reply { count } else { 0 };
        Ok(replies.into_iter().map(|reply| u64::try_from(count(reply)).unwrap_or(0)).sum())
    }

    #[must_use]
    pub fn keys(&self) -> &Keys {
        &self.keys
    }

    /// Whether any state stands here: the first thing that is recorded is how it is laid out.
    ///
    /// # Errors
    /// As [`Self::users`].
    pub async fn holds_state(&self) -> Result<bool, StoreError> {
        Ok(!self.layout(&*self.lines.net()?).await?.is_empty())
    }

    async fn layout(&self, net: &Net) -> Result<String, StoreError> {
        let key = self.keys.layout();
        let mut calls = Bundle::default();
        calls.to(net.seat_of(&key)?).cmd("GET").arg(key);
        let recorded = self.bulk(net, calls).await?.pop().and_then(blob).unwrap_or_default();
        Ok(String::from_utf8_lossy(&recorded).into_owned())
    }

    /// Whether state, if there is any, is stored in as many key groups as are configured here.
    async fn check_layout(&self, net: &Net) -> Result<(), StoreError> {
        let recorded = self.layout(net).await?;
        let wanted = format!("groups={}", self.keys.groups());
        if recorded.is_empty() || recorded.split(' ').next() == Some(&wanted) {
            Ok(())
        } else {
            Err(StoreError::Layout { recorded, wanted })
        }
    }

    /// The newest place in the streams of changes: take it before reading all items, then ask for changes since.
    ///
    /// # Errors
    /// As [`Self::users`]; [`StoreError::Layout`] when state is stored in another number of key groups, so that nothing
    /// would be found here.
    pub async fn changes_head(&self) -> Result<Place, StoreError> {
        let net = self.lines.net()?;
        self.check_layout(&net).await?;
        let mut calls = Bundle::default();
        for group in 0..self.keys.groups() {
            newest(calls.to(net.seat(group)), &self.keys.changed_items(group));
        }
        let mut head = Place::default();
        for (group, reply) in (0..).zip(self.bulk(&net, calls).await?) {
            if let Some((place, _)) = entries(&reply).pop() {
                head.set(group, place);
            }
        }
        Ok(head)
    }

    /// What changed after the place `last`, waiting up to `wait` for something to.
    ///
    /// # Errors
    /// As [`Self::users`].
    pub async fn changed_since(&self, last: &Place, wait: Duration) -> Result<Changed, StoreError> {
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

    async fn changes_after(&self, last: &Place) -> Result<Changed, StoreError> {
        let net = self.lines.net()?;
        let mut calls = Bundle::default();
        for group in 0..self.keys.groups() {
            let (seat, key) = (net.seat(group), self.keys.changed_items(group));
            calls.to(seat).cmd("XRANGE").arg(&key).arg("-").arg("+").arg("COUNT").arg(1);
            let (ms, number) = last.of(group);
            let after = format!("({ms}-{number}");
            calls
                .to(seat)
                .cmd("XRANGE")
                .arg(&key)
                .arg(after)
                .arg("+")
                .arg("COUNT")
                .arg(CHANGES_MAX);
            newest(calls.to(seat), &key);
        }
        let replies = self.bulk(&net, calls).await?;
        let mut changed = Changed { next: last.clone(), ..Changed::default() };
        for (group, replies) in (0..).zip(replies.chunks_exact(3)) {
            let asked = last.of(group);
            let end = |reply| entries(reply).pop().map(|(place, _)| place);
            let (oldest, newest) = (end(&replies[0]), end(&replies[2]));
            // Whoever asks from the very beginning has read nothing that could have been followed by a gap. A stream
            // that ends before what was read has lost its newest entries: what it says next may be overlooked.
            let is_behind = newest.is_some_and(|newest| newest < asked);
            changed.has_gap |= asked > (0, 0) && (oldest > Some(asked) || is_behind);
            for (place, items) in entries(&replies[1]) {
                changed.items.extend(items);
                changed.next.set(group, place);
            }
        }
        Ok(changed)
    }

    /// How far a partition of a stage has been applied, to the keys of all groups; `None` before its first flush.
    ///
    /// # Errors
    /// As [`Self::users`], or [`StoreError::Malformed`].
    pub async fn watermark(
        &self,
        stage: Stage,
        partition: i32,
    ) -> Result<Option<Watermark>, StoreError> {
        let net = self.lines.net()?;
        let mut calls = Bundle::default();
        for group in 0..self.keys.groups() {
            let key = self.keys.watermark(stage, partition, group);
            calls.to(net.seat(group)).cmd("GET").arg(key);
        }
        let replies = self.bulk(&net, calls).await?;
        let watermarks = replies.into_iter().map(watermark).collect::<Result<_, _>>()?;
        Ok(Owned { stage, partition, watermarks }.lowest().cloned())
    }
}

/// Asks a stream for its newest entry.
fn newest(calls: &mut Pipeline, key: &str) {
    calls.cmd("XREVRANGE").arg(key).arg("+").arg("-").arg("COUNT").arg(1);
}

#[cfg(test)]
mod tests {
    use upnext_testkit::Redis;

    use super::*;

    #[tokio::test]
    async fn a_walk_by_another_chart_goes_on_from_the_beginning() {
        let redis = Redis::start();
        assert!(redis.command("SET upnext:u:ann x").starts_with("+OK"));
        let settings = config::Redis::default();
        let reader = Reader::connect(&redis.url(), &settings, Clock::system()).unwrap();
        let bound = Duration::from_secs(30);
        // As a cluster that had more nodes would have left it.
        let from = Cursor { net: 7, node: 2, at: 40 };
        let found =
            upnext_testkit::wait_for(bound, async || reader.scanned(Stage::Users, from).await.ok());
        assert_eq!(found.await, (None, vec!["upnext:u:ann".to_owned()]));
    }
}
