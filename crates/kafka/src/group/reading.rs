//! The reader's thread: polls, hands records to their partition's queue, pauses what is full, carries out wishes.

mod starting;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::error::KafkaError as Cause;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use tokio::sync::mpsc;
use tracing::{debug, info, warn};
use upnext_common::clock::Clock;
use upnext_common::drain::Drain;

use super::rebalance::{self, Change, Rebalances};
use super::records::{Offered, Sender, queue};
use super::wishes::{Waiting, Wish, Wishes};
use super::{Assignment, GroupSettings, StartOffsets};
use crate::{KafkaError, Record, client};

/// Longest wait for a record, and so for a wish or a drain to be noticed.
const POLL_IDLE: Duration = Duration::from_millis(20);
/// The same while a partition is paused and its queue may have room again.
const POLL_PAUSED: Duration = Duration::from_millis(2);
/// Records handed out between two looks at wishes and queues.
const RECORDS_PER_ROUND: usize = 256;
/// How long a full queue may take to be half empty before its partition pauses. A pause throws away what is fetched
/// and not yet polled, so that an owner that only works hard costs a short wait of all instead.
const STALL_MAX: Duration = Duration::from_millis(100);
const STALL_LOOK: Duration = Duration::from_micros(300);
const COMMIT_INTERVAL: Duration = Duration::from_millis(100);
const START_RETRY_MIN: Duration = Duration::from_millis(50);
const START_RETRY_MAX: Duration = Duration::from_secs(2);
const QUESTION_TIMEOUT: Duration = Duration::from_secs(5);

/// Where the thread's results go, and whence its orders come.
pub(super) struct Outlet {
    pub(super) assignments: mpsc::Sender<Assignment>,
    pub(super) wishes: Arc<Wishes>,
    pub(super) offsets: Arc<dyn StartOffsets>,
}

pub(super) struct Reading {
    consumer: BaseConsumer<Rebalances>,
    settings: GroupSettings,
    topic: Arc<str>,
    outlet: Outlet,
    drain: Drain,
    clock: Clock,
    /// Partitions that are ours and whose start is not known yet.
    waiting: BTreeMap<i32, WaitingStart>,
    /// Partitions being read.
    seats: BTreeMap<i32, Seat>,
    epoch: u64,
    commits: BTreeMap<i32, Wish>,
    committed_at: Instant,
    in_trouble: bool,
}

struct WaitingStart {
    /// Where a reposition said to start; otherwise [`StartOffsets`] is asked.
    offset: Option<i64>,
    retry_at: Instant,
    wait: Duration,
}

/// One assignment as the thread sees it.
struct Seat {
    epoch: u64,
    records: Sender,
    /// Read, and found no room. Not empty: the partition is paused. Librdkafka delivers nothing of a paused partition,
    /// not even what it had fetched, so that this is one record.
    overflow: VecDeque<Record>,
    revoked: Drain,
}

impl Reading {
    pub(super) fn new(
        brokers: &str,
        settings: GroupSettings,
        outlet: Outlet,
        drain: Drain,
    ) -> Result<Self, KafkaError> {
        let mut config = client::consumer_settings(brokers, &settings.group);
        config
            .set("partition.assignment.strategy", "cooperative-sticky")
            .set("session.timeout.ms", settings.session_timeout_ms.to_string())
            .set("heartbeat.interval.ms", (settings.session_timeout_ms / 5).to_string())
            .set("max.poll.interval.ms", "60000");
        if let Some(id) = &settings.instance_id {
            config.set("group.instance.id", id);
        }
        let consumer: BaseConsumer<Rebalances> =
            config.create_with_context(Rebalances::default()).map_err(KafkaError::client)?;
        consumer
            .subscribe(&[&settings.topic])
            .map_err(|cause| KafkaError::topic(&settings.topic, cause))?;
        let clock = Clock::system();
        Ok(Self {
            consumer,
            topic: Arc::from(settings.topic.as_str()),
            settings,
            outlet,
            drain,
            committed_at: clock.instant(),
            clock,
            waiting: BTreeMap::new(),
            seats: BTreeMap::new(),
            epoch: 0,
            commits: BTreeMap::new(),
            in_trouble: false,
        })
    }

