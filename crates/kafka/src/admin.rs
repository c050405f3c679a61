//! Topics themselves: create those we need, and ask what there is.

use std::time::Duration;

use rdkafka::admin::{
    AdminClient, AdminOptions, AlterConfig, NewPartitions, NewTopic, ResourceSpecifier,
    TopicReplication,
};
use rdkafka::consumer::Consumer;
use rdkafka::error::RDKafkaErrorCode;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use tracing::{info, warn};
use upnext_common::config;
use upnext_common::topic::Topic;

use crate::KafkaError;
use crate::client::{self, Quiet};

const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a created topic may take until it is known, and how often that is looked at.
const KNOWN_BOUND: Duration = Duration::from_secs(10);
const KNOWN_RECHECK: Duration = Duration::from_millis(50);
/// The setting that bounds a topic's batches, and so its records.
const BATCH_BYTES_MAX: &str = "max.message.bytes";
/// Largest record that may come in.
const RECORD_BYTES_MAX: usize = 8 << 20;
/// Largest record of the other topics: whatever came in, and what is said about it.
const OUTCOME_BYTES_MAX: usize = 16 << 20;

/// Creates the topics that are missing. Those that exist are left as they are.
///
/// # Errors
/// When no broker answers, or a topic can be neither found nor created.
pub async fn ensure_topics(brokers: &str, kafka: &config::Kafka) -> Result<(), KafkaError> {
    check(brokers, REQUEST_TIMEOUT).await?;
    let admin: AdminClient<Quiet> =
        client::settings(brokers).create_with_context(Quiet).map_err(KafkaError::client)?;
    let options = AdminOptions::new()
        .request_timeout(Some(REQUEST_TIMEOUT))
        .operation_timeout(Some(REQUEST_TIMEOUT));
    for topic in Topic::ALL {
        ensure(&admin, &options, &Wanted::of(topic, kafka)).await?;
        note_difference(brokers, &Wanted::of(topic, kafka)).await?;
    }
    Ok(())
}

/// Creates one topic more under a name of its own, made like `topic.0`. One that exists is left as it is.
///
/// # Errors
/// As [`ensure_topics`].
pub async fn ensure_topic(
    brokers: &str,
    kafka: &config::Kafka,
    topic: (Topic, &str),
) -> Result<(), KafkaError> {
    let admin: AdminClient<Quiet> =
        client::settings(brokers).create_with_context(Quiet).map_err(KafkaError::client)?;
    let options = AdminOptions::new()
        .request_timeout(Some(REQUEST_TIMEOUT))
        .operation_timeout(Some(REQUEST_TIMEOUT));
    let wanted = Wanted { name: topic.1.to_owned(), ..Wanted::of(topic.0, kafka) };
    ensure(&admin, &options, &wanted).await?;
    note_difference(brokers, &wanted).await
}

async fn ensure(
    admin: &AdminClient<Quiet>,
    options: &AdminOptions,
    wanted: &Wanted,
) -> Result<(), KafkaError> {
    let results = admin
        .create_topics([&wanted.as_new()], options)
        .await
        .map_err(|cause| KafkaError::topic(&wanted.name, cause))?;
    for result in results {
        match result {
            Ok(name) => info!(topic = name, partitions = wanted.partitions, "created topic"),
            Err((_, RDKafkaErrorCode::TopicAlreadyExists)) => {}
            Err((name, code)) => return Err(KafkaError::topic(&name, code)),
        }
    }
    Ok(())
}

/// Deletes a topic with everything in it.
///
/// # Errors
/// When no broker answers or the broker refuses.
pub async fn delete_topic(brokers: &str, topic: &str) -> Result<(), KafkaError> {
    let admin: AdminClient<Quiet> =
        client::settings(brokers).create_with_context(Quiet).map_err(KafkaError::client)?;
    let options = AdminOptions::new().operation_timeout(Some(REQUEST_TIMEOUT));
    let told = admin.delete_topics(&[topic], &options).await;
    for one in told.map_err(|cause| KafkaError::topic(topic, cause))? {
        one.map_err(|(_, code)| KafkaError::topic(topic, code))?;
    }
    Ok(())
}

/// Adds partitions to a topic until it has `count`. Records stay where they are; keys go elsewhere from then on.
///
/// # Errors
/// When no broker answers or the broker refuses.
pub async fn add_partitions(brokers: &str, topic: &str, count: usize) -> Result<(), KafkaError> {
    let admin: AdminClient<Quiet> =
        client::settings(brokers).create_with_context(Quiet).map_err(KafkaError::client)?;
    let options = AdminOptions::new().operation_timeout(Some(REQUEST_TIMEOUT));
    let told = admin.create_partitions(&[NewPartitions::new(topic, count)], &options).await;
    for one in told.map_err(|cause| KafkaError::topic(topic, cause))? {
        one.map_err(|(_, code)| KafkaError::topic(topic, code))?;
    }
    Ok(())
}

