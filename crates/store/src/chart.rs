//! Which node of a cluster has which keys, as the nodes themselves say.

use std::time::Duration;

use futures::future::join_all;
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Value, pipe};

use crate::address::Nodes;
use crate::{Keys, Stage, StoreError};

const SLOTS: u16 = 16_384;

/// Masters and their slots, seen at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Chart {
    /// `host:port` of each master.
    pub(crate) masters: Vec<String>,
    /// First and last slot, and the place of their master.
    ranges: Vec<(u16, u16, usize)>,
}

impl Chart {
    /// Asks all nodes that are named and takes the word of whoever has seen the newest epoch of the cluster.
    pub(crate) async fn read(
        nodes: &Nodes,
        more: &[String],
        limit: Duration,
    ) -> Result<Self, StoreError> {
        let others = more.iter().filter(|node| !nodes.named.contains(node));
        let asked = nodes.named.iter().chain(others).map(|node| ask(nodes, node, limit));
        let mut newest: Option<(u64, Self)> = None;
        let mut failed = StoreError::Unavailable { cause: "no node is named".to_owned() };
        for answer in join_all(asked).await {
            match answer {
                Ok((epoch, chart)) if newest.as_ref().is_none_or(|(known, _)| *known < epoch) => {
                    newest = Some((epoch, chart));
                }
                Ok(_) => {}
                Err(error) => failed = error,
            }
        }
        newest.map(|(_, chart)| chart).ok_or(failed)
    }

    /// The master of each key group.
    pub(crate) fn groups(&self, keys: &Keys) -> Result<Vec<usize>, StoreError> {
        (0..keys.groups()).map(|group| self.of(&keys.watermark(Stage::Users, 0, group))).collect()
    }

    /// The master of a key.
    pub(crate) fn of(&self, key: &str) -> Result<usize, StoreError> {
        let slot = slot(key);
        let range = self.ranges.iter().find(|(first, last, _)| (*first..=*last).contains(&slot));
        let master = range.map(|(_, _, master)| *master);
        master.ok_or_else(|| StoreError::Unavailable { cause: format!("nobody has slot {slot}") })
    }
}

async fn ask(nodes: &Nodes, node: &str, limit: Duration) -> Result<(u64, Chart), StoreError> {
    let settings = AsyncConnectionConfig::new()
        .set_connection_timeout(Some(limit))
        .set_response_timeout(Some(limit));
    let client = nodes.client(node)?;
    let mut connection: MultiplexedConnection =
        client.get_multiplexed_async_connection_with_config(&settings).await?;
    let mut calls = pipe();
    calls.cmd("CLUSTER").arg("INFO");
    calls.cmd("CLUSTER").arg("SLOTS");
    let (about, slots): (String, Value) = calls.query_async(&mut connection).await?;
    let host = node.rsplit_once(':').map_or(node, |(host, _)| host);
    let epoch = epoch(&about).ok_or_else(|| StoreError::Unavailable {
        cause: format!("{node} is not part of a cluster that works"),
    })?;
    let chart = chart(&slots, host).ok_or_else(|| StoreError::Malformed {
        cause: format!("{node} does not say who has which slots"),
    })?;
    Ok((epoch, chart))
}

/// The newest epoch that a node knows of, if its cluster works.
fn epoch(about: &str) -> Option<u64> {
    let of = |name: &str| about.lines().find_map(|line| line.trim().strip_prefix(name));
    of("cluster_state:").filter(|state| *state == "ok")?;
    of("cluster_current_epoch:")?.parse().ok()
}

/// Reads the reply to CLUSTER SLOTS. A node that does not know its own host is at the one that was asked.
fn chart(reply: &Value, asked: &str) -> Option<Chart> {
    let Value::Array(ranges) = reply else { return None };
    let mut chart = Chart::default();
    for range in ranges {
        let Value::Array(parts) = range else { return None };
        let [Value::Int(first), Value::Int(last), Value::Array(master), ..] = parts.as_slice()
        else {
            return None;
        };
        let [host, Value::Int(port), ..] = master.as_slice() else { return None };
        let host =
            if let Value::BulkString(host) = host { std::str::from_utf8(host).ok()? } else { "" };
        let host = if host.is_empty() { asked.trim_matches(['[', ']']) } else { host };
        let node =
            if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") };
        let known = chart.masters.iter().position(|known| *known == node);
        let place = known.unwrap_or(chart.masters.len());
        if known.is_none() {
            chart.masters.push(node);
        }
        chart.ranges.push((u16::try_from(*first).ok()?, u16::try_from(*last).ok()?, place));
    }
    Some(chart)
}