    /// Runs until the reader is closed. While draining nothing is read, but commits still go out.
    pub(super) fn run(mut self) -> Result<(), KafkaError> {
        let mut outcome = Ok(());
        while outcome.is_ok() && !self.is_over() {
            if self.drain.has_started() {
                self.stop_all();
            }
            outcome = self.poll_round();
            self.take_changes();
            self.carry_out_wishes();
            self.start_waiting();
            self.refill();
            self.commit_due();
        }
        self.carry_out_wishes();
        self.stop_all();
        // A broker that is away would hold this up for a whole session; what is not committed is read again.
        if !self.in_trouble {
            self.commit(CommitMode::Sync);
        }
        outcome
    }

    /// Whether the reader was closed or dropped.
    fn is_over(&self) -> bool {
        self.outlet.wishes.has_ended() || self.outlet.assignments.is_closed()
    }

    fn poll_round(&mut self) -> Result<(), KafkaError> {
        let is_full = self.seats.values().any(|seat| !seat.overflow.is_empty());
        let mut wait = if is_full { POLL_PAUSED } else { POLL_IDLE };
        for _ in 0..RECORDS_PER_ROUND {
            let record = match self.consumer.poll(wait) {
                None => return Ok(()),
                Some(Ok(message)) => Record::copy(&self.topic, &message),
                Some(Err(Cause::MessageConsumptionFatal(code))) => {
                    return Err(KafkaError::Fatal { cause: code.to_string() });
                }
                Some(Err(error)) => {
                    self.note_trouble(&error);
                    return Ok(());
                }
            };
            self.note_recovery();
            self.hand_out(record);
            wait = Duration::ZERO;
        }
        Ok(())
    }

    fn hand_out(&mut self, record: Record) {
        let partition = record.partition;
        let Some(seat) = self.seats.get_mut(&partition) else { return };
        if !seat.overflow.is_empty() {
            seat.overflow.push_back(record);
            return;
        }
        match seat.records.offer(record) {
            Offered::Taken => {}
            Offered::Full(record) => {
                wait_for_room(&seat.records, &self.clock);
                if let Offered::Full(record) = seat.records.offer(record) {
                    seat.overflow.push_back(record);
                    self.pause(partition);
                }
            }
            // Its owner has left; it keeps the partition until it is revoked or repositioned.
            Offered::Closed => self.pause(partition),
        }
    }

    fn pause(&self, partition: i32) {
        if let Err(error) = self.consumer.pause(&self.one(partition)) {
            warn!(partition, %error, "pause failed");
        }
    }

    /// Gives paused partitions what overflowed, and resumes those whose queue is half empty again.
    fn refill(&mut self) {
        let mut resumed = TopicPartitionList::new();
        for (partition, seat) in &mut self.seats {
            if seat.overflow.is_empty() || !seat.records.has_room() {
                continue;
            }
            while let Some(record) = seat.overflow.pop_front() {
                if let Offered::Full(record) = seat.records.offer(record) {
                    seat.overflow.push_front(record);
                    break;
                }
            }
            if seat.overflow.is_empty() && !seat.records.is_closed() {
                resumed.add_partition(&self.topic, *partition);
            }
        }
        if resumed.count() > 0
            && let Err(error) = self.consumer.resume(&resumed)
        {
            warn!(%error, "resume failed");
        }
    }

    fn take_changes(&mut self) {
        for change in self.consumer.context().take() {
            self.settings.rebalances.inc();
            match change {
                Change::Gained(partitions) => {
                    info!(group = self.settings.group, topic = %self.topic, ?partitions, "assigned");
                    for partition in partitions {
                        self.wait_for_start(partition, None);
                    }
                }
                Change::Lost(partitions) => {
                    info!(group = self.settings.group, topic = %self.topic, ?partitions, "revoked");
                    for partition in partitions {
                        self.waiting.remove(&partition);
                        self.commits.remove(&partition);
                        self.leave_seat(partition);
                    }
                }
            }
        }
    }

