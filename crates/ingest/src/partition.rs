//! One partition: judge in order, send in order, commit what is acknowledged.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::time::Instant;
use tracing::{error, info, warn};
use upnext_common::drain::Drain;
use upnext_common::metrics::{EventLabels, LagLabels};
use upnext_contract::{Raw, Reason, Rejection, SCHEMA_HEADER, Verdict};
use upnext_kafka::group::{Assignment, Claim};
use upnext_kafka::{Delivery, KafkaError, Outgoing, Record};

use crate::Shared;

/// Waits between two looks at a record whose schema the registry could not give.
const TROUBLE_WAIT_MIN: Duration = Duration::from_millis(100);
const TROUBLE_WAIT_MAX: Duration = Duration::from_secs(2);
/// Wait before a partition starts again after a record could not be delivered.
const REDELIVER_WAIT: Duration = Duration::from_millis(200);
/// Longest wait for what is under way once stopped. A broker that is away would be waited for without end; what it
/// has not acknowledged is not committed, and so comes again.
const LAND_WAIT_MAX: Duration = Duration::from_secs(5);

const ACCEPTED: &str = "accepted";
const REJECTED: &str = "rejected";

/// Works until the partition is taken away, the daemon drains, or a delivery fails; in the last case the
/// partition is begun again where everything before it is acknowledged.
pub(crate) async fn run(assignment: Assignment, shared: Arc<Shared>, drain: Drain) {
    let Assignment { partition, start_offset, mut records, revoked, claim } = assignment;
    info!(partition, start_offset, "partition begins");
    let stop = Stop { revoked, drain };
    let mut flight = Flight::new(partition, start_offset, claim, Arc::clone(&shared));
    let outcome = work(&mut records, &mut flight, &stop).await;
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
    if let Err(cause) = outcome {
        warn!(partition, %cause, "a record was not delivered, the partition starts again");
        if matches!(cause, KafkaError::Fatal { .. }) {
            shared.outlet.replace(flight.generation);
        }
        tokio::time::sleep(REDELIVER_WAIT).await;
        flight.claim.reposition(flight.next_offset);
    }
}

/// When to stop: the partition was taken away, or the daemon drains.
struct Stop {
    revoked: Drain,
    drain: Drain,
}

impl Stop {
    async fn started(&self) {
        tokio::select! {
            () = self.revoked.started() => {}
            () = self.drain.started() => {}
        }
    }
}

async fn work(
    records: &mut tokio::sync::mpsc::Receiver<Record>,
    flight: &mut Flight,
    stop: &Stop,
) -> Result<(), KafkaError> {
    let wait = Duration::from_millis(flight.shared.config.ingest.batch_wait_ms.max(1));
    let mut commit_at = Instant::now() + wait;
    loop {
        tokio::select! {
            biased;
            () = stop.started() => return Ok(()),
            landed = flight.landed(), if !flight.is_empty() => landed?,
            () = tokio::time::sleep_until(commit_at), if flight.has_news() => {}
            record = records.recv(), if flight.has_room() => {
                let Some(record) = record else { return Ok(()) };
                let Some(verdict) = judge(&flight.shared, &record, stop).await else {
                    return Ok(());
                };
                flight.launch(&record, verdict).await?;
            }
        }
        if Instant::now() >= commit_at || flight.is_due() {
            flight.commit();
            commit_at = Instant::now() + wait;
        }
    }
}

/// The verdict, however long the registry takes to say what it needs. `None` when stopped meanwhile.
async fn judge(shared: &Shared, record: &Record, stop: &Stop) -> Option<Verdict> {
    let raw = Raw {
        key: record.key.as_deref(),
        value: record.value.as_deref(),
        schema_header: record.header(SCHEMA_HEADER),
        timestamp_ms: record.timestamp_ms,
    };
    let mut wait = TROUBLE_WAIT_MIN;
    loop {
        let trouble = match shared.contract.judge(raw).await {
            Ok(verdict) => {
                if wait > TROUBLE_WAIT_MIN {
                    info!(partition = record.partition, "partition goes on");
                }
                return Some(verdict);
            }
            Err(trouble) => trouble,
        };
        if wait == TROUBLE_WAIT_MIN {
            warn!(partition = record.partition, offset = record.offset, %trouble, "partition waits");
        }
        tokio::select! {
            () = stop.started() => return None,
            () = tokio::time::sleep(wait) => wait = (wait * 2).min(TROUBLE_WAIT_MAX),
        }
    }
}

/// One record on its way out.
struct Launched {
    offset: i64,
    delivery: Delivery,
    label: EventLabels,
}