/// Deletes what stands before an offset of a partition, as retention does.
///
/// # Errors
/// When no broker answers or the broker refuses.
pub async fn delete_records(
    brokers: &str,
    (topic, partition): (&str, i32),
    before: i64,
) -> Result<(), KafkaError> {
    let failed = |cause| KafkaError::topic(topic, cause);
    let admin: AdminClient<Quiet> =
        client::settings(brokers).create_with_context(Quiet).map_err(KafkaError::client)?;
    let options = AdminOptions::new().operation_timeout(Some(REQUEST_TIMEOUT));
    let mut list = TopicPartitionList::new();
    list.add_partition_offset(topic, partition, Offset::Offset(before)).map_err(failed)?;
    let told = admin.delete_records(&list, &options).await.map_err(failed)?;
    told.elements().iter().try_for_each(|one| one.error()).map_err(failed)
}

/// How many partitions a topic has.
///
/// # Errors
/// When no broker answers or there is no such topic.
pub async fn partition_count(brokers: &str, topic: &str) -> Result<i32, KafkaError> {
    let (brokers, topic) = (brokers.to_owned(), topic.to_owned());
    client::ask(move || {
        let consumer = client::loner(&client::settings(&brokers))?;
        partition_count_by(&consumer, &brokers, &topic)
    })
    .await
}

/// The offset after the last record of each partition, by partition number.
///
/// # Errors
/// When no broker answers or there is no such topic.
pub async fn end_offsets(brokers: &str, topic: &str) -> Result<Vec<i64>, KafkaError> {
    let (brokers, topic) = (brokers.to_owned(), topic.to_owned());
    client::ask(move || {
        let consumer = client::loner(&client::settings(&brokers))?;
        let count = partition_count_by(&consumer, &brokers, &topic)?;
        let end_of = |partition| {
            consumer
                .fetch_watermarks(&topic, partition, REQUEST_TIMEOUT)
                .map(|(_, end)| end)
                .map_err(|cause| KafkaError::topic(&topic, cause))
        };
        (0..count).map(end_of).collect()
    })
    .await
}

/// Largest batch of records that a topic takes, in bytes, as its configuration says now.
///
/// # Errors
/// When no broker answers, there is no such topic, or the broker does not tell.
pub async fn batch_bytes_max(brokers: &str, topic: &str) -> Result<usize, KafkaError> {
    let admin: AdminClient<Quiet> =
        client::settings(brokers).create_with_context(Quiet).map_err(KafkaError::client)?;
    let options = AdminOptions::new().request_timeout(Some(REQUEST_TIMEOUT));
    let told = admin
        .describe_configs(&[ResourceSpecifier::Topic(topic)], &options)
        .await
        .map_err(|cause| KafkaError::topic(topic, cause))?;
    let resource = told.into_iter().next();
    let resource = resource.ok_or_else(|| KafkaError::topic(topic, "its settings are not told"))?;
    let resource = resource.map_err(|cause| KafkaError::topic(topic, cause))?;
    let setting = resource.entry_map().get(BATCH_BYTES_MAX).and_then(|entry| entry.value.clone());
    setting
        .and_then(|value| value.parse().ok())
        .ok_or_else(|| KafkaError::topic(topic, format!("{BATCH_BYTES_MAX} is not told")))
}

/// Sets that limit, and whatever else is configured of the topic back to the broker's defaults.
///
/// # Errors
/// When no broker answers or the broker refuses.
pub async fn set_batch_bytes_max(
    brokers: &str,
    topic: &str,
    bytes: usize,
) -> Result<(), KafkaError> {
    let admin: AdminClient<Quiet> =
        client::settings(brokers).create_with_context(Quiet).map_err(KafkaError::client)?;
    let options = AdminOptions::new().request_timeout(Some(REQUEST_TIMEOUT));
    let bytes = bytes.to_string();
    let wanted = AlterConfig::new(ResourceSpecifier::Topic(topic)).set(BATCH_BYTES_MAX, &bytes);
    let told = admin
        .alter_configs([&wanted], &options)
        .await
        .map_err(|cause| KafkaError::topic(topic, cause))?;
    for one in told {
        one.map_err(|(_, code)| KafkaError::topic(topic, code))?;
    }
    Ok(())
}

/// Whether a broker answers within `timeout`.
///
/// # Errors
/// [`KafkaError::Unreachable`], naming the brokers and why.
pub async fn check(brokers: &str, timeout: Duration) -> Result<(), KafkaError> {
    let brokers = brokers.to_owned();
    client::ask(move || {
        let consumer = client::loner(&client::settings(&brokers))?;
        match consumer.fetch_metadata(None, timeout) {
            Ok(_) => Ok(()),
            Err(cause) => Err(KafkaError::Unreachable { brokers, cause: cause.to_string() }),
        }
    })
    .await
}

