//! One partition: judge in order, send in order, commit what is acknowledged.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use tracing::{error, info, warn};
use upnext_common::drain::Drain;
use upnext_kafka::group::{Assignment, Records};
use upnext_kafka::{KafkaError, Record};

use crate::Shared;
use crate::epoch;
use crate::flight::{Flight, Judged};
use crate::in_hand;
use crate::judging::Judge;
use crate::rejects::{Gate, GateSettings, Turn};

/// Wait before a partition starts again after a record could not be delivered.
pub(crate) const REDELIVER_WAIT: Duration = Duration::from_millis(200);
/// Longest wait for what is under way once stopped. A broker that is away would be waited for without end; what it
/// has not acknowledged is not committed, and so comes again.
const LAND_WAIT_MAX: Duration = Duration::from_secs(5);
/// Records taken in hand at once: written down together, and tried in a child together should they kill.
const BATCH_MAX: usize = 64;

/// Works until the partition is taken away, the daemon drains, or a delivery fails; in the last case the
/// partition is begun again where everything before it is acknowledged.
pub(crate) async fn run(assignment: Assignment, shared: Arc<Shared>, drain: Drain) {
    let Assignment { partition, start_offset, records, revoked, claim } = assignment;
    let stop = Stop { revoked, drain };
    let begun = epoch::begin(&shared, partition, start_offset, &stop).await;
    let Some(begun) = begun else { return };
    if begun.start_offset != start_offset {
        claim.reposition(begun.start_offset);
        return;
    }
    info!(partition, start_offset, "partition begins");
    let flight = Flight::new(partition, begun, claim, Arc::clone(&shared));
    let mut work = Work::new((partition, start_offset), records, flight, &shared);
    let turn = work.turn;
    let outcome = work.until(&stop).await;
    work.gate_opens("the partition ends here");
    let Work { mut flight, .. } = work;
    let outcome = match outcome {
        Ok(()) => match tokio::time::timeout(LAND_WAIT_MAX, flight.land()).await {
            Ok(landed) => landed,
            Err(_) => {
                flight.give_up();
                Ok(())
            }
        },
        Err(cause) => Err(cause),
    };
    flight.commit();
    shared.in_hand.end(turn);
    if let Err(cause) = outcome {
        warn!(partition, %cause, "a record was not delivered, the partition starts again");
        tokio::time::sleep(REDELIVER_WAIT).await;
        flight.begin_again(&cause).await;
    }
}

/// When to stop: the partition was taken away, or the daemon drains.
pub(crate) struct Stop {
    revoked: Drain,
    drain: Drain,
}

impl Stop {
    fn has_started(&self) -> bool {
        self.revoked.has_started() || self.drain.has_started()
    }

    pub(crate) async fn started(&self) {
        tokio::select! {
            () = self.revoked.started() => {}
            () = self.drain.started() => {}
        }
    }
}

struct Work {
    partition: i32,
    /// Offset after the last record that was judged.
    judged_to: i64,
    turn: in_hand::Turn,
    records: Records,
    /// Taken from the queue and not judged yet, newest first.
    batch: Vec<Record>,
    /// When it was taken.
    taken_at: std::time::Instant,
    flight: Flight,
    judge: Judge,
    gate: Gate,
    commit_at: Instant,
    shared: Arc<Shared>,
}

impl Work {
    fn new(
        (partition, judged_to): (i32, i64),
        records: Records,
        flight: Flight,
        shared: &Arc<Shared>,
    ) -> Self {
        let (turn, suspects) = shared.in_hand.begin(partition);
        let ingest = &shared.config.ingest;
        let gate = Gate::new(GateSettings {
            share_max: ingest.reject_pause_share,
            records_min: ingest.reject_pause_records_min,
            probe: Duration::from_millis(ingest.reject_probe_ms),
        });
        Self {
            partition,
            judged_to,
            turn,
            records,
            batch: Vec::with_capacity(BATCH_MAX),
            taken_at: shared.clock.instant(),
            flight,
            judge: Judge::new(suspects, Arc::clone(shared)),
            gate,
            commit_at: Instant::now() + shared.commit_wait(),
            shared: Arc::clone(shared),
        }
    }

