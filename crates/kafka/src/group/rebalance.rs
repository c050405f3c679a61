//! Takes the group's word on which partitions are ours, and leaves where they start to the reader's thread.

use std::collections::BTreeSet;

use parking_lot::Mutex;
use rdkafka::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::{KafkaError as Cause, KafkaResult};
use rdkafka::topic_partition_list::TopicPartitionList;
use rdkafka::types::RDKafkaRespErr;
use tracing::{debug, warn};

use crate::client;

/// What a rebalance said, in the order it was said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Change {
    Gained(Vec<i32>),
    Lost(Vec<i32>),
}

/// Librdkafka's callbacks. All run on the reader's thread, while it polls.
#[derive(Default)]
pub(super) struct Rebalances(Mutex<Told>);

#[derive(Default)]
struct Told {
    changes: Vec<Change>,
    /// Partitions that were started, and so have to be stopped when they are lost.
    started: BTreeSet<i32>,
}

impl Rebalances {
    /// What happened since the last call.
    pub(super) fn take(&self) -> Vec<Change> {
        std::mem::take(&mut self.0.lock().changes)
    }

    pub(super) fn note_started(&self, partition: i32) {
        self.0.lock().started.insert(partition);
    }

    pub(super) fn note_stopped(&self, partition: i32) {
        self.0.lock().started.remove(&partition);
    }

    /// Answers a gain with nothing to read yet: the reader's thread adds each partition once its start is known.
    fn gained(&self, consumer: &BaseConsumer<Self>, partitions: Vec<i32>) -> KafkaResult<()> {
        consumer.incremental_assign(&TopicPartitionList::new())?;
        self.0.lock().changes.push(Change::Gained(partitions));
        Ok(())
    }

    fn lost(&self, consumer: &BaseConsumer<Self>, list: &TopicPartitionList) -> KafkaResult<()> {
        let partitions = partitions_of(list);
        let mut stopped = TopicPartitionList::new();
        {
            let mut told = self.0.lock();
            for element in list.elements() {
                if told.started.remove(&element.partition()) {
                    stopped.add_partition(element.topic(), element.partition());
                }
            }
            told.changes.push(Change::Lost(partitions));
        }
        unassign(consumer, &stopped)
    }
}

impl ClientContext for Rebalances {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        client::log_line(level, facility, message);
    }

    fn error(&self, error: Cause, reason: &str) {
        debug!(%error, reason, "reader trouble");
    }
}

impl ConsumerContext for Rebalances {
    fn rebalance(
        &self,
        consumer: &BaseConsumer<Self>,
        kind: RDKafkaRespErr,
        list: &mut TopicPartitionList,
    ) {
        let done = if kind == RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS {
            self.gained(consumer, partitions_of(list))
        } else {
            self.lost(consumer, list)
        };
        if let Err(error) = done {
            warn!(%error, "a rebalance was not taken");
        }
    }

    fn commit_callback(&self, result: KafkaResult<()>, _offsets: &TopicPartitionList) {
        if let Err(error) = result {
            // The next commit says the same and more.
            debug!(%error, "commit failed");
        }
    }
}

/// Stops reading. A pause would outlast it and hold the partition back when it is assigned again, so that is lifted
/// first; what is fetched and not yet polled, librdkafka forgets.
pub(super) fn unassign(
    consumer: &BaseConsumer<Rebalances>,
    list: &TopicPartitionList,
) -> KafkaResult<()> {
    consumer.resume(list)?;
    consumer.incremental_unassign(list)
}

fn partitions_of(list: &TopicPartitionList) -> Vec<i32> {
    list.elements().iter().map(|element| element.partition()).collect()
}