pub(crate) fn partition_count_by(
    consumer: &impl Consumer<Quiet>,
    brokers: &str,
    topic: &str,
) -> Result<i32, KafkaError> {
    let metadata = consumer.fetch_metadata(Some(topic), REQUEST_TIMEOUT).map_err(|cause| {
        KafkaError::Unreachable { brokers: brokers.to_owned(), cause: cause.to_string() }
    })?;
    let found = metadata.topics().iter().find(|found| found.name() == topic);
    match found.map(|found| found.partitions().len()) {
        None | Some(0) => Err(KafkaError::topic(topic, "does not exist")),
        Some(count) => i32::try_from(count).map_err(|cause| KafkaError::topic(topic, cause)),
    }
}

/// A topic as it should be.
struct Wanted {
    name: String,
    partitions: i32,
    replication: i32,
    settings: Vec<(&'static str, String)>,
}

impl Wanted {
    fn of(topic: Topic, kafka: &config::Kafka) -> Self {
        let partitions = match topic {
            Topic::Events | Topic::Valid | Topic::DeadLetters => kafka.partitions,
            Topic::Signals => kafka.signals_partitions,
            Topic::Items | Topic::Decisions | Topic::Models | Topic::Redriven => 1,
        };
        let bytes_max = if topic == Topic::Events { RECORD_BYTES_MAX } else { OUTCOME_BYTES_MAX };
        let mut settings = vec![(BATCH_BYTES_MAX, bytes_max.to_string())];
        // One small entry for each dead letter, kept at least as long: all partitions of those together.
        let is_ledger = topic == Topic::Redriven;
        let policy = match (is_ledger, topic.is_compacted()) {
            (true, _) => "compact,delete",
            (false, true) => "compact",
            (false, false) => "delete",
        };
        settings.push(("cleanup.policy", policy.to_owned()));
        if policy != "compact" {
            let age_ms = kafka.events_retention_ms.unwrap_or(-1);
            let of = if is_ledger { kafka.partitions.max(1) } else { 1 };
            let bytes = kafka.events_retention_bytes.saturating_mul(of.into());
            settings.push(("retention.bytes", bytes.to_string()));
            settings.push(("retention.ms", age_ms.to_string()));
        }
        let name = topic.name(&kafka.topic_prefix);
        Self { name, partitions, replication: kafka.replication, settings }
    }

    fn as_new(&self) -> NewTopic<'_> {
        let replication = TopicReplication::Fixed(self.replication);
        let topic = NewTopic::new(&self.name, self.partitions, replication);
        self.settings.iter().fold(topic, |topic, (key, value)| topic.set(key, value))
    }
}

async fn note_difference(brokers: &str, wanted: &Wanted) -> Result<(), KafkaError> {
    let found = count_once_known(brokers, &wanted.name).await?;
    if found != wanted.partitions {
        warn!(topic = wanted.name, found, configured = wanted.partitions, "partitions differ");
    }
    Ok(())
}

/// A topic that was created a moment ago, here or by another daemon, is not known to every broker at once.
async fn count_once_known(brokers: &str, topic: &str) -> Result<i32, KafkaError> {
    let mut waited = Duration::ZERO;
    loop {
        match partition_count(brokers, topic).await {
            Err(KafkaError::Topic { .. }) if waited < KNOWN_BOUND => {
                tokio::time::sleep(KNOWN_RECHECK).await;
                waited += KNOWN_RECHECK;
            }
            counted => return counted,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(topic: Topic, partitions: i32, expected: &[(&str, &str)]) {
        let kafka = config::Kafka {
            partitions: 12,
            signals_partitions: 6,
            events_retention_bytes: 1_000,
            ..config::Kafka::default()
        };
        let wanted = Wanted::of(topic, &kafka);
        assert_eq!(wanted.partitions, partitions, "{topic:?}");
        let found =
            wanted.settings.iter().map(|(key, value)| (*key, value.as_str())).collect::<Vec<_>>();
        assert_eq!(found, expected, "{topic:?}");
    }

    #[test]
    fn topics_are_made_as_the_surface_says() {
        let bytes = ("max.message.bytes", "16777216");
        let mut delete = [
            bytes,
            ("cleanup.policy", "delete"),
            ("retention.bytes", "1000"),
            ("retention.ms", "-1"),
        ];
        for topic in [Topic::Valid, Topic::DeadLetters] {
            check(topic, 12, &delete);
        }
        check(Topic::Signals, 6, &delete);
        check(Topic::Decisions, 1, &delete);
        delete[0] = ("max.message.bytes", "8388608");
        check(Topic::Events, 12, &delete);
        for topic in [Topic::Items, Topic::Models] {
            check(topic, 1, &[bytes, ("cleanup.policy", "compact")]);
        }
        let ledger = [("cleanup.policy", "compact,delete"), ("retention.bytes", "12000")];
        check(Topic::Redriven, 1, &[&[bytes][..], &ledger, &[("retention.ms", "-1")]].concat());
    }
}