/// The slot of a key: of what stands in its first braces, if anything does.
fn slot(key: &str) -> u16 {
    let tag = key.split_once('{').and_then(|(_, rest)| rest.split_once('}')).map(|(tag, _)| tag);
    crc16(tag.filter(|tag| !tag.is_empty()).unwrap_or(key).as_bytes()) % SLOTS
}

/// CRC-16/XMODEM, the checksum of the cluster specification.
fn crc16(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0, |sum, byte| {
        (0..8).fold(sum ^ u16::from(*byte) << 8, |sum, _| {
            sum << 1 ^ if sum & 0x8000 == 0 { 0 } else { 0x1021 }
        })
    })
}

#[cfg(test)]
mod tests {
    use upnext_common::config;

    use super::*;

    fn text(text: &str) -> Value {
        Value::BulkString(text.as_bytes().to_vec())
    }

    fn range(first: i64, last: i64, host: Value, port: i64) -> Value {
        let master = Value::Array(vec![host, Value::Int(port), text("id"), Value::Array(vec![])]);
        let replica = Value::Array(vec![text("9.9.9.9"), Value::Int(1), text("id2")]);
        Value::Array(vec![Value::Int(first), Value::Int(last), master, replica])
    }

    #[test]
    fn slots_are_those_of_the_specification() {
        assert_eq!(crc16(b"123456789"), 0x31c3);
        assert_eq!(slot("foo"), 12_182);
        assert_eq!(slot("{user1000}.following"), slot("{user1000}.followers"));
        assert_eq!(slot("a{}b"), crc16(b"a{}b") % SLOTS);
        assert_eq!(slot("foo{{bar}}zap"), slot("{bar"));
    }

    #[test]
    fn every_group_has_the_master_of_its_slot() {
        let reply = Value::Array(vec![
            range(0, 5_460, text("10.0.0.1"), 7_000),
            range(5_461, 10_922, Value::Nil, 7_001),
            range(10_923, 16_000, text("::1"), 7_002),
            range(16_001, 16_383, text("10.0.0.1"), 7_000),
        ]);
        let chart = chart(&reply, "10.0.0.9").unwrap();
        assert_eq!(chart.masters, ["10.0.0.1:7000", "10.0.0.9:7001", "[::1]:7002"]);
        let keys = Keys::of(&config::Redis { key_groups: 16, ..config::Redis::default() }).unwrap();
        let groups = chart.groups(&keys).unwrap();
        for (group, master) in groups.iter().enumerate() {
            let slot = slot(&format!("x{{{group}}}y"));
            assert_eq!(*master, usize::from(slot > 5_460) + usize::from(slot > 10_922), "{slot}");
        }
        assert!((0..3).all(|master| groups.contains(&master)));
    }

    #[test]
    fn a_slot_that_nobody_has_is_told() {
        let chart = chart(&Value::Array(vec![range(0, 3, text("a"), 1)]), "b").unwrap();
        assert!(matches!(chart.of("foo"), Err(StoreError::Unavailable { .. })));
        for foreign in [Value::Nil, Value::Array(vec![Value::Int(1)])] {
            assert_eq!(super::chart(&foreign, "b"), None);
        }
    }

    #[test]
    fn only_a_cluster_that_works_has_an_epoch() {
        assert_eq!(epoch("cluster_state:ok\r\ncluster_current_epoch:6\r\n"), Some(6));
        assert_eq!(epoch("cluster_state:fail\r\ncluster_current_epoch:6\r\n"), None);
        assert_eq!(epoch("nonsense"), None);
    }
}