    async fn until(&mut self, stop: &Stop) -> Result<(), KafkaError> {
        loop {
            let may_judge = self.flight.has_room() && !self.waits();
            if may_judge && !self.batch.is_empty() {
                if stop.has_started() || !self.judge_batch(stop).await? {
                    return Ok(());
                }
                self.commit_due();
                continue;
            }
            tokio::select! {
                biased;
                () = stop.started() => return Ok(()),
                landed = self.flight.landed(), if !self.flight.is_empty() => landed?,
                () = tokio::time::sleep_until(self.commit_at), if self.flight.has_news() => {}
                () = sleep_until(self.gate.opens_at()), if self.waits() => {}
                count = self.records.recv_many(&mut self.batch, BATCH_MAX), if may_judge => {
                    if count == 0 {
                        return Ok(());
                    }
                    self.batch.reverse();
                    self.taken_at = self.shared.clock.instant();
                }
            }
            self.commit_due();
        }
    }

    /// Judges and sends what is in hand, as far as there is room and nothing speaks against it. Whether to go on.
    async fn judge_batch(&mut self, stop: &Stop) -> Result<bool, KafkaError> {
        if let (Some(last), Some(first)) = (self.batch.first(), self.batch.last()) {
            self.shared.in_hand.take(self.turn, first.offset, last.offset);
        }
        while self.flight.has_room()
            && !self.waits()
            && let Some(record) = self.batch.pop()
        {
            if record.offset < self.judged_to {
                return Err(rewound(&record));
            }
            self.judged_to = record.offset + 1;
            let Some(judged) = self.judged(record, stop).await? else { return Ok(false) };
            // A producer without room waits for a broker that may be away. Left out here, the record comes again.
            let is_rejected = tokio::select! {
                biased;
                launched = self.flight.launch(judged) => launched?,
                () = stop.started() => return Ok(false),
            };
            self.note(is_rejected);
        }
        if self.batch.is_empty() && self.records.is_empty() {
            self.shared.in_hand.clear(self.turn);
        }
        Ok(true)
    }

    /// `None` when stopped before there is a verdict.
    async fn judged(&mut self, record: Record, stop: &Stop) -> Result<Option<Judged>, KafkaError> {
        if self.judge.is_clean(&record) && self.flight.takes_as_written(&record) {
            return Ok(Some(Judged::Clean(record)));
        }
        let verdict = self.judge.verdict(&record, self.taken_at, &mut self.flight, stop).await?;
        Ok(verdict.map(|verdict| Judged::Read(record, verdict)))
    }

    /// Whether the gate is closed just now.
    fn waits(&self) -> bool {
        self.gate.opens_at().is_some_and(|at| self.shared.clock.instant() < at)
    }

    fn note(&mut self, is_rejected: bool) {
        // The time of a record that passes need not be exact, and most do.
        let now = if is_rejected { self.shared.clock.instant() } else { self.taken_at };
        match self.gate.note(is_rejected, now) {
            Turn::Nothing => {}
            Turn::Closed { share, records } => {
                self.shared.watch.held(self.partition, true);
                error!(
                    partition = self.partition,
                    share,
                    records,
                    "nearly all is rejected: the partition is held, one record is tried now and then"
                );
            }
            Turn::Opened => {
                self.shared.watch.held(self.partition, false);
                info!(partition = self.partition, "records pass again, the partition goes on");
            }
        }
    }

    fn gate_opens(&mut self, why: &str) {
        if self.gate.is_held() {
            self.shared.watch.held(self.partition, false);
            info!(partition = self.partition, why, "no longer held here");
        }
    }

    fn commit_due(&mut self) {
        if self.flight.is_due() || (self.flight.has_news() && Instant::now() >= self.commit_at) {
            self.flight.commit();
            self.commit_at = Instant::now() + self.shared.commit_wait();
        }
    }
}

/// Only a log that was made anew, or has lost its end, gives an offset twice: the partition has to look at it.
fn rewound(record: &Record) -> KafkaError {
    let (partition, offset) = (record.partition, record.offset);
    let cause = format!("offset {offset} of partition {partition} came again");
    KafkaError::Topic { topic: record.topic.to_string(), cause }
}

async fn sleep_until(at: Option<std::time::Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at.into()).await,
        None => std::future::pending().await,
    }
}
