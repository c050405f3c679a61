//! What producers did on one partition: numbered batches, so that none is taken twice, and transactions.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::io;

use kafka_protocol::ResponseError;
use serde::{Deserialize, Serialize};

use crate::batch::{self, BatchHeader};
use crate::log::Story;

/// Batches a producer may have in flight, and so how far back a repeat is recognised.
const BATCHES_REMEMBERED: usize = 5;
/// Producers remembered on one partition; beyond it those that were quiet longest are forgotten.
const PRODUCERS_MAX: usize = 10_000;

/// A transaction whose records stand in the log and must not be shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct AbortedTransaction {
    pub producer_id: i64,
    pub first_offset: i64,
    /// Offset of its marker.
    pub last_offset: i64,
}

/// How a numbered batch relates to what stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sequence {
    Next,
    /// It stands already.
    Repeat {
        base_offset: i64,
    },
}

#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Producers {
    by_id: HashMap<i64, Producer>,
    /// First offset of each open transaction, by producer.
    open: BTreeMap<i64, i64>,
    /// In the order of their markers.
    aborted: Vec<AbortedTransaction>,
}

#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Producer {
    epoch: i16,
    last_offset: i64,
    has_marker_of_epoch: bool,
    recent: VecDeque<Numbered>,
}

#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Numbered {
    first: i32,
    last: i32,
    base_offset: i64,
}

impl Producers {
    /// Whether a producer's batch may be appended.
    pub(super) fn admit(&self, header: &BatchHeader) -> Result<Sequence, ResponseError> {
        if header.producer_id < 0 {
            return Ok(Sequence::Next);
        }
        let Some(producer) = self.by_id.get(&header.producer_id) else {
            return Ok(Sequence::Next);
        };
        if header.producer_epoch < producer.epoch {
            return Err(ResponseError::InvalidProducerEpoch);
        }
        if !header.is_idempotent() {
            return Ok(Sequence::Next);
        }
        if header.producer_epoch > producer.epoch {
            let is_first = header.base_sequence == 0;
            return if is_first {
                Ok(Sequence::Next)
            } else {
                Err(ResponseError::OutOfOrderSequenceNumber)
            };
        }
        producer.sequence_of(header)
    }

    /// A marker that compaction has emptied ended a transaction of which nothing is left.
    fn note_end(&mut self, header: &BatchHeader, is_commit: bool) {
        let Some(first_offset) = self.open.remove(&header.producer_id) else { return };
        if !is_commit && header.record_count > 0 {
            let (producer_id, last_offset) = (header.producer_id, header.last_offset());
            self.aborted.push(AbortedTransaction { producer_id, first_offset, last_offset });
        }
    }

    /// All transactions of which records were left out, or should be.
    pub(super) fn aborted(&self) -> &[AbortedTransaction] {
        &self.aborted
    }

    /// The last offset of every producer.
    pub(super) fn last_offsets(&self) -> HashMap<i64, i64> {
        self.by_id.iter().map(|(id, producer)| (*id, producer.last_offset)).collect()
    }

    /// Forgets aborted transactions of which no record is left: they ended before `offset`.
    pub(super) fn forget_aborted_before(&mut self, offset: i64) {
        self.aborted.retain(|aborted| aborted.last_offset >= offset);
    }

    /// Forgets aborted transactions whose markers do not stand, and so nothing of them: a reader would wait for the
    /// marker, and leave out what the producer did since.
    pub(super) fn forget_aborted_unless(
        &mut self,
        stands: impl Fn(i64) -> io::Result<bool>,
    ) -> io::Result<()> {
        let mut kept = Vec::with_capacity(self.aborted.len());
        for aborted in &self.aborted {
            if stands(aborted.last_offset)? {
                kept.push(*aborted);
            }
        }
        self.aborted = kept;
        Ok(())
    }

