//! Records of one partition on their way out: sent, acknowledged in order, committed.

mod overtaken;
mod under_way;

use std::future::{Future as _, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::Poll;
use std::time::Duration;

use tracing::{error, warn};
use upnext_common::metrics::{EventLabels, LagLabels};
use upnext_common::topic::Topic;
use upnext_contract::letter::{CONNECT, DEAD};
use upnext_contract::{Reason, Rejection, Verdict};
use upnext_kafka::group::{Claim, Marks, Note};
use upnext_kafka::{Delivery, Header, KafkaError, Outgoing, Record};

use crate::Shared;
use crate::epoch::Begun;
use crate::limits::{ALONE, Refusals, Remedy};
use crate::outlet::Way;
use overtaken::{Refused, Written, overtaken};
use under_way::{Launched, UnderWay};

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

/// A dead letter that was refused so often goes without its value, then without anything of the record's own.
const WITHOUT_VALUE: u8 = 2;
const WITHOUT_ANYTHING: u8 = 3;
/// How long is waited until what was given up is told of. Nobody tells only when a client's thread hangs.
const GIVE_UP_WAIT_MAX: Duration = Duration::from_secs(10);
/// What the headers that say where a record was read add to it, at most.
const STAMP_BYTES_MAX: usize = 512;

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
    launched: UnderWay,
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
            launched: UnderWay::new(&shared.config.ingest),
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
        self.launched.has_room()
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
        let (mut outgoing, label) = match judged {
            Judged::Clean(record) => {
                (self.shared.stamp.as_written(record, self.epoch), LABEL_ACCEPTED)
            }
            Judged::Read(record, verdict) => self.outcome(&record, verdict),
        };
        let Shared { weakened, stamp, clock, .. } = &*self.shared;
        weakened.spoil(&mut outgoing, stamp.dead_letters(), clock);
        let bytes = outgoing.size();
        let delivery = match self.way.producer.send_when_room(&outgoing).await {
            Err(KafkaError::Refused { cause, partition }) => {
                if label == LABEL_ACCEPTED {
                    // It comes again, and is a dead letter then.
                    self.shared.limits.note_refused(self.partition, offset, Topic::Valid);
                    return Err(KafkaError::Refused { cause, partition });
                }
                self.send_bare(outgoing, &cause).await?
            }
            sent => sent?,
        };
        self.newest_timestamp_ms = timestamp_ms;
        let is_rejected = label.verdict == REJECTED;
        self.launched.push(Launched { offset, timestamp_ms, delivery, label, bytes });
        if self.shared.weakened.commits_first() {
            self.next_offset = offset + 1;
        }
        Ok(is_rejected)
    }

    fn outcome(&self, record: &Record, verdict: Verdict) -> (Outgoing, EventLabels) {
        let rejection = match verdict {
            Verdict::Accept(event) => match self.shared.stamp.valid(record, &event, self.epoch) {
                Some(outgoing) if self.fits(record, outgoing.size()) => {
                    return (outgoing, LABEL_ACCEPTED);
                }
                _ if self.refusals(record).event => {
                    Rejection::new(Reason::Refused, "", "the valid topic does not take the record")
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
        size <= self.shared.limits.valid() && !self.refusals(record).event
    }

    fn refusals(&self, record: &Record) -> Refusals {
        self.shared.limits.refusals(self.partition, record.offset)
    }

    /// The dead letter, with as much of the record as the topic takes: its reason and position always. One that was
    /// refused comes again, each time with less: at another time, since a topic may refuse old ones; without its value;
    /// without anything of the record's own.
    fn dead(&self, record: &Record, rejection: &Rejection) -> Outgoing {
        let whole = self.shared.stamp.dead(record, rejection, self.shared.clock.now_ms());
        let Refusals { letters, .. } = self.refusals(record);
        let whole = match letters {
            0 => whole,
            _ => Outgoing { timestamp_ms: None, ..whole },
        };
        let limit = self.shared.limits.dead();
        if whole.size() <= limit && letters < WITHOUT_VALUE {
            return whole;
        }
        warn!(
            partition = self.partition,
            offset = record.offset,
            "the dead letter is too large or was refused, it goes without the value"
        );
        let bare = Outgoing { value: None, ..whole };
        if bare.size() <= limit && letters < WITHOUT_ANYTHING {
            return bare;
        }
        let is_told = |(name, _): &&Header| name.starts_with(DEAD) || name.starts_with(CONNECT);
        let headers = bare.headers.iter().filter(is_told).cloned().collect();
        let bare = Outgoing { headers, ..bare };
        if bare.size() <= limit && letters < WITHOUT_ANYTHING {
            return bare;
        }
        Outgoing { key: None, ..bare }
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
        let Some(oldest) = self.launched.oldest() else { return Ok(()) };
        let outcome = self.way.producer.landed(&mut oldest.delivery).await;
        self.take(outcome)?;
        while let Some(oldest) = self.launched.oldest() {
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
        let Some(done) = self.launched.pop() else { return Ok(()) };
        if let Err(error) = outcome {
            if let KafkaError::Refused { partition, .. } = &error {
                let topic = done.topic();
                self.refused.push(Refused { offset: done.offset, topic, partition: *partition });
            }
            return Err(error);
        }
        self.next_offset = self.next_offset.max(done.offset + 1);
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
        let written = self.settle().await;
        if !self.refused.is_empty() {
            // What was refused alone is not refused for a limit's sake, or that was asked for a moment ago.
            if self.way.batch_bytes_max > ALONE {
                self.shared.limits.ask_in_time().await;
            }
            for offset in overtaken(&self.refused, &written) {
                self.shared.limits.note_refused(self.partition, offset, Topic::Valid);
            }
            self.mend();
        } else if matches!(cause, KafkaError::Fatal { .. }) {
            self.shared.outlet.replace(&self.way, self.shared.limits.batch());
        }
        self.claim.reposition(self.next_offset);
    }

    /// Learns what became of what is under way, and which events were written, or perhaps were. What has not landed after a while is given up if anything was refused: unknown,
    /// it might be written before that comes again.
    async fn settle(&mut self) -> Vec<Written> {
        let mut written = Vec::new();
        let until = tokio::time::Instant::now() + crate::partition::REDELIVER_WAIT;
        let mut left = Vec::new();
        for mut launched in self.launched.take() {
            match tokio::time::timeout_at(until, &mut launched.delivery).await {
                Ok(outcome) => written.extend(self.settled(&launched, outcome)),
                Err(_) => left.push(launched),
            }
        }
        if self.refused.is_empty() || left.is_empty() {
            return written;
        }
        self.way.producer.give_up();
        let until = tokio::time::Instant::now() + GIVE_UP_WAIT_MAX;
        for mut launched in left {
            match tokio::time::timeout_at(until, &mut launched.delivery).await {
                Ok(outcome) => written.extend(self.settled(&launched, outcome)),
                Err(_) => written.push(Written { offset: launched.offset, partition: None }),
            }
        }
        written
    }

    /// Where a record that goes to the valid topic was written, or perhaps was. Notes it if it was refused.
    fn settled(
        &mut self,
        launched: &Launched,
        outcome: Result<(i32, i64), KafkaError>,
    ) -> Option<Written> {
        let (offset, topic) = (launched.offset, launched.topic());
        let partition = match outcome {
            Ok((partition, _)) => Some(partition),
            Err(KafkaError::NotDelivered { perhaps_in, .. }) => perhaps_in,
            Err(KafkaError::Refused { partition, .. }) => {
                self.refused.push(Refused { offset, topic, partition });
                None
            }
            Err(_) => None,
        };
        (topic == Topic::Valid).then_some(Written { offset, partition: Some(partition?) })
    }

    fn mend(&self) {
        let limits = &self.shared.limits;
        match Remedy::of(self.limit, limits.batch(), self.way.batch_bytes_max) {
            Remedy::Fit(bytes) => self.shared.outlet.replace(&self.way, bytes),
            Remedy::Believe => {
                self.shared.outlet.replace(&self.way, self.way.batch_bytes_max);
                for refused in &self.refused {
                    limits.note_refused(self.partition, refused.offset, refused.topic);
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
