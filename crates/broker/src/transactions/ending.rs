//! How transactions end: by their producer, by a successor, by time, or at the next start of the broker.

use std::collections::HashSet;
use std::sync::Arc;

use kafka_protocol::ResponseError;

use super::record::{Record, State};
use crate::partition::Partition;

use super::{Identity, Inner, Transactions};

impl Transactions {
    /// Ends the producer's transaction. Saying the same twice is no error.
    pub(crate) fn end(
        &self,
        id: &str,
        who: Identity,
        is_commit: bool,
    ) -> Result<(), ResponseError> {
        let mut inner = self.inner.lock();
        let record = inner.records.get(id).ok_or(ResponseError::InvalidProducerIdMapping)?;
        record.check(who)?;
        match record.state {
            State::Ongoing => {
                let record = record.clone();
                self.end_record(&mut inner, id, record, is_commit)
            }
            State::Ended { is_commit: ended } if ended == is_commit => Ok(()),
            State::Empty | State::Ending { .. } | State::Ended { .. } => {
                Err(ResponseError::InvalidTxnState)
            }
        }
    }

    /// Aborts transactions that took longer than they asked for, and shuts their producers out.
    pub(crate) fn tick(&self) {
        let now_ms = self.clock.now_ms();
        let mut inner = self.inner.lock();
        self.finish_decided(&mut inner);
        let late: Vec<(String, Record)> = inner
            .records
            .iter()
            .filter(|(_, record)| record.has_timed_out(now_ms))
            .map(|(id, record)| (id.clone(), record.clone()))
            .collect();
        for (id, mut record) in late {
            tracing::info!(transactional_id = %id, "transaction timed out, aborting it");
            record.epoch = record.epoch.saturating_add(1);
            if let Err(error) = self.end_record(&mut inner, &id, record, false) {
                tracing::error!(transactional_id = %id, %error, "cannot abort, will retry");
            }
        }
    }

    /// Decides, carries out and notes the end of a transaction.
    pub(super) fn end_record(
        &self,
        inner: &mut Inner,
        id: &str,
        mut record: Record,
        is_commit: bool,
    ) -> Result<(), ResponseError> {
        record.state = State::Ending { is_commit };
        inner.keep(id, record.clone())?;
        self.carry_out(inner, id, record, is_commit)
    }

    pub(super) fn carry_out(
        &self,
        inner: &mut Inner,
        id: &str,
        mut record: Record,
        is_commit: bool,
    ) -> Result<(), ResponseError> {
        let now_ms = self.clock.now_ms();
        for (topic, index) in std::mem::take(&mut record.partitions) {
            // A topic deleted meanwhile needs no marker.
            let Ok(partition) = self.catalog.partition(&topic, index) else { continue };
            if !partition.has_ended(record.producer_id, record.epoch) {
                partition.end_transaction(record.producer_id, record.epoch, is_commit, now_ms)?;
            }
        }
        for (group, offsets) in std::mem::take(&mut record.offsets) {
            if is_commit {
                self.groups.commit_decided(&group, offsets)?;
            }
        }
        record.state = State::Ended { is_commit };
        inner.keep(id, record)
    }

    /// Carries out ends that were decided and then interrupted, by a crash or a full disk.
    pub(super) fn finish_decided(&self, inner: &mut Inner) {
        let decided: Vec<_> = inner
            .records
            .iter()
            .filter_map(|(id, record)| match record.state {
                State::Ending { is_commit } => Some((id.clone(), record.clone(), is_commit)),
                State::Empty | State::Ongoing | State::Ended { .. } => None,
            })
            .collect();
        for (id, record, is_commit) in decided {
            tracing::info!(transactional_id = %id, is_commit, "finishing a transaction");
            if let Err(error) = self.carry_out(inner, &id, record, is_commit) {
                tracing::error!(transactional_id = %id, %error, "cannot finish, will retry");
            }
        }
    }

    /// Aborts what stands open in a log and belongs to no transaction, so that readers are not held up for ever.
    pub(super) fn abort_unknown(&self, inner: &Inner) {
        let is_known = |record: &&Record| match record.state {
            State::Ongoing | State::Ending { .. } => true,
            State::Empty | State::Ended { .. } => false,
        };
        let known = inner.records.values().filter(is_known).map(|record| record.producer_id);
        let known: HashSet<i64> = known.collect();
        let now_ms = self.clock.now_ms();
        for (topic, partition) in self.all_partitions() {
            for (producer_id, epoch) in partition.open_transactions() {
                if known.contains(&producer_id) {
                    continue;
                }
                tracing::warn!(%topic, producer_id, "aborting a transaction nobody knows");
                if let Err(error) = partition.end_transaction(producer_id, epoch, false, now_ms) {
                    tracing::error!(%topic, producer_id, %error, "cannot abort");
                }
            }
        }
    }

    fn all_partitions(&self) -> impl Iterator<Item = (String, Arc<Partition>)> {
        self.catalog.all().into_iter().flat_map(|(name, topic)| {
            topic.partitions().into_iter().map(move |partition| (name.clone(), partition))
        })
    }
}
