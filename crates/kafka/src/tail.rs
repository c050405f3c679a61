//! A whole topic without a group: followed for ever, or read once to where it ends now.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError as Cause;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use tokio::sync::mpsc;
use tracing::{info, warn};
use upnext_common::clock::Clock;
use upnext_common::drain::Drain;

use crate::ahead::Ahead;
use crate::client::{self, Quiet};
use crate::silence::Silence;
use crate::{KafkaError, Record, admin};

/// Records read ahead of whoever takes them, and their bytes.
const QUEUE_MAX: usize = 4_096;
const QUEUE_BYTES_MAX: usize = 16 << 20;
const POLL: Duration = Duration::from_millis(50);
const RETRY: Duration = Duration::from_millis(500);
const QUESTION_TIMEOUT: Duration = Duration::from_secs(10);
/// How often, and how patiently, is asked whether the topic has got more partitions.
const GROWTH_LOOK: Duration = Duration::from_secs(5);
const GROWTH_TIMEOUT: Duration = Duration::from_secs(1);

/// What following a topic tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TailEvent {
    Record(Record),
    /// Everything that stood in the topic when following began has been told. Said once.
    CaughtUp,
}

/// Follows all partitions of a topic, each in offset order, from the beginning or from now on. A broker or topic
/// that is away is waited for. Ends with the drain or when the receiver is dropped.
///
/// # Errors
/// When no thread can be had.
pub fn follow(
    brokers: &str,
    topic: &str,
    from_beginning: bool,
    drain: Drain,
) -> Result<mpsc::Receiver<TailEvent>, KafkaError> {
    let (ahead, receiver) = Ahead::channel(QUEUE_MAX, QUEUE_BYTES_MAX);
    let (brokers, topic) = (brokers.to_owned(), topic.to_owned());
    client::spawn("kafka-tail", move || {
        let mut told = Told { ahead, drain };
        if let Some(tail) = open_patiently(&brokers, &topic, from_beginning, &told) {
            run(tail, &mut told);
        }
    })?;
    Ok(receiver)
}

/// Reads every record that stands in a topic now, partition by partition in offset order but interleaved. Blocks.
/// Returns how many there were.
///
/// # Errors
/// When no broker answers, there is no such topic, or the broker goes silent before the end.
pub fn read_all(
    brokers: &str,
    topic: &str,
    per_record: &mut dyn FnMut(Record),
) -> Result<u64, KafkaError> {
    let mut tail = Tail::open(brokers, topic, true)?;
    let mut count = 0;
    let mut silence = Silence::new(Clock::system());
    while !tail.has_caught_up() {
        match tail.poll() {
            Polled::Record(record) if tail.is_before_end(&record) => {
                count += 1;
                per_record(record);
                silence.ends();
            }
            Polled::Trouble(error) if silence.is_too_long() => {
                return Err(KafkaError::topic(topic, error));
            }
            Polled::Record(_) | Polled::Nothing | Polled::Trouble(_) => {}
        }
        if silence.is_too_long() {
            return Err(KafkaError::topic(topic, "went silent before its end was reached"));
        }
    }
    Ok(count)
}

/// Where what is followed goes.
struct Told {
    ahead: Ahead<TailEvent>,
    drain: Drain,
}

impl Told {
    fn is_over(&self) -> bool {
        self.drain.has_started() || self.ahead.is_closed()
    }

    fn tell(&mut self, event: TailEvent) {
        let size = match &event {
            TailEvent::Record(record) => record.size(),
            TailEvent::CaughtUp => 0,
        };
        // Fails only when nobody follows any more, which `is_over` notices.
        self.ahead.send(event, size, || self.drain.has_started());
    }
}

fn open_patiently(brokers: &str, topic: &str, from_start: bool, told: &Told) -> Option<Tail> {
    let mut is_told = false;
    while !told.is_over() {
        match Tail::open(brokers, topic, from_start) {
            Ok(tail) => return Some(tail),
            Err(error) => {
                if !is_told {
                    warn!(topic, %error, "cannot follow, will retry");
                    is_told = true;
                }
                thread::park_timeout(RETRY);
            }
        }
    }
    None
}

