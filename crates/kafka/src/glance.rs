//! One look at one partition: where its log begins and ends, and when single records were written.

use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError as Cause;
use rdkafka::message::Message;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use crate::client::{self, Quiet};
use crate::tail::tail_settings;
use crate::{KafkaError, admin};

const QUESTION_TIMEOUT: Duration = Duration::from_secs(5);
const POLL: Duration = Duration::from_millis(50);
/// How long a record that should be there may take to come.
const RECORD_WAIT_MAX: Duration = Duration::from_secs(10);

/// What stood in a partition when somebody looked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Glance {
    /// Offset of the first record that is kept.
    pub start: i64,
    /// Offset after the last record.
    pub end: i64,
    /// Timestamps at the offsets asked for, in order; `None` where no record stands.
    pub timestamps_ms: Vec<Option<i64>>,
}

/// Looks at a partition, and at single offsets of it.
///
/// # Errors
/// When no broker answers, there is no such partition, or a record does not come.
pub async fn glance(
    brokers: &str,
    topic: &str,
    partition: i32,
    offsets: &[i64],
) -> Result<Glance, KafkaError> {
    let (brokers, topic, offsets) = (brokers.to_owned(), topic.to_owned(), offsets.to_vec());
    client::ask(move || {
        let consumer = client::loner(&tail_settings(&brokers))?;
        if partition >= admin::partition_count_by(&consumer, &brokers, &topic)? {
            return Err(KafkaError::topic(&topic, format!("has no partition {partition}")));
        }
        let (start, end) = consumer
            .fetch_watermarks(&topic, partition, QUESTION_TIMEOUT)
            .map_err(|cause| KafkaError::topic(&topic, cause))?;
        let mut found = Glance { start, end, timestamps_ms: Vec::new() };
        for offset in offsets {
            let stands = (start..end).contains(&offset);
            let place = (topic.as_str(), partition, offset);
            found.timestamps_ms.push(if stands { timestamp_at(&consumer, place)? } else { None });
        }
        Ok(found)
    })
    .await
}

fn timestamp_at(
    consumer: &BaseConsumer<Quiet>,
    (topic, partition, offset): (&str, i32, i64),
) -> Result<Option<i64>, KafkaError> {
    let failed = |cause| KafkaError::topic(topic, cause);
    let mut list = TopicPartitionList::new();
    list.add_partition_offset(topic, partition, Offset::Offset(offset)).map_err(failed)?;
    consumer.assign(&list).map_err(failed)?;
    let mut waited = Duration::ZERO;
    while waited < RECORD_WAIT_MAX {
        match consumer.poll(POLL) {
            Some(Ok(message)) if message.offset() < offset => {}
            Some(Ok(message)) => {
                let timestamp_ms = message.timestamp().to_millis().unwrap_or_default();
                return Ok((message.offset() == offset).then_some(timestamp_ms));
            }
            // No record from there on: it was the end of a transaction, or is compacted away.
            Some(Err(Cause::PartitionEOF(_))) => return Ok(None),
            Some(Err(_)) | None => waited += POLL,
        }
    }
    Err(KafkaError::topic(topic, format!("the record at {partition}/{offset} does not come")))
}
