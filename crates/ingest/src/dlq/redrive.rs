//! Sending back: the original record, to the partition it came from, once.
//!
//! One transaction writes a batch of records to the raw topic **and** an entry for each into the ledger. So a record
//! was sent back if and only if its entry stands, whenever and however a redrive ends. Taking the transactional id over
//! comes first: it undoes what a killed redrive had left open, and shuts out one that still runs; only then is the
//! ledger read, so nobody can write what it does not show. The entry's key is the position of the rejected record, by
//! which also a dead letter that stands twice (ingest was killed between writing and committing) is sent back once.
//!
//! A record that ingest judged otherwise when it came again after a kill stands among the valid events too. So those are
//! looked through first (`standing`), and what stands there stays.
//!
//! A transaction holds back whoever reads the raw topic, so batches are small and waiting for the rate is done between
//! them, never inside.

mod batch;

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;
use thiserror::Error;
use tokio::time::Instant;
use tracing::warn;
use upnext_common::clock::Clock;
use upnext_common::drain::Drain;
use upnext_common::topic::Topic;
use upnext_contract::Reason;
use upnext_kafka::scan::Stretch;
use upnext_kafka::{KafkaError, ProducerSettings, Transactions, admin, scan};

use super::ledger::Ledger;
use super::letter::Letter;
use super::standing::Asked;
use super::{BadFilter, DeadLetters, Filter};
use batch::Batch;

/// Room for the largest dead letter.
const RECORD_BYTES_MAX: usize = 64 << 20;

/// What is to be sent back, and how.
#[derive(Clone, Debug)]
pub struct Redrive {
    pub from: DeadLetters,
    pub filter: Filter,
    /// Say what would be done, do nothing. What was sent a moment ago may be told as still to be sent: only who takes
    /// over waits for the broker to have made it visible.
    pub dry_run: bool,
    /// Also what has failed [`super::ATTEMPTS_MAX`] times.
    pub include_parked: bool,
    /// Records a second.
    pub rate_max: Option<u32>,
    /// Records at most.
    pub records_max: Option<u64>,
    pub clock: Clock,
}

/// Why a dead letter that the filter takes is not sent back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Skipped {
    /// The ledger has it, or it stands twice.
    AlreadyRedriven,
    /// Its event stands among the valid ones: the record was judged again after a kill.
    StandsValid,
    /// It has failed too often.
    Parked,
    /// The same bytes would be rejected again, and the reason was not named.
    CannotHelp,
    /// It was too large to be kept with its value.
    NoValue,
    /// It does not say that it came from this raw topic.
    Foreign,
    /// The broker does not take the record.
    Refused,
}

/// What becomes of one dead letter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outlook {
    Send,
    Skip(Skipped),
}

/// How far a redrive has come.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Progress {
    /// Dead letters looked at, of how many.
    pub looked_at: u64,
    pub of: u64,
    pub redriven: u64,
}

/// What was done, or would be.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    pub dry_run: bool,
    /// False when it was stopped before it had looked at everything.
    pub complete: bool,
    pub redriven: u64,
    /// Redriven, by reason.
    pub reasons: BTreeMap<String, u64>,
    /// Taken by the filter and not redriven, by why.
    pub skipped: BTreeMap<Skipped, u64>,
    /// Skipped because redriving cannot help, by reason.
    pub hopeless: BTreeMap<String, u64>,
}

