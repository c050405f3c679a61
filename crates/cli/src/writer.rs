//! Writing events and items to the topics, framed by our schemas, as fast as the broker takes them.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use bytes::Bytes;
use upnext_common::clock::Clock;
use upnext_common::event::Event;
use upnext_common::item::Item;
use upnext_common::topic::Topic;
use upnext_contract::{ArtifactAnnounced, Encoder, RegistryClient};
use upnext_kafka::{Delivery, KafkaError, Outgoing, Producer, ProducerSettings, admin};

use crate::endpoints::Target;
use crate::failure::Failure;

const REACH_BOUND: Duration = Duration::from_secs(5);
/// Records written and not yet acknowledged.
const IN_FLIGHT_MAX: usize = 10_000;

/// A producer with our encodings.
pub(crate) struct Writer {
    producer: Producer,
    encoder: Encoder,
    prefix: String,
}

impl Writer {
    /// Connects to the target's broker and registers our schemas.
    ///
    /// # Errors
    /// [`Failure::Unavailable`] when the broker or the registry does not answer.
    pub(crate) async fn connect(target: &Target, clock: &Clock) -> Result<Self, Failure> {
        let brokers = target.brokers()?;
        admin::check(&brokers, REACH_BOUND).await.map_err(unreachable)?;
        let prefix = target.config().kafka.topic_prefix.clone();
        let registry = registry(target, clock)?;
        let encoder = Encoder::register_all(&registry, &prefix).await.map_err(|error| {
            Failure::unavailable(
                format!("the schema registry does not take our schemas: {error}"),
                "check registry.url, and that the registry runs",
            )
        })?;
        let producer = Producer::new(&brokers, ProducerSettings::default()).map_err(unreachable)?;
        Ok(Self { producer, encoder, prefix })
    }

    /// Queues an event; its record's timestamp is `record_ms`.
    pub(crate) async fn event(&self, event: &Event, record_ms: i64) -> anyhow::Result<Delivery> {
        let value = self.encoder.event(event)?;
        let key = event.key().map(|key| Bytes::copy_from_slice(key.as_bytes()));
        self.send(Topic::Events, key, value, Some(record_ms)).await
    }

    /// Writes a catalogue and waits until all of it is acknowledged.
    pub(crate) async fn items(&self, items: &[Item]) -> anyhow::Result<()> {
        let mut in_flight = InFlight::default();
        for item in items {
            let key = Some(Bytes::copy_from_slice(item.item_id.as_bytes()));
            let sent = self.send(Topic::Items, key, self.encoder.item(item)?, None).await?;
            in_flight.push(sent).await?;
        }
        in_flight.settle().await
    }

    pub(crate) async fn artifact(&self, artifact: &ArtifactAnnounced) -> anyhow::Result<Delivery> {
        let key = Some(Bytes::copy_from_slice(artifact.artifact_id.as_bytes()));
        self.send(Topic::Models, key, self.encoder.artifact(artifact)?, None).await
    }

    async fn send(
        &self,
        topic: Topic,
        key: Option<Bytes>,
        value: Bytes,
        timestamp_ms: Option<i64>,
    ) -> anyhow::Result<Delivery> {
        let topic = topic.name(&self.prefix);
        let record =
            Outgoing { topic, key, value: Some(value), timestamp_ms, ..Outgoing::default() };
        self.producer.send_when_room(&record).await.context("cannot write to the topic")
    }
}

/// Records that were written and not yet acknowledged: at most so many, the oldest waited for first.
#[derive(Debug, Default)]
pub(crate) struct InFlight(VecDeque<Delivery>);

impl InFlight {
    /// Waits for room.
    pub(crate) async fn push(&mut self, delivery: Delivery) -> anyhow::Result<()> {
        self.0.push_back(delivery);
        self.shrink_to(IN_FLIGHT_MAX).await
    }

    /// Waits until every record is acknowledged.
    pub(crate) async fn settle(&mut self) -> anyhow::Result<()> {
        self.shrink_to(0).await
    }

    async fn shrink_to(&mut self, open: usize) -> anyhow::Result<()> {
        while self.0.len() > open {
            if let Some(oldest) = self.0.pop_front() {
                oldest.await.context("a record was not written")?;
            }
        }
        Ok(())
    }
}

/// A client of the target's registry.
pub(crate) fn registry(target: &Target, clock: &Clock) -> Result<Arc<RegistryClient>, Failure> {
    let url = target.registry()?;
    let client =
        RegistryClient::new(&url, &target.config().registry, clock.clone()).map_err(|error| {
            Failure::refused(format!("registry.url: {error}"), "write http://host:port")
        })?;
    Ok(Arc::new(client))
}

/// A broker that does not answer, in one line.
pub(crate) fn unreachable(error: KafkaError) -> Failure {
    Failure::unavailable(error.to_string(), "check kafka.brokers, and that the broker runs")
}
