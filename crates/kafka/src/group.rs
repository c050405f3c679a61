//! A share of a topic's partitions, read in order, each from where its owner says.
//!
//! One `BaseConsumer` lives on one thread (`reading`), which is the only place that touches it: rebalances run while
//! it polls, and a partition can only be stopped and started there. The group tells us *which* partitions are ours;
//! *where* each starts is asked of [`StartOffsets`], because what was done may be written elsewhere than in Kafka.
//! A partition is handed out as an [`Assignment`]: a bounded queue of its records and a signal that it was taken
//! away. Full queue: that partition pauses, the others flow. [`Claim::reposition`] ends an assignment and begins a
//! new one of the same partition at another offset.
//!
//! Commits go out without waiting and belong to an assignment: what is said for one that has ended is dropped.
//! Nothing may depend on a commit reaching the broker before a partition moves.

mod reading;
mod rebalance;
mod records;
mod wishes;
mod committed;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tracing::warn;
use upnext_common::drain::Drain;
use upnext_common::metrics::Counter;

use crate::{KafkaError, client};
pub use committed::{Committed, Marks, Note, committed};
pub use records::Records;

use reading::Reading;
use wishes::{Wish, Wishes};

/// Assignments handed out and not yet taken by [`Reader::next`].
const ASSIGNMENTS_MAX: usize = 256;
/// Longest wait for the goodbye. Librdkafka may wait for a broker that is away as long as the process lives.
const CLOSE_WAIT_MAX: Duration = Duration::from_secs(5);

/// Where an assignment begins to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    Offset(i64),
    Beginning,
    /// At the group's commit; at the beginning when there is none.
    Committed,
}

/// Says where a partition starts. Asked on the reader's thread each time a partition becomes ours; may block.
pub trait StartOffsets: Send + Sync {
    /// # Errors
    /// Why it cannot be said now. The partition stays unread and the question is asked again, with growing waits.
    fn start(&self, partition: i32, committed: Option<i64>) -> Result<Start, String>;
}

/// Starts every partition at the group's commit.
#[derive(Clone, Copy, Debug, Default)]
pub struct FromCommit;

impl StartOffsets for FromCommit {
    fn start(&self, _partition: i32, _committed: Option<i64>) -> Result<Start, String> {
        Ok(Start::Committed)
    }
}

/// Which topic is read by which group, and its limits.
#[derive(Clone, Debug)]
pub struct GroupSettings {
    pub group: String,
    pub topic: String,
    /// Records of one partition that may wait for their owner, and their bytes.
    pub queue_max: usize,
    pub queue_bytes_max: usize,
    /// A name that survives a restart, so that a quick one moves no partitions.
    pub instance_id: Option<String>,
    pub session_timeout_ms: u32,
    /// Counts how often the group gave this reader partitions, or took some.
    pub rebalances: Counter,
}

impl GroupSettings {
    #[must_use]
    pub fn new(group: &str, topic: &str) -> Self {
        Self {
            group: group.to_owned(),
            topic: topic.to_owned(),
            queue_max: 4_000,
            queue_bytes_max: 4 << 20,
            instance_id: None,
            session_timeout_ms: 10_000,
            rebalances: Counter::default(),
        }
    }
}

/// Reads a topic as a member of a group. Dropping it leaves the group.
pub struct Reader {
    assignments: mpsc::Receiver<Assignment>,
    wishes: Arc<Wishes>,
    ended: oneshot::Receiver<Result<(), KafkaError>>,
    drain: Drain,
}

impl Reader {
    /// Joins the group on a thread of its own. A broker that is away is waited for.
    ///
    /// # Errors
    /// When the settings are refused or no thread can be had.
    pub fn start(
        brokers: &str,
        settings: GroupSettings,
        offsets: Arc<dyn StartOffsets>,
        drain: Drain,
    ) -> Result<Self, KafkaError> {
        let (sender, assignments) = mpsc::channel(ASSIGNMENTS_MAX);
        let (ending, ended) = oneshot::channel();
        let wishes = Arc::new(Wishes::default());
        let outlet = reading::Outlet { assignments: sender, wishes: Arc::clone(&wishes), offsets };
        let reading = Reading::new(brokers, settings, outlet, drain.clone())?;
        client::spawn("kafka-reader", move || {
            // A reader that was dropped does not want to know.
            ending.send(reading.run()).ok();
        })?;
        Ok(Self { assignments, wishes, ended, drain })
    }

    /// The next partition that became ours, or began again elsewhere. `None` once draining, or when the reader
    /// failed for good ([`Reader::close`] tells). Cancel safe.
    pub async fn next(&mut self) -> Option<Assignment> {
        tokio::select! {
            biased;
            () = self.drain.started() => None,
            assignment = self.assignments.recv() => assignment,
        }
    }

    /// Commits for the present assignment of `partition`: everything before `next_offset` is done.
    pub fn commit(&self, partition: i32, next_offset: i64) {
        let wish = Wish { epoch: None, offset: next_offset, note: None };
        self.wishes.commit(partition, wish);
    }

    /// Ends the present assignment of `partition`, with what is queued, and begins a new one at `offset`.
    pub fn reposition(&self, partition: i32, offset: i64) {
        self.wishes.reposition(partition, None, offset);
    }

    /// Sends the last commits, leaves the group and waits until that is done, but not for a broker that is away:
    /// then the group notices by itself, and what could not be committed is read again.
    ///
    /// # Errors
    /// Why the reader had failed, if it had.
    pub async fn close(self) -> Result<(), KafkaError> {
        let Self { assignments, wishes, ended, drain: _ } = self;
        wishes.end();
        drop(assignments);
        match tokio::time::timeout(CLOSE_WAIT_MAX, ended).await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(_)) => Err(KafkaError::client("the reader's thread died")),
            Err(_) => {
                warn!("closed without leave: the group does not answer");
                Ok(())
            }
        }
    }
}

/// One partition from one offset on, until it is revoked or repositioned.
#[derive(Debug)]
pub struct Assignment {
    pub partition: i32,
    pub start_offset: i64,
    pub records: Records,
    /// Starts when the partition was taken away, repositioned, or the reader ends.
    pub revoked: Drain,
    pub claim: Claim,
}

/// The right to commit and reposition one partition, good for one assignment. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Claim {
    partition: i32,
    /// Counts the assignments of this reader; a claim on an ended one does nothing.
    epoch: u64,
    wishes: Arc<Wishes>,
}

impl Claim {
    /// Everything before `next_offset` is done.
    pub fn commit(&self, next_offset: i64) {
        let wish = Wish { epoch: Some(self.epoch), offset: next_offset, note: None };
        self.wishes.commit(self.partition, wish);
    }

    /// The same, with a note that [`committed`] tells as long as the topic stands.
    pub fn commit_noting(&self, next_offset: i64, note: Note) {
        let wish = Wish { epoch: Some(self.epoch), offset: next_offset, note: Some(note) };
        self.wishes.commit(self.partition, wish);
    }

    /// Ends this assignment, with what is queued, and begins a new one of the same partition at `offset`.
    pub fn reposition(&self, offset: i64) {
        self.wishes.reposition(self.partition, Some(self.epoch), offset);
    }
}
