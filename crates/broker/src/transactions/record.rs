//! What is kept of one transactional id.

use std::collections::{BTreeMap, BTreeSet};

use kafka_protocol::ResponseError;
use serde::{Deserialize, Serialize};

use super::Identity;
use crate::offsets::Committed;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Record {
    pub producer_id: i64,
    pub epoch: i16,
    pub timeout_ms: i32,
    pub state: State,
    pub began_ms: i64,
    pub partitions: BTreeSet<(String, i32)>,
    /// By group, to be committed with the transaction.
    pub offsets: BTreeMap<String, Vec<Committed>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum State {
    /// Nothing since the producer took over.
    Empty,
    Ongoing,
    /// The end is decided, markers are being written.
    Ending {
        is_commit: bool,
    },
    Ended {
        is_commit: bool,
    },
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) enum Fact {
    /// Producer ids below `until` may be in use.
    Reserved {
        until: i64,
    },
    Kept {
        id: String,
        record: Record,
    },
}

impl Record {
    pub(super) fn new(who: Identity, timeout_ms: i32) -> Self {
        Self {
            producer_id: who.producer_id,
            epoch: who.epoch,
            timeout_ms,
            state: State::Empty,
            began_ms: 0,
            partitions: BTreeSet::new(),
            offsets: BTreeMap::new(),
        }
    }

    pub(super) fn identity(&self) -> Identity {
        Identity { producer_id: self.producer_id, epoch: self.epoch }
    }

    /// Whether the producer is the present holder of the id.
    pub(super) fn check(&self, who: Identity) -> Result<(), ResponseError> {
        if who.producer_id != self.producer_id {
            return Err(ResponseError::InvalidProducerIdMapping);
        }
        if who.epoch != self.epoch {
            return Err(ResponseError::ProducerFenced);
        }
        match self.state {
            State::Ending { .. } => Err(ResponseError::ConcurrentTransactions),
            State::Empty | State::Ongoing | State::Ended { .. } => Ok(()),
        }
    }

    pub(super) fn begin(&mut self, now_ms: i64) {
        if self.state != State::Ongoing {
            self.state = State::Ongoing;
            self.began_ms = now_ms;
        }
    }

    pub(super) fn has_timed_out(&self, now_ms: i64) -> bool {
        self.state == State::Ongoing && now_ms >= self.began_ms + i64::from(self.timeout_ms)
    }
}

pub(super) fn apply(records: &mut BTreeMap<String, Record>, reserved_until: &mut i64, fact: Fact) {
    match fact {
        Fact::Reserved { until } => *reserved_until = until,
        Fact::Kept { id, record } => {
            records.insert(id, record);
        }
    }
}

/// The fewest facts that say the same.
pub(super) fn facts(
    records: &BTreeMap<String, Record>,
    reserved_until: i64,
) -> impl Iterator<Item = Fact> {
    let kept =
        records.iter().map(|(id, record)| Fact::Kept { id: id.clone(), record: record.clone() });
    std::iter::once(Fact::Reserved { until: reserved_until }).chain(kept)
}
