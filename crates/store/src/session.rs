//! The aggregator's way to the store: one connection per node, and any error ends it.

use std::collections::BTreeSet;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::time::Duration;

use bytes::Bytes;
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, Value};
use upnext_common::config;
use upnext_common::item::ItemHash;

use crate::address::Address;
use crate::bundle::Bundle;
use crate::changed::{FIELD, IDS_PER_ENTRY, pack};
use crate::chart::Chart;
use crate::functions::{self, ADVANCE, PUT_NEWER};
use crate::keys::{Keys, Stage};
use crate::{Layout, Owned, StoreError, Watermark};

/// Blobs of one call: together at most half a megabyte, and stored in a fraction of a millisecond.
const PUTS_PER_CALL: usize = 64;

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

/// One connection to each node that has keys of ours. None is ever re-established: a reconnect could hide that the store
/// lost writes, and its owner has to start over from the stored watermarks. After any error, drop it. That another node has taken keys over is such an error.
pub struct Session {
    nodes: Vec<MultiplexedConnection>,
    /// The node of each key group.
    seats: Vec<usize>,
    /// The node of each slot, where there are several.
    chart: Option<Chart>,
    keys: Keys,
    changed_entries_max: usize,
    /// Of the newest flush: no other session's, and none of this one's before.
    claim: u64,
}

impl Session {
    /// Connects and makes sure that the store knows our functions. `changed_max` caps the streams of changed items.
    ///
    /// # Errors
    /// When the address is none, or nobody (or nobody like Redis 7) answers there.
    pub async fn connect(
        url: &str,
        redis: &config::Redis,
        changed_max: usize,
    ) -> Result<Self, StoreError> {
        let limit = Duration::from_millis(redis.write_timeout_ms);
        let keys = Keys::of(redis)?;
        let (clients, chart) = match Address::parse(url, &keys)? {
            Address::One(client) => (vec![client], None),
            Address::Cluster(nodes) => {
                let chart = Chart::read(&nodes, &[], limit).await?;
                let clients = chart.masters.iter().map(|master| nodes.client(master));
                (clients.collect::<Result<_, _>>()?, Some(chart))
            }
        };
        let seats = match &chart {
            Some(chart) => chart.groups(&keys)?,
            None => vec![0; keys.groups() as usize],
        };
        let mut nodes = Vec::with_capacity(clients.len());
        for client in clients {
            nodes.push(connected(&client, limit).await?);
        }
        let per_group = changed_max / IDS_PER_ENTRY / seats.len();
        let changed_entries_max = per_group.max(1);
        let claim = RandomState::new().build_hasher().finish();
        Ok(Self { nodes, seats, chart, keys, changed_entries_max, claim })
    }

    #[must_use]
    pub fn keys(&self) -> &Keys {
        &self.keys
    }

    /// Records the layout where none is recorded yet.
    ///
    /// # Errors
    /// Any ends the session; [`StoreError::Layout`] when another one is recorded.
    pub async fn agree(&mut self, valid: i32, signals: i32) -> Result<(), StoreError> {
        let wanted = Layout { groups: self.keys.groups(), valid, signals };
        let key = self.keys.layout();
        let node = self.chart.as_ref().map_or(Ok(0), |chart| chart.of(&key))?;
        let mut calls = Bundle::default();
        calls.to(node).cmd("SET").arg(&key).arg(wanted.to_string()).arg("NX");
        calls.to(node).cmd("GET").arg(&key);
        let replies = self.send(calls).await?;
        let recorded = replies.into_iter().next_back().and_then(text).unwrap_or_default();
        if recorded == wanted.to_string() {
            Ok(())
        } else {
            Err(StoreError::Layout { recorded, wanted: wanted.to_string() })
        }
    }

    /// The partition with its watermarks as they are stored.
    ///
    /// # Errors
    /// Any ends the session.
    pub async fn own(&mut self, stage: Stage, partition: i32) -> Result<Owned, StoreError> {
        let mut calls = Bundle::default();
        for (group, seat) in (0..).zip(&self.seats) {
            calls.to(*seat).cmd("GET").arg(self.keys.watermark(stage, partition, group));
        }
        let replies = self.send(calls).await?;
        let watermarks = replies.into_iter().map(watermark).collect::<Result<_, _>>()?;
        Ok(Owned { stage, partition, watermarks })
    }

    /// The blobs under `keys`, read before the watermarks of their groups are seen to be unchanged: what was absent
    /// because the store lost it never passes for new. With no keys, all watermarks are looked at.
    ///
    /// # Errors
    /// Any ends the session; [`StoreError::Conflict`] when a watermark is not the owner's.
    pub async fn blobs(
        &mut self,
        keys: &[String],
        owned: &Owned,
    ) -> Result<Vec<Option<Bytes>>, StoreError> {
        let mut calls = Bundle::default();
        let mut groups = BTreeSet::new();
        for key in keys {
            let group = self.keys.group_of(key).unwrap_or(0);
            groups.insert(group);
            calls.to(self.seat(group)).cmd("GET").arg(key);
        }
        if keys.is_empty() {
            groups = (0..self.keys.groups()).collect();
        }
        for group in &groups {
            let key = self.keys.watermark(owned.stage, owned.partition, *group);
            calls.to(self.seat(*group)).cmd("GET").arg(key);
        }
        let mut found = self.send(calls).await?;
        let stored = found.split_off(keys.len());
        for (group, stored) in groups.into_iter().zip(stored) {
            if text(stored).unwrap_or_default() != text_of(owned, group) {
                return Err(StoreError::Conflict);
            }
        }
        Ok(found.into_iter().map(blob).collect())
    }

