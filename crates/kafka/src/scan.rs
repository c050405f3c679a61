//! Stretches of a topic without a group: asked for first, then read to their ends, or for as long as somebody reads.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError as Cause;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use tokio::sync::mpsc;
use tracing::debug;
use upnext_common::clock::Clock;

use crate::ahead::Ahead;
use crate::client::{self, Quiet};
use crate::silence::Silence;
use crate::tail::tail_settings;
use crate::{KafkaError, Record, admin};

/// Records read ahead of whoever takes them, and their bytes.
const QUEUE_MAX: usize = 64;
const QUEUE_BYTES_MAX: usize = 16 << 20;
const POLL: Duration = Duration::from_millis(50);
const QUESTION_TIMEOUT: Duration = Duration::from_secs(10);

/// Offsets `start..end` of one partition. Not every offset need hold a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stretch {
    pub partition: i32,
    pub start: i64,
    pub end: i64,
}

impl Stretch {
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.start >= self.end
    }

    /// How many offsets.
    #[must_use]
    pub fn length(&self) -> u64 {
        u64::try_from(self.end - self.start).unwrap_or(0)
    }
}

/// What stands in each partition now, by partition number; from the first record whose timestamp is `since_ms` or
/// later, where given.
///
/// # Errors
/// When no broker answers or there is no such topic.
pub async fn stretches(
    brokers: &str,
    topic: &str,
    since_ms: Option<i64>,
) -> Result<Vec<Stretch>, KafkaError> {
    let (brokers, topic) = (brokers.to_owned(), topic.to_owned());
    client::ask(move || {
        let consumer = client::loner(&tail_settings(&brokers))?;
        let failed = |cause| KafkaError::topic(&topic, cause);
        let mut found = Vec::new();
        for partition in 0..admin::partition_count_by(&consumer, &brokers, &topic)? {
            let (start, end) =
                consumer.fetch_watermarks(&topic, partition, QUESTION_TIMEOUT).map_err(failed)?;
            found.push(Stretch { partition, start, end });
        }
        if let Some(since_ms) = since_ms {
            move_starts(&consumer, &topic, &mut found, since_ms).map_err(failed)?;
        }
        Ok(found)
    })
    .await
}

fn move_starts(
    consumer: &BaseConsumer<Quiet>,
    topic: &str,
    found: &mut [Stretch],
    since_ms: i64,
) -> Result<(), Cause> {
    let mut times = TopicPartitionList::new();
    for stretch in found.iter() {
        times.add_partition_offset(topic, stretch.partition, Offset::Offset(since_ms.max(0)))?;
    }
    let starts = consumer.offsets_for_times(times, QUESTION_TIMEOUT)?;
    for stretch in found {
        let answer = starts.find_partition(topic, stretch.partition).map(|found| found.offset());
        stretch.start = match answer {
            Some(Offset::Offset(start)) => start.max(stretch.start),
            // Nothing is that young.
            _ => stretch.end,
        };
    }
    Ok(())
}

/// Reads stretches of a topic: each partition in offset order, partitions interleaved. The channel closes at the end;
/// an error is the last thing it gives. Dropping the receiver stops the reading.
///
/// # Errors
/// When no thread can be had.
pub fn read(
    brokers: &str,
    topic: &str,
    stretches: &[Stretch],
) -> Result<mpsc::Receiver<Result<Record, KafkaError>>, KafkaError> {
    let (mut ahead, receiver) = Ahead::channel(QUEUE_MAX, QUEUE_BYTES_MAX);
    let (brokers, topic) = (brokers.to_owned(), topic.to_owned());
    let stretches: Vec<Stretch> =
        stretches.iter().copied().filter(|stretch| !stretch.is_empty()).collect();
    client::spawn("kafka-scan", move || {
        if let Err(error) = run(&brokers, &topic, &stretches, &mut ahead) {
            // Nobody may be reading any more; then nobody needs the error.
            ahead.send(Err(error), 0, || false);
        }
    })?;
    Ok(receiver)
}