/// Why a redrive ended before its time. What it had done stands; run it again, nothing is sent twice.
#[derive(Debug, Error)]
pub enum RedriveError {
    #[error(transparent)]
    Filter(#[from] BadFilter),
    #[error("another redrive has begun and taken over")]
    TakenOver,
    #[error(transparent)]
    Kafka(KafkaError),
}

impl From<KafkaError> for RedriveError {
    fn from(error: KafkaError) -> Self {
        if matches!(error, KafkaError::Fenced { .. }) {
            Self::TakenOver
        } else {
            Self::Kafka(error)
        }
    }
}

impl Redrive {
    /// Looks at everything that stands among the dead letters now, and sends back what is meant. A drain ends it after
    /// the transaction that is open.
    ///
    /// # Errors
    /// For a filter that makes no sense, when another redrive takes over, when the broker fails.
    pub async fn run(
        &self,
        drain: &Drain,
        tell: &mut (dyn FnMut(&Progress) + Send),
    ) -> Result<Report, RedriveError> {
        self.filter.check()?;
        let transactions = self.take_over().await?;
        let raw = Topic::Events.name(&self.from.topic_prefix);
        let mut work = Work {
            redrive: self,
            transactions,
            ledger: Ledger::read(&self.from).await?,
            standing: Ledger::default(),
            partitions: admin::partition_count(&self.from.brokers, &raw).await?,
            raw,
            batch: Batch::default(),
            report: Report { dry_run: self.dry_run, ..Report::default() },
            progress: Progress::default(),
            began_at: Instant::now(),
        };
        work.all(drain, tell).await?;
        Ok(work.report)
    }

    /// Nobody is shut out by a dry run.
    async fn take_over(&self) -> Result<Option<Transactions>, KafkaError> {
        if self.dry_run {
            return Ok(None);
        }
        let id = format!("{}redrive", self.from.topic_prefix);
        let settings =
            ProducerSettings { record_bytes_max: RECORD_BYTES_MAX, ..ProducerSettings::default() };
        Transactions::take_over(&self.from.brokers, &id, settings).await.map(Some)
    }

    fn outlook(&self, letter: &Letter, ledger: &Ledger, raw: &str, partitions: i32) -> Outlook {
        let Some(source) = &letter.source else { return Outlook::Skip(Skipped::Foreign) };
        let is_ours = source.topic == raw && (0..partitions).contains(&source.partition);
        if !is_ours {
            return Outlook::Skip(Skipped::Foreign);
        }
        if ledger.contains(source) {
            return Outlook::Skip(Skipped::AlreadyRedriven);
        }
        if letter.record.value.is_none() && letter.reason != "empty" {
            return Outlook::Skip(Skipped::NoValue);
        }
        if letter.is_parked() && !self.include_parked {
            return Outlook::Skip(Skipped::Parked);
        }
        let may_help = letter.known_reason().is_some_and(|reason| reason.may_pass_later());
        if !may_help && !self.filter.names(&letter.reason, false) {
            return Outlook::Skip(Skipped::CannotHelp);
        }
        Outlook::Send
    }
}

/// A redrive under way.
struct Work<'a> {
    redrive: &'a Redrive,
    /// None in a dry run.
    transactions: Option<Transactions>,
    ledger: Ledger,
    /// What would be sent back, were it not valid already.
    standing: Ledger,
    raw: String,
    partitions: i32,
    batch: Batch,
    report: Report,
    progress: Progress,
    began_at: Instant,
}