/// Records of one partition that are sent and not yet acknowledged, in order.
struct Flight {
    partition: i32,
    /// Everything before it is acknowledged.
    next_offset: i64,
    committed_offset: i64,
    claim: Claim,
    launched: VecDeque<Launched>,
    /// Acknowledged since the last commit, by verdict.
    news: HashMap<EventLabels, u64>,
    newest_timestamp_ms: i64,
    /// Of the producer in use when this partition began.
    generation: u64,
    shared: Arc<Shared>,
}

impl Flight {
    fn new(partition: i32, start_offset: i64, claim: Claim, shared: Arc<Shared>) -> Self {
        Self {
            partition,
            next_offset: start_offset,
            committed_offset: start_offset,
            claim,
            launched: VecDeque::new(),
            news: HashMap::new(),
            newest_timestamp_ms: 0,
            generation: shared.outlet.producer().0,
            shared,
        }
    }

    fn is_empty(&self) -> bool {
        self.launched.is_empty()
    }

    fn has_room(&self) -> bool {
        self.launched.len() < self.shared.config.ingest.batch_records_max.max(1)
    }

    fn has_news(&self) -> bool {
        self.next_offset > self.committed_offset
    }

    fn is_due(&self) -> bool {
        let max = i64::try_from(self.shared.config.ingest.batch_records_max).unwrap_or(i64::MAX);
        self.next_offset - self.committed_offset >= max
    }

    /// Sends what became of a record.
    async fn launch(&mut self, record: &Record, verdict: Verdict) -> Result<(), KafkaError> {
        let (outgoing, label) = self.outcome(record, verdict);
        let delivery = match self.shared.outlet.send(&outgoing).await {
            Err(KafkaError::Refused { cause }) => self.send_bare(outgoing, &cause).await?,
            sent => sent?,
        };
        self.newest_timestamp_ms = record.timestamp_ms;
        self.launched.push_back(Launched { offset: record.offset, delivery, label });
        Ok(())
    }

    fn outcome(&self, record: &Record, verdict: Verdict) -> (Outgoing, EventLabels) {
        let rejection = match verdict {
            Verdict::Accept(event) => match self.shared.stamp.valid(record, &event) {
                Some(outgoing) => {
                    return (outgoing, EventLabels { verdict: ACCEPTED, reason: "none" });
                }
                None => Rejection::new(Reason::Size, "", "the event does not fit a record"),
            },
            Verdict::Reject(rejection) => rejection,
        };
        let label = EventLabels { verdict: REJECTED, reason: rejection.reason.code() };
        (self.shared.stamp.dead(record, &rejection, self.shared.clock.now_ms()), label)
    }

    /// A record the broker will not take goes without its value: its headers say where the original stands.
    async fn send_bare(&self, outgoing: Outgoing, cause: &str) -> Result<Delivery, KafkaError> {
        error!(
            partition = self.partition,
            cause, "record refused by the broker, sent without value"
        );
        let bare = Outgoing { value: None, ..outgoing };
        self.shared.outlet.send(&bare).await
    }

    /// Waits for the oldest record's acknowledgement. Cancel safe.
    async fn landed(&mut self) -> Result<(), KafkaError> {
        let Some(oldest) = self.launched.front_mut() else { return Ok(()) };
        (&mut oldest.delivery).await?;
        if let Some(done) = self.launched.pop_front() {
            self.next_offset = done.offset + 1;
            *self.news.entry(done.label).or_default() += 1;
        }
        Ok(())
    }

    /// Waits for everything under way.
    async fn land(&mut self) -> Result<(), KafkaError> {
        while !self.is_empty() {
            self.landed().await?;
        }
        Ok(())
    }

    fn give_up(&self) {
        let count = self.launched.len();
        warn!(partition = self.partition, count, "stopped before all was acknowledged");
    }

    /// Says that everything acknowledged is done, and counts it.
    fn commit(&mut self) {
        if !self.has_news() {
            return;
        }
        self.claim.commit(self.next_offset);
        self.committed_offset = self.next_offset;
        for (label, count) in self.news.drain() {
            let total = if label.verdict == ACCEPTED {
                &self.shared.accepted
            } else {
                &self.shared.rejected
            };
            total.fetch_add(count, Ordering::AcqRel);
            self.shared.metrics.events.get_or_create(&label).inc_by(count);
        }
        self.note_lag();
    }

    fn note_lag(&self) {
        let topic = upnext_common::topic::Topic::Events.base().to_owned();
        let labels = LagLabels { topic, partition: self.partition };
        let age_ms = (self.shared.clock.now_ms() - self.newest_timestamp_ms).max(0);
        let gauge = self.shared.metrics.consumer_lag_seconds.get_or_create(&labels);
        gauge.set(age_ms as f64 / 1_000.0);
    }
}