fn run(mut tail: Tail, told: &mut Told) {
    let mut is_caught_up = false;
    let mut in_trouble = false;
    let clock = Clock::system();
    let mut look_at = clock.instant() + GROWTH_LOOK;
    while !told.is_over() {
        if clock.instant() >= look_at {
            tail.take_new_partitions();
            look_at = clock.instant() + GROWTH_LOOK;
        }
        match tail.poll() {
            Polled::Record(record) => {
                if in_trouble {
                    in_trouble = false;
                    info!(topic = %tail.topic, "following again");
                }
                told.tell(TailEvent::Record(record));
            }
            Polled::Nothing => {}
            Polled::Trouble(error) if !in_trouble => {
                in_trouble = true;
                warn!(topic = %tail.topic, %error, "cannot follow, will retry");
            }
            Polled::Trouble(_) => {}
        }
        if !is_caught_up && tail.has_caught_up() {
            is_caught_up = true;
            told.tell(TailEvent::CaughtUp);
        }
    }
}

/// A consumer with all partitions of a topic assigned by hand.
struct Tail {
    consumer: BaseConsumer<Quiet>,
    topic: Arc<str>,
    /// End offsets when following began.
    ends: BTreeMap<i32, i64>,
    /// Partitions that have not reached that end yet.
    behind: BTreeMap<i32, i64>,
}

enum Polled {
    Record(Record),
    Nothing,
    Trouble(Cause),
}

impl Tail {
    fn open(brokers: &str, topic: &str, from_beginning: bool) -> Result<Self, KafkaError> {
        let consumer = client::loner(&tail_settings(brokers))?;
        let count = admin::partition_count_by(&consumer, brokers, topic)?;
        let mut list = TopicPartitionList::new();
        let mut ends = BTreeMap::new();
        let mut behind = BTreeMap::new();
        for partition in 0..count {
            let (first, end) = consumer
                .fetch_watermarks(topic, partition, QUESTION_TIMEOUT)
                .map_err(|cause| KafkaError::topic(topic, cause))?;
            let start = if from_beginning { first } else { end };
            list.add_partition_offset(topic, partition, Offset::Offset(start))
                .map_err(|cause| KafkaError::topic(topic, cause))?;
            ends.insert(partition, end);
            if start < end {
                behind.insert(partition, end);
            }
        }
        consumer.assign(&list).map_err(|cause| KafkaError::topic(topic, cause))?;
        Ok(Self { consumer, topic: Arc::from(topic), ends, behind })
    }

    fn poll(&mut self) -> Polled {
        match self.consumer.poll(POLL) {
            None => Polled::Nothing,
            Some(Ok(message)) => {
                let record = Record::copy(&self.topic, &message);
                let end = self.behind.get(&record.partition);
                if end.is_some_and(|end| record.offset + 1 >= *end) {
                    self.behind.remove(&record.partition);
                }
                Polled::Record(record)
            }
            // The last offsets may hold no record (compacted, or the end of a transaction).
            Some(Err(Cause::PartitionEOF(partition))) => {
                self.behind.remove(&partition);
                Polled::Nothing
            }
            Some(Err(error)) => Polled::Trouble(error),
        }
    }

    /// Follows partitions that were added since, from their beginning. A broker that does not say is asked again.
    fn take_new_partitions(&mut self) {
        let known = i32::try_from(self.ends.len()).unwrap_or(i32::MAX);
        let Ok(metadata) = self.consumer.fetch_metadata(Some(&self.topic), GROWTH_TIMEOUT) else {
            return;
        };
        let told = metadata.topics().iter().find(|told| told.name() == &*self.topic);
        let count = told.and_then(|told| i32::try_from(told.partitions().len()).ok()).unwrap_or(0);
        let mut added = TopicPartitionList::new();
        for partition in known..count {
            added.add_partition(&self.topic, partition).set_offset(Offset::Beginning).ok();
        }
        if added.count() == 0 {
            return;
        }
        match self.consumer.incremental_assign(&added) {
            Ok(()) => {
                info!(topic = %self.topic, known, count, "follows new partitions");
                // Nothing of theirs stood there when following began.
                self.ends.extend((known..count).map(|partition| (partition, 0)));
            }
            Err(error) => warn!(topic = %self.topic, %error, "new partitions are not followed yet"),
        }
    }

    fn has_caught_up(&self) -> bool {
        self.behind.is_empty()
    }

    fn is_before_end(&self, record: &Record) -> bool {
        self.ends.get(&record.partition).is_some_and(|end| record.offset < *end)
    }
}

/// The group name is never joined: librdkafka wants one for manual assignment too.
pub(crate) fn tail_settings(brokers: &str) -> ClientConfig {
    let mut config = client::consumer_settings(brokers, "upnext-tail");
    config.set("enable.partition.eof", "true");
    config
}