    fn forget_the_quietest(&mut self) {
        if self.by_id.len() < PRODUCERS_MAX {
            return;
        }
        let closed = self.by_id.iter().filter(|(id, _)| !self.open.contains_key(id));
        if let Some(id) = closed.min_by_key(|(_, producer)| producer.last_offset).map(|(id, _)| *id)
        {
            self.by_id.remove(&id);
        }
    }

    /// Where the oldest open transaction begins.
    pub(super) fn first_open_offset(&self) -> Option<i64> {
        self.open.values().min().copied()
    }

    pub(super) fn open_transactions(&self) -> Vec<(i64, i16)> {
        let epoch = |id: &i64| self.by_id.get(id).map_or(0, |producer| producer.epoch);
        self.open.keys().map(|id| (*id, epoch(id))).collect()
    }

    pub(super) fn has_ended(&self, producer_id: i64, epoch: i16) -> bool {
        self.by_id.get(&producer_id).is_some_and(|producer| {
            producer.epoch > epoch || (producer.epoch == epoch && producer.has_marker_of_epoch)
        }) && !self.open.contains_key(&producer_id)
    }

    /// The aborted transactions with records at `from` or later and before `until`.
    pub(super) fn aborted_within(&self, from: i64, until: i64) -> Vec<AbortedTransaction> {
        let begin = self.aborted.partition_point(|aborted| aborted.last_offset < from);
        self.aborted[begin..]
            .iter()
            .filter(|aborted| aborted.first_offset < until)
            .copied()
            .collect()
    }
}

impl Story for Producers {
    fn note(&mut self, header: &BatchHeader, batch: &[u8]) {
        if header.producer_id < 0 {
            return;
        }
        if !self.by_id.contains_key(&header.producer_id) {
            self.forget_the_quietest();
        }
        let producer = self.by_id.entry(header.producer_id).or_insert_with(Producer::new);
        producer.note(header);
        if header.is_control() {
            self.note_end(header, batch::is_commit(batch));
        } else if header.is_transactional() {
            self.open.entry(header.producer_id).or_insert(header.base_offset);
        }
    }

    fn encode(&self) -> Vec<u8> {
        let json = serde_json::to_vec(self).unwrap_or_default();
        let mut bytes = crc32c::crc32c(&json).to_be_bytes().to_vec();
        bytes.extend_from_slice(&json);
        bytes
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let (check, json) = bytes.split_first_chunk()?;
        if u32::from_be_bytes(*check) != crc32c::crc32c(json) {
            return None;
        }
        serde_json::from_slice(json).ok()
    }
}

impl Producer {
    fn new() -> Self {
        let recent = VecDeque::with_capacity(BATCHES_REMEMBERED);
        Self { epoch: 0, last_offset: -1, has_marker_of_epoch: false, recent }
    }

    fn sequence_of(&self, header: &BatchHeader) -> Result<Sequence, ResponseError> {
        let (first, last) = (header.base_sequence, header.last_sequence());
        if let Some(same) = self.recent.iter().find(|it| it.first == first && it.last == last) {
            return Ok(Sequence::Repeat { base_offset: same.base_offset });
        }
        match self.recent.back() {
            Some(newest) if first != next_sequence(newest.last) => Err(if first <= newest.last {
                ResponseError::DuplicateSequenceNumber
            } else {
                ResponseError::OutOfOrderSequenceNumber
            }),
            Some(_) | None => Ok(Sequence::Next),
        }
    }

    fn note(&mut self, header: &BatchHeader) {
        if self.epoch != header.producer_epoch {
            self.epoch = header.producer_epoch;
            self.has_marker_of_epoch = false;
            self.recent.clear();
        }
        self.last_offset = header.last_offset();
        self.has_marker_of_epoch = header.is_control();
        if header.is_idempotent() {
            if self.recent.len() == BATCHES_REMEMBERED {
                self.recent.pop_front();
            }
            let (first, last) = (header.base_sequence, header.last_sequence());
            self.recent.push_back(Numbered { first, last, base_offset: header.base_offset });
        }
    }
}

fn next_sequence(sequence: i32) -> i32 {
    sequence.wrapping_add(1) & i32::MAX
}