fn run(
    brokers: &str,
    topic: &str,
    stretches: &[Stretch],
    ahead: &mut Ahead<Result<Record, KafkaError>>,
) -> Result<(), KafkaError> {
    let failed = |cause| KafkaError::topic(topic, cause);
    let consumer = client::loner(&tail_settings(brokers))?;
    let mut list = TopicPartitionList::new();
    for stretch in stretches {
        let start = Offset::Offset(stretch.start);
        list.add_partition_offset(topic, stretch.partition, start).map_err(failed)?;
    }
    consumer.assign(&list).map_err(failed)?;
    let name: Arc<str> = Arc::from(topic);
    let mut open = Open::new(stretches, Clock::system());
    while !open.ends.is_empty() && !ahead.is_closed() {
        match consumer.poll(POLL) {
            Some(Ok(message)) => {
                let record = Record::copy(&name, &message);
                let (is_wanted, partition, size) =
                    (open.wants(&record), record.partition, record.size());
                if is_wanted && !ahead.send(Ok(record), size, || false) {
                    return Ok(());
                }
                if is_wanted {
                    // Not the time that whoever reads has taken.
                    open.silence.ends();
                }
                if !open.ends.contains_key(&partition) {
                    stop(&consumer, topic, partition);
                }
            }
            // The last offsets may hold no record (compacted, or the end of a transaction).
            Some(Err(Cause::PartitionEOF(partition))) => {
                open.ends.remove(&partition);
            }
            Some(Err(error)) if open.silence.is_too_long() => return Err(failed(error)),
            Some(Err(_)) | None => {}
        }
        if open.silence.is_too_long() && !open.ends.is_empty() {
            return Err(KafkaError::topic(topic, "went silent before its end was reached"));
        }
    }
    Ok(())
}

/// What has not been read to its end.
struct Open {
    /// Ends of the partitions.
    ends: BTreeMap<i32, i64>,
    silence: Silence,
}

impl Open {
    fn new(stretches: &[Stretch], clock: Clock) -> Self {
        let ends = stretches.iter().map(|stretch| (stretch.partition, stretch.end)).collect();
        Self { ends, silence: Silence::new(clock) }
    }

    /// Whether the record is one of those that are read. Its partition is done with the last.
    fn wants(&mut self, record: &Record) -> bool {
        let Some(end) = self.ends.get(&record.partition).copied() else { return false };
        self.silence.ends();
        if record.offset + 1 >= end {
            self.ends.remove(&record.partition);
        }
        record.offset < end
    }
}

/// Reads no further in a partition that is done: others write there all the while.
fn stop(consumer: &BaseConsumer<Quiet>, topic: &str, partition: i32) {
    let mut list = TopicPartitionList::new();
    list.add_partition(topic, partition);
    if let Err(error) = consumer.pause(&list) {
        debug!(topic, partition, %error, "pause failed");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(partition: i32, offset: i64) -> Record {
        Record {
            topic: Arc::from("t"),
            partition,
            offset,
            timestamp_ms: 0,
            key: None,
            value: None,
            headers: Vec::new(),
        }
    }

    #[test]
    fn what_comes_of_a_partition_that_is_done_ends_no_silence() {
        let clock = Clock::manual(0);
        let stretches = [0, 1].map(|partition| Stretch { partition, start: 0, end: 2 });
        let mut open = Open::new(&stretches, clock.clone());
        assert!(open.wants(&record(0, 0)) && open.wants(&record(0, 1)));
        assert_eq!(open.ends.keys().collect::<Vec<_>>(), [&1]);
        for offset in 2..62 {
            assert!(!open.silence.is_too_long());
            assert!(!open.wants(&record(0, offset)));
            clock.advance(Duration::from_secs(1));
        }
        assert!(open.silence.is_too_long());
        open.silence.ends();
        assert!(!open.silence.is_too_long());
    }
}
