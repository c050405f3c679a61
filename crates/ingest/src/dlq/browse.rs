//! Looking: the newest or oldest that are meant, one by its place, or how many of each kind.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use upnext_kafka::KafkaError;
use upnext_kafka::scan::{self, Stretch};

use super::letter::Letter;
use super::{DeadLetters, Filter};

/// Offsets looked at first at the end of each partition, per letter wanted; then four times as many, and so on.
const CHUNK_PER_LETTER: i64 = 4;
const CHUNK_MIN: i64 = 256;
/// Kinds that are counted apart; what comes after is counted together.
const KINDS_MAX: usize = 1_000;
const OTHERS: &str = "(others)";

/// Where a dead letter stands on its own topic: `PARTITION/OFFSET`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    pub partition: i32,
    pub offset: i64,
}

impl FromStr for Place {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = || format!("`{text}` is no place: write PARTITION/OFFSET, for example 2/1045");
        let (partition, offset) = text.split_once('/').ok_or_else(wrong)?;
        let partition: i32 = partition.parse().map_err(|_| wrong())?;
        let offset: i64 = offset.parse().map_err(|_| wrong())?;
        if partition < 0 || offset < 0 { Err(wrong()) } else { Ok(Self { partition, offset }) }
    }
}

/// What dead letters are counted by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum By {
    #[default]
    Reason,
    Producer,
    SchemaId,
    /// The record's timestamp at the full hour.
    Hour,
}

impl By {
    fn of(self, letter: &Letter) -> String {
        match self {
            Self::Reason => letter.reason.clone(),
            Self::Producer => letter.producer(),
            Self::SchemaId => letter.schema_id.clone().unwrap_or_else(|| "none".to_owned()),
            Self::Hour => letter.hour(),
        }
    }
}

/// How many there are of each kind.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counted {
    pub total: u64,
    pub counts: BTreeMap<String, u64>,
}

impl Counted {
    fn add(&mut self, kind: String) {
        self.total += 1;
        let has_room = self.counts.len() < KINDS_MAX || self.counts.contains_key(&kind);
        let kind = if has_room { kind } else { OTHERS.to_owned() };
        *self.counts.entry(kind).or_default() += 1;
    }
}

/// The first `limit` letters that are meant, partition by partition as they come; reads no further than that.
///
/// # Errors
/// When the broker does not answer; so do the others.
pub async fn oldest(
    from: &DeadLetters,
    filter: &Filter,
    limit: usize,
) -> Result<Vec<Letter>, KafkaError> {
    let topic = from.topic();
    let stretches = scan::stretches(&from.brokers, &topic, filter.since_ms).await?;
    let mut found = Vec::new();
    let mut records = scan::read(&from.brokers, &topic, &stretches)?;
    while found.len() < limit {
        let Some(record) = records.recv().await else { break };
        let letter = Letter::of(record?);
        if filter.takes(&letter) {
            found.push(letter.shortened());
        }
    }
    Ok(found)
}

/// The newest `limit` letters that are meant, oldest of them first: the partitions are read from their ends backwards,
/// no further than it takes.
///
/// # Errors
/// As [`oldest`].
pub async fn newest(
    from: &DeadLetters,
    filter: &Filter,
    limit: usize,
) -> Result<Vec<Letter>, KafkaError> {
    let topic = from.topic();
    let all = scan::stretches(&from.brokers, &topic, filter.since_ms).await?;
    let limit_offsets = i64::try_from(limit).unwrap_or(i64::MAX);
    let mut chunk = limit_offsets.saturating_mul(CHUNK_PER_LETTER).max(CHUNK_MIN);
    loop {
        let end_of = |stretch: &Stretch| Stretch {
            start: stretch.start.max(stretch.end.saturating_sub(chunk)),
            ..*stretch
        };
        let ends: Vec<Stretch> = all.iter().map(end_of).collect();
        let found = last_of(from, filter, limit, &ends).await?;
        if found.len() >= limit || ends == all {
            return Ok(found);
        }
        chunk = chunk.saturating_mul(4);
    }
}

/// Keeps no more than twice the limit at a time.
async fn last_of(
    from: &DeadLetters,
    filter: &Filter,
    limit: usize,
    stretches: &[Stretch],
) -> Result<Vec<Letter>, KafkaError> {
    let mut records = scan::read(&from.brokers, &from.topic(), stretches)?;
    let mut found = Vec::new();
    while let Some(record) = records.recv().await {
        let letter = Letter::of(record?);
        if filter.takes(&letter) {
            found.push(letter.shortened());
            if found.len() >= limit.saturating_mul(2).max(1) {
                shrink(&mut found, limit);
            }
        }
    }
    shrink(&mut found, limit);
    found.reverse();
    Ok(found)
}

/// The newest first, and no more than the limit.
fn shrink(found: &mut Vec<Letter>, limit: usize) {
    let age = |letter: &Letter| {
        (letter.record.timestamp_ms, letter.record.offset, letter.record.partition)
    };
    found.sort_by_key(|letter| Reverse(age(letter)));
    found.truncate(limit);
}

/// The letter that stands at a place.
///
/// # Errors
/// As [`oldest`].
pub async fn one(from: &DeadLetters, place: Place) -> Result<Option<Letter>, KafkaError> {
    let topic = from.topic();
    let stretches = scan::stretches(&from.brokers, &topic, None).await?;
    let Some(whole) = stretches.iter().find(|stretch| stretch.partition == place.partition) else {
        return Ok(None);
    };
    if place.offset < whole.start || place.offset >= whole.end {
        return Ok(None);
    }
    let only = Stretch { start: place.offset, end: place.offset + 1, ..*whole };
    let mut records = scan::read(&from.brokers, &topic, &[only])?;
    let found = records.recv().await.transpose()?;
    Ok(found.filter(|record| record.offset == place.offset).map(Letter::of))
}

/// How many there are of each kind.
///
/// # Errors
/// As [`oldest`].
pub async fn count(from: &DeadLetters, filter: &Filter, by: By) -> Result<Counted, KafkaError> {
    let topic = from.topic();
    let stretches = scan::stretches(&from.brokers, &topic, filter.since_ms).await?;
    let mut records = scan::read(&from.brokers, &topic, &stretches)?;
    let mut counted = Counted::default();
    while let Some(record) = records.recv().await {
        let letter = Letter::of(record?);
        if filter.takes(&letter) {
            counted.add(by.of(&letter));
        }
    }
    Ok(counted)
}

#[cfg(test)]
mod tests {
    use super::super::letter::tests::letter;
    use super::*;

    #[test]
    fn places_are_read_or_refused() {
        assert_eq!("2/1045".parse(), Ok(Place { partition: 2, offset: 1_045 }));
        for wrong in ["", "2", "2/", "/1", "-1/3", "1/-3", "1/2/3"] {
            assert!(wrong.parse::<Place>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn kinds_without_end_are_counted_together() {
        let mut counted = Counted::default();
        for kind in 0..KINDS_MAX + 5 {
            counted.add(kind.to_string());
        }
        assert_eq!(counted.counts.len(), KINDS_MAX + 1);
        assert_eq!((counted.total, counted.counts[OTHERS]), (KINDS_MAX as u64 + 5, 5));
    }

    #[test]
    fn letters_are_counted_by_what_is_asked() {
        let letter = letter(1, &[("reason", "range"), ("schema_id", "7"), ("producer", "shop")]);
        let kinds = [By::Reason, By::Producer, By::SchemaId, By::Hour].map(|by| by.of(&letter));
        assert_eq!(kinds, ["range", "shop", "7", "2023-11-14T22:00Z"]);
    }
}
