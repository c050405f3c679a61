//! Which dead letters were sent back: a compacted topic, one entry for each position of a rejected record.
//!
//! An entry is written in the same transaction as the record it is about, so it stands if and only if the record was
//! sent back. It is kept at least as long as the dead letter (docs/adr/0010).

use std::collections::BTreeMap;
use std::collections::HashMap;

use bytes::Bytes;
use serde_json::json;
use upnext_common::position::Position;
use upnext_common::topic::Topic;
use upnext_kafka::scan;
use upnext_kafka::{KafkaError, Outgoing};

use super::DeadLetters;

/// Positions, kept as stretches of consecutive offsets: a thousand letters in a row cost as much as one.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Ledger(HashMap<(String, i32), BTreeMap<i64, i64>>);

impl Ledger {
    /// Everything that stands in the topic.
    ///
    /// # Errors
    /// Also when there is no such topic: without it nothing may be sent back.
    pub(super) async fn read(from: &DeadLetters) -> Result<Self, KafkaError> {
        let topic = Topic::Redriven.name(&from.topic_prefix);
        let stretches = scan::stretches(&from.brokers, &topic, None).await?;
        let mut records = scan::read(&from.brokers, &topic, &stretches)?;
        let mut ledger = Self::default();
        while let Some(record) = records.recv().await {
            let record = record?;
            if let Some(position) = record.key.as_deref().and_then(position_of)
                && record.value.is_some()
            {
                ledger.insert(&position);
            }
        }
        Ok(ledger)
    }

    /// Whether the position is new.
    pub(super) fn insert(&mut self, position: &Position) -> bool {
        if self.contains(position) {
            return false;
        }
        let stretches = self.0.entry((position.topic.clone(), position.partition)).or_default();
        let mut end = position.offset + 1;
        if let Some(after) = stretches.remove(&end) {
            end = after;
        }
        match stretches.range_mut(..position.offset).next_back() {
            Some((_, before)) if *before == position.offset => *before = end,
            Some(_) | None => {
                stretches.insert(position.offset, end);
            }
        }
        true
    }

    pub(super) fn contains(&self, position: &Position) -> bool {
        let stretches = self.0.get(&(position.topic.clone(), position.partition));
        let before = stretches.and_then(|found| found.range(..=position.offset).next_back());
        before.is_some_and(|(_, end)| position.offset < *end)
    }
}

/// The entry that says: what stood at this position was sent back.
pub(super) fn entry(from: &DeadLetters, position: &Position, attempt: u32, at_ms: i64) -> Outgoing {
    let value = json!({ "attempt": attempt, "redriven_at_ms": at_ms });
    Outgoing {
        topic: Topic::Redriven.name(&from.topic_prefix),
        partition: Some(0),
        key: Some(Bytes::from(key_of(position))),
        value: Some(Bytes::from(value.to_string())),
        headers: Vec::new(),
        timestamp_ms: None,
    }
}

/// `topic/partition/offset`.
pub(super) fn key_of(position: &Position) -> String {
    format!("{}/{}/{}", position.topic, position.partition, position.offset)
}

fn position_of(key: &[u8]) -> Option<Position> {
    let mut parts = std::str::from_utf8(key).ok()?.rsplitn(3, '/');
    let offset = parts.next()?.parse().ok()?;
    let partition = parts.next()?.parse().ok()?;
    Some(Position { topic: parts.next()?.to_owned(), partition, offset })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn at(partition: i32, offset: i64) -> Position {
        Position { topic: "t".to_owned(), partition, offset }
    }

    #[test]
    fn a_ledger_knows_what_a_plain_set_knows() {
        let (mut ledger, mut plain) = (Ledger::default(), BTreeSet::new());
        let mut state = 7_u64;
        for _ in 0..4_000 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let offset = i64::try_from(state >> 33).unwrap() % 600;
            let partition = i32::try_from(state >> 62).unwrap();
            assert_eq!(ledger.insert(&at(partition, offset)), plain.insert((partition, offset)));
        }
        for partition in 0..4 {
            for offset in -1..601 {
                let expected = plain.contains(&(partition, offset));
                assert_eq!(ledger.contains(&at(partition, offset)), expected);
            }
        }
    }

    #[test]
    fn consecutive_positions_cost_one_stretch() {
        let mut ledger = Ledger::default();
        for offset in (0..1_000).rev().chain(1_000..2_000) {
            ledger.insert(&at(0, offset));
        }
        assert_eq!(ledger.0[&("t".to_owned(), 0)], BTreeMap::from([(0, 2_000)]));
    }

    #[test]
    fn keys_come_back() {
        let position = Position { topic: "a/b.v1".to_owned(), partition: 3, offset: 41 };
        assert_eq!(key_of(&position), "a/b.v1/3/41");
        assert_eq!(position_of(b"a/b.v1/3/41"), Some(position));
        for wrong in [&b"a/b"[..], b"", b"\xff/1/2", b"t/x/1", b"t/1/x"] {
            assert_eq!(position_of(wrong), None);
        }
    }
}