impl Work<'_> {
    async fn all(
        &mut self,
        drain: &Drain,
        tell: &mut (dyn FnMut(&Progress) + Send),
    ) -> Result<(), RedriveError> {
        let Redrive { from, filter, .. } = self.redrive;
        let topic = from.topic();
        let stretches = scan::stretches(&from.brokers, &topic, filter.since_ms).await?;
        self.progress.of = stretches.iter().map(Stretch::length).sum();
        self.standing = self.asked(&stretches, drain).await?.standing(from, drain).await?;
        let mut records = scan::read(&from.brokers, &topic, &stretches)?;
        loop {
            let record = tokio::select! {
                biased;
                () = drain.started() => break,
                record = records.recv() => record,
            };
            let Some(record) = record else {
                self.report.complete = true;
                break;
            };
            let letter = Letter::of(record?);
            self.progress.looked_at += 1;
            self.take(letter);
            if self.batch.is_full(self.redrive.rate_max) || self.is_enough() {
                self.write().await?;
                tell(&self.progress);
                self.pace(drain).await;
            }
            if self.is_enough() {
                self.report.complete = true;
                break;
            }
        }
        self.write().await?;
        tell(&self.progress);
        Ok(())
    }

    /// Everything that would be sent back, but for what features rejected: that stands among the valid events by right.
    async fn asked(&self, stretches: &[Stretch], drain: &Drain) -> Result<Asked, KafkaError> {
        let from = &self.redrive.from;
        let mut asked = Asked::default();
        let mut records = scan::read(&from.brokers, &from.topic(), stretches)?;
        loop {
            let record = tokio::select! {
                biased;
                () = drain.started() => return Ok(asked),
                record = records.recv() => record,
            };
            let Some(record) = record else { return Ok(asked) };
            let letter = Letter::of(record?);
            if let Some(source) = &letter.source
                && letter.known_reason() != Some(Reason::Late)
                && self.redrive.filter.takes(&letter)
                && self.outlook(&letter) == Outlook::Send
            {
                asked.insert(source, letter.timestamp_ms());
            }
        }
    }

    fn outlook(&self, letter: &Letter) -> Outlook {
        let outlook = self.redrive.outlook(letter, &self.ledger, &self.raw, self.partitions);
        let stands_valid = letter.source.as_ref().is_some_and(|it| self.standing.contains(it));
        if outlook == Outlook::Send && stands_valid {
            return Outlook::Skip(Skipped::StandsValid);
        }
        outlook
    }

    fn is_enough(&self) -> bool {
        let open = self.progress.redriven + self.batch.len();
        self.redrive.records_max.is_some_and(|max| open >= max)
    }

    fn take(&mut self, letter: Letter) {
        if self.is_enough() || !self.redrive.filter.takes(&letter) {
            return;
        }
        match self.outlook(&letter) {
            Outlook::Send => {
                if let Some(source) = letter.source.clone() {
                    self.ledger.insert(&source);
                    let now_ms = self.redrive.clock.now_ms();
                    self.batch.push(&self.redrive.from, letter, source, now_ms);
                }
            }
            Outlook::Skip(why) => {
                *self.report.skipped.entry(why).or_default() += 1;
                if why == Skipped::CannotHelp {
                    *self.report.hopeless.entry(letter.reason).or_default() += 1;
                }
            }
        }
    }

    /// Writes the batch. What the broker never takes is left out and counted.
    async fn write(&mut self) -> Result<(), RedriveError> {
        let mut open = vec![std::mem::take(&mut self.batch)];
        while let Some(batch) = open.pop() {
            if batch.len() == 0 {
                continue;
            }
            let written = match &self.transactions {
                Some(transactions) => transactions.write(&batch.records()).await,
                None => Ok(()),
            };
            match (written, batch.halves()) {
                (Ok(()), _) => {
                    self.progress.redriven += batch.len();
                    self.report.redriven += batch.len();
                    for reason in batch.reasons() {
                        *self.report.reasons.entry(reason.to_owned()).or_default() += 1;
                    }
                }
                (Err(KafkaError::Refused { .. }), Some((first, second))) => {
                    open.push(second);
                    open.push(first);
                }
                (Err(KafkaError::Refused { cause, .. }), None) => {
                    warn!(cause, "the broker does not take a record back");
                    *self.report.skipped.entry(Skipped::Refused).or_default() += 1;
                }
                (Err(error), _) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// Waits until the rate allows more.
    async fn pace(&self, drain: &Drain) {
        let (Some(rate), false) = (self.redrive.rate_max, self.redrive.dry_run) else { return };
        let due = self.progress.redriven as f64 / f64::from(rate.max(1));
        tokio::select! {
            () = drain.started() => {}
            () = tokio::time::sleep_until(self.began_at + Duration::from_secs_f64(due)) => {}
        }
    }
}

#[cfg(test)]
mod tests;