    /// Claims the watermarks, stores the blobs that are newer and notes what changed; once all nodes have confirmed that,
    /// moves the watermarks on, on the same connections. So a stored watermark implies its blobs, of all groups: had
    /// they been refused, it would not be sent; had they been lost in between, the claim would be gone with them.
    ///
    /// # Errors
    /// Any ends the session, and what was stored is unknown; [`StoreError::Conflict`] when a watermark is not the
    /// owner's.
    pub async fn flush(&mut self, flush: &Flush, owned: &Owned) -> Result<Flushed, StoreError> {
        self.claim = self.claim.wrapping_add(1);
        let claimed = owned.claimed(self.claim);
        let mut calls = Bundle::default();
        self.advance(&mut calls, owned, &claimed);
        let puts = self.put(&mut calls, flush);
        self.note_changed(&mut calls, &flush.changed);
        let replies = self.send(calls).await?;
        let (claims, rest) = replies.split_at(self.seats.len());
        moved(claims)?;
        let stored = rest.iter().take(puts).map(count).sum();
        let mut calls = Bundle::default();
        self.advance(&mut calls, &claimed, &owned.advanced(&flush.watermark));
        moved(&self.send(calls).await?)?;
        Ok(Flushed { stored, skipped: flush.blobs.len() - stored })
    }

    /// Adds the puts, those of one key group together: the store's work for each is little beside that for each call.
    /// Gives how many calls they are.
    fn put(&self, calls: &mut Bundle, flush: &Flush) -> usize {
        let mut by_group = vec![Vec::new(); self.seats.len()];
        for put in &flush.blobs {
            by_group[self.keys.group_of(&put.0).unwrap_or(0) as usize].push(put);
        }
        let mut count = 0;
        for (group, puts) in (0..).zip(&by_group) {
            let seat = self.seat(group);
            for puts in puts.chunks(if flush.is_forced { 1 } else { PUTS_PER_CALL }) {
                let call = calls.to(seat);
                if flush.is_forced {
                    call.cmd("SET");
                } else {
                    call.cmd("FCALL").arg(PUT_NEWER).arg(puts.len());
                }
                for (key, _) in puts {
                    call.arg(key);
                }
                for (_, blob) in puts {
                    call.arg(blob);
                }
                count += 1;
            }
        }
        count
    }

    fn advance(&self, calls: &mut Bundle, old: &Owned, new: &Owned) {
        for (group, seat) in (0..).zip(&self.seats) {
            let key = self.keys.watermark(old.stage, old.partition, group);
            let (old, new) = (text_of(old, group), text_of(new, group));
            calls.to(*seat).cmd("FCALL").arg(ADVANCE).arg(1).arg(key).arg(old).arg(new);
        }
    }

    fn note_changed(&self, calls: &mut Bundle, changed: &[ItemHash]) {
        let mut by_group = vec![Vec::new(); self.seats.len()];
        for item in changed {
            let group = self.keys.group_of(&self.keys.item(*item)).unwrap_or(0);
            by_group[group as usize].push(*item);
        }
        for (group, items) in (0..).zip(&by_group) {
            for items in items.chunks(IDS_PER_ENTRY) {
                calls
                    .to(self.seat(group))
                    .cmd("XADD")
                    .arg(self.keys.changed_items(group))
                    .arg("MAXLEN")
                    .arg("~")
                    .arg(self.changed_entries_max)
                    .arg("*")
                    .arg(FIELD)
                    .arg(pack(items));
            }
        }
    }

    fn seat(&self, group: u32) -> usize {
        self.seats.get(group as usize).copied().unwrap_or(0)
    }

    async fn send(&self, calls: Bundle) -> Result<Vec<Value>, StoreError> {
        let call = |node: usize, calls: redis::Pipeline| {
            let mut connection = self.nodes[node].clone();
            async move { Ok(calls.query_async(&mut connection).await?) }
        };
        calls.send(call).await
    }
}

/// Whether every watermark was the one expected.
fn moved(replies: &[Value]) -> Result<(), StoreError> {
    let is_moved = replies.iter().all(|reply| *reply == Value::Int(1));
    if is_moved { Ok(()) } else { Err(StoreError::Conflict) }
}

/// What the store's function counted.
fn count(reply: &Value) -> usize {
    if let Value::Int(count) = reply { usize::try_from(*count).unwrap_or(0) } else { 0 }
}

async fn connected(client: &Client, limit: Duration) -> Result<MultiplexedConnection, StoreError> {
    let settings = AsyncConnectionConfig::new()
        .set_connection_timeout(Some(limit))
        .set_response_timeout(Some(limit));
    let mut connection = client.get_multiplexed_async_connection_with_config(&settings).await?;
    functions::load(&mut connection).await?;
    Ok(connection)
}

pub(crate) fn blob(reply: Value) -> Option<Bytes> {
    if let Value::BulkString(bytes) = reply { Some(Bytes::from(bytes)) } else { None }
}

/// The watermark that a reply holds.
pub(crate) fn watermark(reply: Value) -> Result<Option<Watermark>, StoreError> {
    let parsed = text(reply).map(|text| text.parse()).transpose();
    parsed.map_err(|cause: crate::MalformedWatermark| StoreError::Malformed {
        cause: cause.to_string(),
    })
}

fn text(reply: Value) -> Option<String> {
    if let Value::BulkString(bytes) = reply {
        Some(String::from_utf8_lossy(&bytes).into_owned())
    } else {
        None
    }
}

/// An absent watermark is the empty text to the store's functions.
fn text_of(owned: &Owned, group: u32) -> String {
    let known = owned.watermarks.get(group as usize).and_then(Option::as_ref);
    known.map(ToString::to_string).unwrap_or_default()
}
