//! The coordinator of transactions: producer ids, epochs that shut out predecessors, and how transactions end.
//!
//! What matters is in the journal before it is answered. An end is first decided there, then written as markers into
//! every partition and as committed offsets, then noted as done; a broker that starts again finishes what was decided.

mod ending;
mod record;

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::Arc;

use kafka_protocol::ResponseError;
use parking_lot::Mutex;
use upnext_common::clock::Clock;

use crate::catalog::Catalog;
use crate::groups::Groups;
use crate::journal::Journal;
use crate::offsets::Committed;

use record::{Fact, Record, State};

/// Producer ids reserved by one line of the journal.
const ID_BLOCK: i64 = 1_000;
const TIMEOUT_MAX_MS: i32 = 15 * 60_000;
/// The last epoch given to a producer; one higher is kept for shutting it out.
const EPOCH_MAX: i16 = i16::MAX - 1;

pub(crate) struct Transactions {
    catalog: Arc<Catalog>,
    groups: Arc<Groups>,
    clock: Clock,
    inner: Mutex<Inner>,
}

struct Inner {
    records: BTreeMap<String, Record>,
    next_producer_id: i64,
    reserved_until: i64,
    journal: Journal<Fact>,
}

/// A producer as it names itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Identity {
    pub producer_id: i64,
    pub epoch: i16,
}

impl Transactions {
    /// Reads back what stands and finishes what was decided.
    pub(crate) fn open(
        data_dir: &Path,
        catalog: Arc<Catalog>,
        groups: Arc<Groups>,
        clock: Clock,
    ) -> io::Result<Self> {
        let mut records = BTreeMap::new();
        let mut reserved_until = 0;
        let path = data_dir.join("transactions.journal");
        let mut journal =
            Journal::open(&path, |fact| record::apply(&mut records, &mut reserved_until, fact))?;
        journal.rewrite(record::facts(&records, reserved_until))?;
        let next_producer_id = reserved_until;
        let inner = Mutex::new(Inner { records, next_producer_id, reserved_until, journal });
        let transactions = Self { catalog, groups, clock, inner };
        transactions.recover();
        Ok(transactions)
    }

    fn recover(&self) {
        let mut inner = self.inner.lock();
        self.finish_decided(&mut inner);
        self.abort_unknown(&inner);
    }

    /// A new producer id for a producer without transactions.
    pub(crate) fn new_producer(&self) -> Result<Identity, ResponseError> {
        let producer_id = self.inner.lock().new_producer_id()?;
        Ok(Identity { producer_id, epoch: 0 })
    }

    /// The identity under which transactions of `id` go on; every earlier holder is shut out, what it left open is
    /// aborted. A producer that says who it `was` must be the present holder.
    pub(crate) fn take_over(
        &self,
        id: &str,
        timeout_ms: i32,
        was: Option<Identity>,
    ) -> Result<Identity, ResponseError> {
        if id.is_empty() {
            return Err(ResponseError::InvalidRequest);
        }
        if !(1..=TIMEOUT_MAX_MS).contains(&timeout_ms) {
            return Err(ResponseError::InvalidTransactionTimeout);
        }
        let mut inner = self.inner.lock();
        let Some(mut record) = inner.records.get(id).cloned() else {
            let producer_id = inner.new_producer_id()?;
            let record = Record::new(Identity { producer_id, epoch: 0 }, timeout_ms);
            inner.keep(id, record)?;
            return Ok(Identity { producer_id, epoch: 0 });
        };
        if was.is_some_and(|was| was != record.identity()) {
            return Err(ResponseError::ProducerFenced);
        }
        if let State::Ending { is_commit } = record.state {
            // It was decided, and then its disk refused: whoever comes now may not undo that.
            self.carry_out(&mut inner, id, record.clone(), is_commit)?;
            record = inner.records.get(id).cloned().unwrap_or(record);
        }
        record.epoch = record.epoch.saturating_add(1);
        if record.state == State::Ongoing {
            self.end_record(&mut inner, id, record.clone(), false)?;
            record = inner.records.get(id).cloned().unwrap_or(record);
        }
        if record.epoch > EPOCH_MAX {
            record.producer_id = inner.new_producer_id()?;
            record.epoch = 0;
        }
        record.state = State::Empty;
        record.timeout_ms = timeout_ms;
        let identity = record.identity();
        inner.keep(id, record)?;
        Ok(identity)
    }

