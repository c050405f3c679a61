//! Where a partition that became ours starts: asked, retried, and then handed out.

use std::collections::VecDeque;
use std::sync::Arc;

use rdkafka::consumer::Consumer;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use tracing::warn;
use upnext_common::drain::Drain;

use super::{QUESTION_TIMEOUT, Reading, START_RETRY_MAX, START_RETRY_MIN, Seat};
use crate::group::{Assignment, Claim, Start, records};

impl Reading {
    pub(super) fn start_waiting(&mut self) {
        // Nobody is there any more to take a partition: the reader is being closed.
        if self.is_over() {
            return;
        }
        let now = self.clock.instant();
        let due = self
            .waiting
            .iter()
            .filter(|(_, start)| start.retry_at <= now)
            .map(|(partition, start)| (*partition, start.offset))
            .collect::<Vec<_>>();
        for (partition, offset) in due {
            match self.start(partition, offset) {
                Ok(()) => {
                    self.waiting.remove(&partition);
                }
                Err(error) => self.retry_start(partition, &error),
            }
        }
    }

    fn retry_start(&mut self, partition: i32, error: &str) {
        let now = self.clock.instant();
        if let Some(start) = self.waiting.get_mut(&partition) {
            if start.wait == START_RETRY_MIN {
                warn!(partition, topic = %self.topic, error, "cannot start reading, will retry");
            }
            start.retry_at = now + start.wait;
            start.wait = (start.wait * 2).min(START_RETRY_MAX);
        }
    }

    /// Finds out where a partition starts, starts it there and hands it out.
    fn start(&mut self, partition: i32, offset: Option<i64>) -> Result<(), String> {
        let slot = self.outlet.assignments.try_reserve().map_err(|error| error.to_string())?;
        let start_offset = match offset {
            Some(offset) => offset,
            None => self.ask_start(partition)?,
        };
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(&self.topic, partition, Offset::Offset(start_offset))
            .and_then(|()| self.consumer.incremental_assign(&list))
            .map_err(|error| error.to_string())?;
        self.consumer.context().note_started(partition);
        self.epoch += 1;
        let (sender, records) =
            records::queue(self.settings.queue_max, self.settings.queue_bytes_max);
        let revoked = Drain::new();
        let claim = Claim { partition, epoch: self.epoch, wishes: Arc::clone(&self.outlet.wishes) };
        let seat = Seat {
            epoch: self.epoch,
            records: sender,
            overflow: VecDeque::new(),
            revoked: revoked.clone(),
        };
        slot.send(Assignment { partition, start_offset, records, revoked, claim });
        self.seats.insert(partition, seat);
        Ok(())
    }

    fn ask_start(&self, partition: i32) -> Result<i64, String> {
        let committed = self.committed(partition)?;
        match (self.outlet.offsets.start(partition, committed)?, committed) {
            (Start::Offset(offset), _) | (Start::Committed, Some(offset)) => Ok(offset),
            (Start::Beginning, _) | (Start::Committed, None) => self
                .consumer
                .fetch_watermarks(&self.topic, partition, QUESTION_TIMEOUT)
                .map(|(first, _)| first)
                .map_err(|error| error.to_string()),
        }
    }

    fn committed(&self, partition: i32) -> Result<Option<i64>, String> {
        let found = self
            .consumer
            .committed_offsets(self.one(partition), QUESTION_TIMEOUT)
            .map_err(|error| error.to_string())?;
        Ok(found.elements().first().and_then(|element| match element.offset() {
            Offset::Offset(offset) => Some(offset),
            Offset::Beginning
            | Offset::End
            | Offset::Stored
            | Offset::Invalid
            | Offset::OffsetTail(_) => None,
        }))
    }
}