    fn wait_for_start(&mut self, partition: i32, offset: Option<i64>) {
        let retry_at = self.clock.instant();
        self.waiting.insert(partition, WaitingStart { offset, retry_at, wait: START_RETRY_MIN });
    }

    fn leave_seat(&mut self, partition: i32) {
        if let Some(seat) = self.seats.remove(&partition) {
            seat.revoked.start();
        }
    }

    fn carry_out_wishes(&mut self) {
        let Some(Waiting { commits, repositions }) = self.outlet.wishes.take() else { return };
        for (partition, wish) in commits {
            if self.is_present(partition, wish) {
                self.commits.insert(partition, wish);
            }
        }
        for (partition, wish) in repositions {
            if self.is_present(partition, wish) {
                self.stop(partition);
                self.wait_for_start(partition, Some(wish.offset));
            }
        }
    }

    /// Whether the assignment that a wish is said for still stands.
    fn is_present(&self, partition: i32, wish: Wish) -> bool {
        let seat = self.seats.get(&partition);
        seat.is_some_and(|seat| wish.epoch.is_none_or(|epoch| epoch == seat.epoch))
    }

    /// Ends an assignment of a partition that stays ours.
    fn stop(&mut self, partition: i32) {
        if let Err(error) = rebalance::unassign(&self.consumer, &self.one(partition)) {
            warn!(partition, %error, "unassign failed");
        }
        self.consumer.context().note_stopped(partition);
        self.leave_seat(partition);
    }

    fn stop_all(&mut self) {
        self.waiting.clear();
        for (partition, seat) in &mut self.seats {
            if !seat.revoked.has_started() {
                seat.revoked.start();
                // Ends the owner's queue; the seat stays, so that commits are still taken.
                seat.records = queue(1, 1).0;
                seat.overflow.clear();
                if let Err(error) = self.consumer.pause(&one(&self.topic, *partition)) {
                    debug!(partition, %error, "pause failed");
                }
            }
        }
    }

    fn commit_due(&mut self) {
        let now = self.clock.instant();
        if !self.commits.is_empty() && now.duration_since(self.committed_at) >= COMMIT_INTERVAL {
            self.committed_at = now;
            self.commit(CommitMode::Async);
        }
    }

    fn commit(&mut self, mode: CommitMode) {
        let mut list = TopicPartitionList::new();
        for (partition, wish) in std::mem::take(&mut self.commits) {
            let mut place = list.add_partition(&self.topic, partition);
            let added = place.set_offset(Offset::Offset(wish.offset));
            debug_assert!(added.is_ok(), "an offset is never negative");
            if let Some(note) = wish.note {
                place.set_metadata(note.to_string());
            }
        }
        if list.count() > 0
            && let Err(error) = self.consumer.commit(&list, mode)
        {
            warn!(topic = %self.topic, %error, "commit failed");
        }
    }

    fn note_trouble(&mut self, error: &Cause) {
        if !self.in_trouble {
            self.in_trouble = true;
            warn!(topic = %self.topic, %error, "cannot read, will retry");
        }
    }

    fn note_recovery(&mut self) {
        if self.in_trouble {
            self.in_trouble = false;
            info!(topic = %self.topic, "reading again");
        }
    }

    fn one(&self, partition: i32) -> TopicPartitionList {
        one(&self.topic, partition)
    }
}

/// Waits until half of the queue is free, as long as its owner is quick about it.
fn wait_for_room(records: &Sender, clock: &Clock) {
    let until = clock.instant() + STALL_MAX;
    while !records.has_room() && !records.is_closed() && clock.instant() < until {
        thread::park_timeout(STALL_LOOK);
    }
}

fn one(topic: &str, partition: i32) -> TopicPartitionList {
    let mut list = TopicPartitionList::new();
    list.add_partition(topic, partition);
    list
}
