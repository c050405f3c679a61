//! Durable writes: idempotent, acknowledged by all replicas, never given up while the broker is away.
//!
//! `send` returns at once with a [`Delivery`] to await; records of one partition are written in the order of their
//! `send`. A finite message timeout would lose records between delivered ones, so there is none: a failed delivery
//! means that nothing after it on that partition may be trusted, and its sender starts again from what was delivered.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use rdkafka::ClientContext;
use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
use rdkafka::error::KafkaError as Cause;
use rdkafka::message::{Header as SentHeader, Message, OwnedHeaders};
use rdkafka::producer::{
    BaseRecord, DeliveryResult, Producer as _, ProducerContext, PurgeConfig, ThreadedProducer,
};
use tokio::sync::{Notify, oneshot};
use tracing::debug;

use crate::{KafkaError, Outgoing, client};

/// How often a sender that found the queue full looks again, should no delivery wake it.
const ROOM_RECHECK: Duration = Duration::from_millis(20);

/// How often whoever waits for a delivery asks whether the client is beyond repair.
const FATAL_RECHECK: Duration = Duration::from_secs(1);

/// Limits and waits of a producer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProducerSettings {
    /// Longest time a record waits for others to share its request.
    pub linger_ms: u64,
    /// Records and kilobytes that may wait for delivery before the queue is full.
    pub queue_records_max: usize,
    pub queue_kbytes_max: usize,
    /// Largest record.
    pub record_bytes_max: usize,
    /// Most bytes of records that share a batch. A broker refuses a batch that is larger than its topic allows as a
    /// whole, while later ones are written: so no more than the smallest limit of the topics written to.
    pub batch_bytes_max: usize,
    /// Whether a batch that the broker refuses is the end of the producer, so that nothing later is written before its
    /// records are.
    pub is_gapless: bool,
}

impl Default for ProducerSettings {
    fn default() -> Self {
        Self {
            linger_ms: 5,
            queue_records_max: 100_000,
            queue_kbytes_max: 128 << 10,
            record_bytes_max: 8 << 20,
            batch_bytes_max: 1_000_000,
            is_gapless: false,
        }
    }
}

/// Writes records. Clones share one client and one queue.
#[derive(Clone)]
pub struct Producer(Arc<Shared>);

struct Shared {
    client: ThreadedProducer<Deliveries>,
    in_flight: Arc<InFlight>,
}

impl Producer {
    /// Makes a client; connecting happens in the background.
    ///
    /// # Errors
    /// When the settings are refused.
    pub fn new(brokers: &str, settings: ProducerSettings) -> Result<Self, KafkaError> {
        Self::with(client::settings(brokers).set("message.timeout.ms", "0"), &settings)
    }

    /// With what only this kind of producer sets.
    pub(crate) fn with(
        config: &mut ClientConfig,
        settings: &ProducerSettings,
    ) -> Result<Self, KafkaError> {
        let in_flight = Arc::new(InFlight::default());
        let client = config
            .set("enable.idempotence", "true")
            .set("acks", "all")
            .set("partitioner", "murmur2_random")
            .set("linger.ms", settings.linger_ms.to_string())
            .set("queue.buffering.max.messages", settings.queue_records_max.to_string())
            .set("queue.buffering.max.kbytes", settings.queue_kbytes_max.to_string())
            .set("message.max.bytes", settings.record_bytes_max.to_string())
            .set("batch.size", settings.batch_bytes_max.to_string())
            .set("enable.gapless.guarantee", settings.is_gapless.to_string())
            .create_with_context(Deliveries(Arc::clone(&in_flight)))
            .map_err(KafkaError::client)?;
        Ok(Self(Arc::new(Shared { client, in_flight })))
    }

    pub(crate) fn client(&self) -> &ThreadedProducer<Deliveries> {
        &self.0.client
    }

    /// Queues a record.
    ///
    /// # Errors
    /// [`KafkaError::QueueFull`] when there is no room, [`KafkaError::Refused`] when the record can never be written.
    pub fn send(&self, record: &Outgoing) -> Result<Delivery, KafkaError> {
        let (sender, receiver) = oneshot::channel();
        let mut outgoing =
            BaseRecord::<[u8], [u8], Receipt>::with_opaque_to(&record.topic, Box::new(sender));
        outgoing.partition = record.partition;
        outgoing.key = record.key.as_deref();
        outgoing.payload = record.value.as_deref();
        outgoing.timestamp = record.timestamp_ms;
        outgoing.headers = headers_of(record);
        self.0.in_flight.add();
        match self.0.client.send(outgoing) {
            Ok(()) => Ok(Delivery(receiver)),
            Err((cause, _)) => {
                self.0.in_flight.remove();
                Err(KafkaError::of_send(&cause))
            }
        }
    }

