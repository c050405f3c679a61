//! What one transaction writes: records for the raw topic, each with its entry for the ledger.

use bytes::Bytes;
use upnext_common::position::Position;
use upnext_contract::letter::{self, DEAD, REDRIVEN_FROM};
use upnext_kafka::Outgoing;

use crate::dlq::DeadLetters;
use crate::dlq::ledger::{entry, key_of};
use crate::dlq::letter::Letter;

const RECORDS_MAX: usize = 200;
const BYTES_MAX: usize = 1 << 20;
/// With a rate, a batch is at most this part of a second's records.
const BATCHES_PER_SECOND: u32 = 4;

#[derive(Clone, Debug, Default)]
pub(super) struct Batch {
    /// The record, its entry, the reason it had been rejected for.
    pairs: Vec<(Outgoing, Outgoing, String)>,
    bytes: usize,
}

impl Batch {
    /// The record as its producer wrote it, with how often it has failed and where it comes from.
    pub(super) fn push(
        &mut self,
        from: &DeadLetters,
        letter: Letter,
        source: Position,
        now_ms: i64,
    ) {
        let entry = entry(from, &source, letter.attempt, now_ms);
        let timestamp_ms = Some(letter.timestamp_ms());
        let Letter { record, reason, attempt, first_failed_at_ms, .. } = letter;
        let mut headers = letter::own(&record.headers);
        headers.retain(|(name, _)| name != REDRIVEN_FROM);
        let mut say = |name: String, value: String| headers.push((name, Some(Bytes::from(value))));
        say(format!("{DEAD}attempt"), attempt.to_string());
        say(format!("{DEAD}first_failed_at"), first_failed_at_ms.unwrap_or(now_ms).to_string());
        say(REDRIVEN_FROM.to_owned(), key_of(&source));
        let outgoing = Outgoing {
            topic: source.topic,
            partition: Some(source.partition),
            key: record.key,
            value: record.value,
            headers,
            timestamp_ms,
        };
        self.bytes += outgoing.size() + entry.size();
        self.pairs.push((outgoing, entry, reason));
    }

    pub(super) fn len(&self) -> u64 {
        self.pairs.len() as u64
    }

    pub(super) fn is_full(&self, rate_max: Option<u32>) -> bool {
        let per_batch = rate_max.map(|rate| (rate / BATCHES_PER_SECOND).max(1));
        let max = per_batch.and_then(|max| usize::try_from(max).ok()).unwrap_or(RECORDS_MAX);
        self.pairs.len() >= max.min(RECORDS_MAX) || self.bytes >= BYTES_MAX
    }

    /// Records first: they decide whether the broker takes it.
    pub(super) fn records(&self) -> Vec<Outgoing> {
        let records = self.pairs.iter().map(|(record, _, _)| record.clone());
        records.chain(self.pairs.iter().map(|(_, entry, _)| entry.clone())).collect()
    }

    pub(super) fn reasons(&self) -> impl Iterator<Item = &str> {
        self.pairs.iter().map(|(_, _, reason)| reason.as_str())
    }

    /// `None` for one record.
    pub(super) fn halves(&self) -> Option<(Self, Self)> {
        if self.pairs.len() < 2 {
            return None;
        }
        let (first, second) = self.pairs.split_at(self.pairs.len() / 2);
        let half = |pairs: &[(Outgoing, Outgoing, String)]| {
            let bytes = pairs.iter().map(|(record, entry, _)| record.size() + entry.size()).sum();
            Self { pairs: pairs.to_vec(), bytes }
        };
        Some((half(first), half(second)))
    }
}
