//! Records of one partition on their way out: sent, acknowledged in order, committed.

use std::collections::VecDeque;
use std::future::{Future as _, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::Poll;

use tracing::{error, warn};
use upnext_common::metrics::{EventLabels, LagLabels};
use upnext_common::topic::Topic;
use upnext_contract::letter::{CONNECT, DEAD};
use upnext_contract::{Reason, Rejection, Verdict};
use upnext_kafka::group::{Claim, Marks, Note};
use upnext_kafka::{Delivery, Header, KafkaError, Outgoing, Record};

use crate::Shared;
use crate::epoch::Begun;
use crate::limits::Remedy;
use crate::outlet::Way;

const LABEL_ACCEPTED: EventLabels = EventLabels { verdict: "accepted", reason: "none" };
const REJECTED: &str = "rejected";

/// A record with what became of it.
pub(crate) enum Judged {
    /// Nothing speaks against it and its value needs no change: no event was made of it.
    Clean(Record),
    Read(Record, Verdict),
}

impl Judged {
    /// Its offset and its timestamp.
    fn place(&self) -> (i64, i64) {
        match self {
            Self::Clean(record) | Self::Read(record, _) => (record.offset, record.timestamp_ms),
        }
    }
}

/// What the headers that say where a record was read add to it, at most.
const STAMP_BYTES_MAX: usize = 512;

/// One record on its way out.
struct Launched {
    offset: i64,
    timestamp_ms: i64,
    delivery: Delivery,
    label: EventLabels,
}

/// A record that a broker refused, and where: of the valid topic or of the dead letters.
struct Refused {
    offset: i64,
    partition: Option<i32>,
}

/// Records of one partition that are sent and not yet acknowledged, in order.
pub(crate) struct Flight {
    partition: i32,
    /// Everything before it is acknowledged.
    next_offset: i64,
    committed_offset: i64,
    /// Of the raw topic.
    epoch: u32,
    /// Once something was acknowledged: by what the log is known again.
    marks: Option<Marks>,
    claim: Claim,
    launched: VecDeque<Launched>,
    /// Acknowledged since the last commit, by verdict: few at a time.
    news: Vec<(EventLabels, u64)>,
    newest_timestamp_ms: i64,
    /// In use since this partition had nothing under way.
    way: Way,
    /// Largest batch that was taken when this partition began, in bytes.
    limit: usize,
    /// Refused by the broker, perhaps for the company they had.
    refused: Vec<Refused>,
    shared: Arc<Shared>,
}

impl Flight {
    pub(crate) fn new(
        partition: i32,
        Begun { start_offset, epoch, first, is_news }: Begun,
        claim: Claim,
        shared: Arc<Shared>,
    ) -> Self {
        if is_news {
            // Before anything is written in it.
            claim.commit_noting(start_offset, Note { epoch, marks: None });
        }
        Self {
            partition,
            next_offset: start_offset,
            committed_offset: start_offset,
            epoch,
            marks: first.map(|first| Marks { first, last_ms: first.1 }),
            claim,
            launched: VecDeque::new(),
            news: Vec::new(),
            newest_timestamp_ms: 0,
            way: shared.outlet.way(),
            limit: shared.limits.batch(),
            refused: Vec::new(),
            shared,
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.launched.is_empty()
    }

    pub(crate) fn has_room(&self) -> bool {
        self.launched.len() < self.shared.config.ingest.batch_records_max.max(1)
    }

    pub(crate) fn has_news(&self) -> bool {
        self.next_offset > self.committed_offset
    }

    pub(crate) fn is_due(&self) -> bool {
        let max = i64::try_from(self.shared.config.ingest.batch_records_max).unwrap_or(i64::MAX);
        self.next_offset - self.committed_offset >= max
    }

    /// Whether the valid topic takes the record as it came.
    pub(crate) fn takes_as_written(&self, record: &Record) -> bool {
        self.fits(record, record.size() + STAMP_BYTES_MAX)
    }

    /// Sends what became of a record. Whether it was rejected.
    pub(crate) async fn launch(&mut self, judged: Judged) -> Result<bool, KafkaError> {
        if self.launched.is_empty() {
            self.way = self.shared.outlet.way();
        }
        let (offset, timestamp_ms) = judged.place();
        let (outgoing, label) = match judged {
            Judged::Clean(record) => {
                (self.shared.stamp.as_written(record, self.epoch), LABEL_ACCEPTED)
            }
            Judged::Read(record, verdict) => self.outcome(&record, verdict),
        };
        let delivery = match self.way.producer.send_when_room(&outgoing).await {
            Err(KafkaError::Refused { cause, .. }) => self.send_bare(outgoing, &cause).await?,
            sent => sent?,
        };
        self.newest_timestamp_ms = timestamp_ms;
        let is_rejected = label.verdict == REJECTED;
        self.launched.push_back(Launched { offset, timestamp_ms, delivery, label });
        Ok(is_rejected)
    }

    fn outcome(&self, record: &Record, verdict: Verdict) -> (Outgoing, EventLabels) {
        let rejection = match verdict {
            Verdict::Accept(event) => match self.shared.stamp.valid(record, &event, self.epoch) {
                Some(outgoing) if self.fits(record, outgoing.size()) => {
                    return (outgoing, LABEL_ACCEPTED);
                }
                Some(_) | None => {
                    Rejection::new(Reason::Size, "", "the event does not fit the valid topic")
                }
            },
            Verdict::Reject(rejection) => rejection,
        };
        let label = EventLabels { verdict: REJECTED, reason: rejection.reason.code() };
        (self.dead(record, &rejection), label)
    }

    /// Whether the valid topic takes it, as far as is known.
    fn fits(&self, record: &Record, size: usize) -> bool {
        let limits = &self.shared.limits;
        size <= limits.valid() && !limits.was_refused(self.partition, record.offset)
    }

    /// The dead letter, with as much of the record as the topic takes: its reason and position always.
    fn dead(&self, record: &Record, rejection: &Rejection) -> Outgoing {
        let whole = self.shared.stamp.dead(record, rejection, self.shared.clock.now_ms());
        let limits = &self.shared.limits;
        let is_told = |(name, _): &&Header| name.starts_with(DEAD) || name.starts_with(CONNECT);
        // A dead letter that was refused whole comes again.
        let was_refused =
            limits.was_refused(self.partition, record.offset) && rejection.reason != Reason::Size;
        if whole.size() <= limits.dead() && !was_refused {
            return whole;
        }
        warn!(
            partition = self.partition,
            offset = record.offset,
            "the dead letter is too large, it goes without the value"
        );
        let bare = Outgoing { value: None, ..whole };
        if bare.size() <= limits.dead() {
            return bare;
        }
        let headers = bare.headers.iter().filter(is_told).cloned().collect();
        let bare = Outgoing { headers, ..bare };
        if bare.size() <= limits.dead() { bare } else { Outgoing { key: None, ..bare } }
    }

    /// A record the broker will not take goes without its value: its headers say where the original stands.
    async fn send_bare(&self, outgoing: Outgoing, cause: &str) -> Result<Delivery, KafkaError> {
        error!(
            partition = self.partition,
            cause, "record refused by the broker, sent without value"
        );
        let bare = Outgoing { value: None, ..outgoing };
        self.way.producer.send_when_room(&bare).await
    }

    /// Waits for the oldest record's acknowledgement, and takes what else has come. Cancel safe.
    pub(crate) async fn landed(&mut self) -> Result<(), KafkaError> {
        let Some(oldest) = self.launched.front_mut() else { return Ok(()) };
        let outcome = (&mut oldest.delivery).await;
        self.take(outcome)?;
        while let Some(oldest) = self.launched.front_mut() {
            let delivery = &mut oldest.delivery;
            let polled =
                poll_fn(|context| Poll::Ready(Pin::new(&mut *delivery).poll(context))).await;
            match polled {
                Poll::Ready(outcome) => self.take(outcome)?,
                Poll::Pending => break,
            }
        }
        Ok(())
    }

    fn take(&mut self, outcome: Result<(i32, i64), KafkaError>) -> Result<(), KafkaError> {
        let Some(done) = self.launched.pop_front() else { return Ok(()) };
        if let Err(error) = outcome {
            if let KafkaError::Refused { partition, .. } = &error {
                self.refused.push(Refused { offset: done.offset, partition: *partition });
            }
            return Err(error);
        }
        self.next_offset = done.offset + 1;
        let first = self.marks.map_or((done.offset, done.timestamp_ms), |marks| marks.first);
        self.marks = Some(Marks { first, last_ms: done.timestamp_ms });
        match self.news.iter_mut().find(|(label, _)| *label == done.label) {
            Some((_, count)) => *count += 1,
            None => self.news.push((done.label, 1)),
        }
        Ok(())
    }

    /// Waits for everything under way.
    pub(crate) async fn land(&mut self) -> Result<(), KafkaError> {
        while !self.is_empty() {
            self.landed().await?;
        }
        Ok(())
    }

    pub(crate) fn give_up(&self) {
        let count = self.launched.len();
        warn!(partition = self.partition, count, "stopped before all was acknowledged");
    }

    /// The partition starts again at what is not acknowledged, with a producer whose batches are not refused again. A
    /// record that is refused alone is noted, so that it is a dead letter then.
    pub(crate) async fn begin_again(mut self, cause: &KafkaError) {
        let until = tokio::time::Instant::now() + crate::partition::REDELIVER_WAIT;
        for launched in std::mem::take(&mut self.launched) {
            let landed = tokio::time::timeout_at(until, launched.delivery);
            match landed.await {
                Ok(Err(KafkaError::Refused { partition, .. })) => {
                    self.refused.push(Refused { offset: launched.offset, partition });
                }
                Ok(Ok((partition, _))) if launched.label == LABEL_ACCEPTED => {
                    self.note_overtaken(partition);
                }
                Ok(_) | Err(_) => {}
            }
        }
        if !self.refused.is_empty() {
            self.shared.limits.ask_in_time().await;
            self.mend();
        } else if matches!(cause, KafkaError::Fatal { .. }) {
            self.shared.outlet.replace(&self.way, self.shared.limits.batch());
        }
        self.claim.reposition(self.next_offset);
    }

    /// An event was written to a partition of the valid topic. What was refused there before came too late for that:
    /// whoever counts has seen the later one. A gapless producer does so only with its first records there.
    fn note_overtaken(&self, partition: i32) {
        for refused in self.refused.iter().filter(|refused| refused.partition == Some(partition)) {
            self.shared.limits.note_refused(self.partition, refused.offset);
        }
    }

    fn mend(&self) {
        let limits = &self.shared.limits;
        match Remedy::of(self.limit, limits.batch(), self.way.batch_bytes_max) {
            Remedy::Fit(bytes) => self.shared.outlet.replace(&self.way, bytes),
            Remedy::Believe => {
                self.shared.outlet.replace(&self.way, self.way.batch_bytes_max);
                for refused in &self.refused {
                    limits.note_refused(self.partition, refused.offset);
                }
            }
        }
    }

    /// Says that everything acknowledged is done, and counts it.
    pub(crate) fn commit(&mut self) {
        if !self.has_news() {
            return;
        }
        let note = Note { epoch: self.epoch, marks: self.marks };
        self.claim.commit_noting(self.next_offset, note);
        self.committed_offset = self.next_offset;
        self.shared.limits.forget_refused(self.partition, self.next_offset);
        let (mut records, mut bad) = (0, 0);
        for (label, count) in self.news.drain(..) {
            let is_bad = label.verdict == REJECTED;
            let total = if is_bad { &self.shared.rejected } else { &self.shared.accepted };
            total.fetch_add(count, Ordering::AcqRel);
            records += count;
            bad += if is_bad { count } else { 0 };
            self.shared.metrics.events.get_or_create(&label).inc_by(count);
        }
        self.shared.watch.note(records, bad);
        self.note_lag();
    }

    fn note_lag(&self) {
        let labels =
            LagLabels { topic: Topic::Events.base().to_owned(), partition: self.partition };
        let age_ms = (self.shared.clock.now_ms() - self.newest_timestamp_ms).max(0);
        let gauge = self.shared.metrics.consumer_lag_seconds.get_or_create(&labels);
        gauge.set(age_ms as f64 / 1_000.0);
    }
}