    /// Makes partitions part of the transaction, which begins if it has not.
    pub(crate) fn add_partitions(
        &self,
        id: &str,
        who: Identity,
        partitions: impl IntoIterator<Item = (String, i32)>,
    ) -> Result<(), ResponseError> {
        self.change(id, who, |record, now_ms| {
            record.begin(now_ms);
            record.partitions.extend(partitions);
            Ok(())
        })
    }

    /// Makes a group's offsets part of the transaction, which begins if it has not.
    pub(crate) fn add_group(&self, id: &str, who: Identity) -> Result<(), ResponseError> {
        self.change(id, who, |record, now_ms| {
            record.begin(now_ms);
            Ok(())
        })
    }

    /// Keeps offsets that are committed if the transaction is.
    pub(crate) fn add_offsets(
        &self,
        id: &str,
        who: Identity,
        group: &str,
        offsets: Vec<Committed>,
    ) -> Result<(), ResponseError> {
        self.change(id, who, |record, _| {
            if record.state != State::Ongoing {
                return Err(ResponseError::InvalidTxnState);
            }
            record.offsets.entry(group.to_owned()).or_default().extend(offsets);
            Ok(())
        })
    }

    /// Runs `append` if the producer's transaction holds the partition; no transaction ends meanwhile.
    pub(crate) fn while_open<T>(
        &self,
        id: &str,
        who: Identity,
        partition: (&str, i32),
        append: impl FnOnce() -> Result<T, ResponseError>,
    ) -> Result<T, ResponseError> {
        let inner = self.inner.lock();
        let record = inner.records.get(id).ok_or(ResponseError::InvalidProducerIdMapping)?;
        match record.check(who) {
            Err(ResponseError::ProducerFenced) => return Err(ResponseError::InvalidProducerEpoch),
            checked => checked?,
        }
        let holds = record.state == State::Ongoing
            && record.partitions.contains(&(partition.0.to_owned(), partition.1));
        if !holds {
            return Err(ResponseError::InvalidTxnState);
        }
        append()
    }

    /// Whether a group's offset on a partition hangs on an open transaction.
    pub(crate) fn is_pending(&self, group: &str, topic: &str, partition: i32) -> bool {
        let inner = self.inner.lock();
        inner.records.values().filter_map(|record| record.offsets.get(group)).any(|offsets| {
            offsets.iter().any(|offset| offset.topic == topic && offset.partition == partition)
        })
    }

    pub(crate) fn sync(&self) -> io::Result<()> {
        self.inner.lock().journal.sync()
    }

    fn change(
        &self,
        id: &str,
        who: Identity,
        change: impl FnOnce(&mut Record, i64) -> Result<(), ResponseError>,
    ) -> Result<(), ResponseError> {
        let mut inner = self.inner.lock();
        let record = inner.records.get(id).ok_or(ResponseError::InvalidProducerIdMapping)?;
        record.check(who)?;
        let mut changed = record.clone();
        change(&mut changed, self.clock.now_ms())?;
        if changed == *record {
            return Ok(());
        }
        inner.keep(id, changed)
    }
}

impl Inner {
    fn new_producer_id(&mut self) -> Result<i64, ResponseError> {
        if self.next_producer_id >= self.reserved_until {
            let until = self.next_producer_id + ID_BLOCK;
            self.note(Fact::Reserved { until })?;
            self.reserved_until = until;
        }
        self.next_producer_id += 1;
        Ok(self.next_producer_id - 1)
    }

    /// Puts a record where the old one was, on disk first.
    fn keep(&mut self, id: &str, record: Record) -> Result<(), ResponseError> {
        self.note(Fact::Kept { id: id.to_owned(), record: record.clone() })?;
        self.records.insert(id.to_owned(), record);
        if self.journal.is_overgrown() {
            let facts = record::facts(&self.records, self.reserved_until);
            self.journal.rewrite(facts).map_err(refused_by_disk)?;
        }
        Ok(())
    }

    fn note(&mut self, fact: Fact) -> Result<(), ResponseError> {
        self.journal.append(&[fact]).map_err(refused_by_disk)
    }
}

fn refused_by_disk(error: io::Error) -> ResponseError {
    tracing::error!(%error, "cannot keep a transaction");
    ResponseError::KafkaStorageError
}

#[cfg(test)]
mod tests;