    /// Queues a record, waiting for room as long as it takes. Cancel safe: either queued or not.
    ///
    /// # Errors
    /// [`KafkaError::Refused`] or [`KafkaError::Fatal`]; never [`KafkaError::QueueFull`].
    pub async fn send_when_room(&self, record: &Outgoing) -> Result<Delivery, KafkaError> {
        loop {
            let room = self.0.in_flight.room.notified();
            match self.send(record) {
                Err(KafkaError::QueueFull) => {
                    // Whether woken or timed out: look again.
                    tokio::time::timeout(ROOM_RECHECK, room).await.ok();
                }
                sent => return sent,
            }
        }
    }

    /// Waits until every record sent so far is delivered or has failed.
    ///
    /// # Errors
    /// [`KafkaError::FlushTimeout`] with how many are still under way.
    pub async fn flush(&self, timeout: Duration) -> Result<(), KafkaError> {
        let emptied = async {
            loop {
                let emptied = self.0.in_flight.emptied.notified();
                if self.in_flight() == 0 {
                    return;
                }
                emptied.await;
            }
        };
        match tokio::time::timeout(timeout, emptied).await {
            Ok(()) => Ok(()),
            Err(_) => Err(KafkaError::FlushTimeout { left: self.in_flight() }),
        }
    }

    /// Waits for a delivery of this producer, or until it is beyond repair: then nothing that waits is sent any more,
    /// and nothing is told of it. Cancel safe.
    ///
    /// # Errors
    /// As [`Delivery`]'s; [`KafkaError::Fatal`] once the client is beyond repair.
    pub async fn landed(&self, delivery: &mut Delivery) -> Result<(i32, i64), KafkaError> {
        loop {
            if let Ok(outcome) = tokio::time::timeout(FATAL_RECHECK, &mut *delivery).await {
                return outcome;
            }
            if let Some((_, cause)) = self.0.client.client().fatal_error() {
                return Err(KafkaError::Fatal { cause });
            }
        }
    }

    /// Lets every delivery under way fail, soon. What a broker has been sent may be written all the same.
    pub fn give_up(&self) {
        self.0.client.purge(PurgeConfig::default().queue().inflight().non_blocking());
    }

    /// Records that are neither delivered nor failed.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.0.in_flight.count.load(Ordering::Acquire)
    }
}

/// Where a record went: resolves to its partition and offset once every replica has it.
#[derive(Debug)]
#[must_use = "a record counts as written only once its delivery has resolved"]
pub struct Delivery(oneshot::Receiver<Result<(i32, i64), KafkaError>>);

impl Future for Delivery {
    type Output = Result<(i32, i64), KafkaError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.0).poll(context).map(|received| {
            received.unwrap_or_else(|_| {
                let cause = "the producer was closed".to_owned();
                Err(KafkaError::NotDelivered { cause, perhaps_in: None })
            })
        })
    }
}

pub(crate) type Receipt = Box<oneshot::Sender<Result<(i32, i64), KafkaError>>>;

/// Hands each delivery report to whoever sent the record.
pub(crate) struct Deliveries(Arc<InFlight>);

impl ClientContext for Deliveries {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        client::log_line(level, facility, message);
    }

    fn error(&self, error: Cause, reason: &str) {
        debug!(%error, reason, "producer trouble");
    }
}

impl ProducerContext for Deliveries {
    type DeliveryOpaque = Receipt;

    fn delivery(&self, result: &DeliveryResult<'_>, receipt: Receipt) {
        let outcome = match result {
            Ok(message) => Ok((message.partition(), message.offset())),
            Err((cause, message)) => Err(KafkaError::of_delivery(cause, message.partition())),
        };
        // A sender that no longer listens has given the record up already.
        receipt.send(outcome).ok();
        self.0.remove();
        self.0.room.notify_waiters();
    }
}

#[derive(Default)]
struct InFlight {
    count: AtomicUsize,
    /// A record was delivered or has failed.
    room: Notify,
    emptied: Notify,
}

impl InFlight {
    fn add(&self) {
        self.count.fetch_add(1, Ordering::AcqRel);
    }

    fn remove(&self) {
        if self.count.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.emptied.notify_waiters();
        }
    }
}

fn headers_of(record: &Outgoing) -> Option<OwnedHeaders> {
    if record.headers.is_empty() {
        return None;
    }
    let empty = OwnedHeaders::new_with_capacity(record.headers.len());
    Some(record.headers.iter().fold(empty, |headers, (key, value)| {
        headers.insert(SentHeader { key, value: value.as_deref() })
    }))
}
