//! The way out: one producer for all partitions, replaced when it is beyond repair.

use parking_lot::Mutex;
use tracing::warn;
use upnext_kafka::{Delivery, KafkaError, Outgoing, Producer, ProducerSettings};

/// Largest record we write: room for a dead letter's headers on top of the largest value we read.
const RECORD_BYTES_MAX: usize = 64 << 20;

pub(crate) struct Outlet {
    brokers: String,
    current: Mutex<(u64, Producer)>,
}

impl Outlet {
    pub(crate) fn new(brokers: &str) -> Result<Self, KafkaError> {
        let current = Mutex::new((0, producer(brokers)?));
        Ok(Self { brokers: brokers.to_owned(), current })
    }

    /// The producer in use and its generation, to be named in [`Self::replace`].
    pub(crate) fn producer(&self) -> (u64, Producer) {
        let current = self.current.lock();
        (current.0, current.1.clone())
    }

    /// Queues a record, waiting for room.
    pub(crate) async fn send(&self, record: &Outgoing) -> Result<Delivery, KafkaError> {
        let (_, producer) = self.producer();
        producer.send_when_room(record).await
    }

    /// Puts a new producer in the place of the one of `generation`, unless somebody has done so already.
    pub(crate) fn replace(&self, generation: u64) {
        let mut current = self.current.lock();
        if current.0 != generation {
            return;
        }
        match producer(&self.brokers) {
            Ok(fresh) => *current = (generation + 1, fresh),
            Err(error) => warn!(%error, "no new producer, will retry"),
        }
    }
}

fn producer(brokers: &str) -> Result<Producer, KafkaError> {
    let settings =
        ProducerSettings { record_bytes_max: RECORD_BYTES_MAX, ..ProducerSettings::default() };
    Producer::new(brokers, settings)
}
