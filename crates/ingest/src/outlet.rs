//! The way out: one producer for all partitions, replaced when it is beyond repair.

use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;
use tracing::warn;
use upnext_kafka::{KafkaError, Producer, ProducerSettings};

/// Largest record we write: room for a dead letter's headers on top of the largest value we read.
const RECORD_BYTES_MAX: usize = 64 << 20;

const BATCH_BYTES_MAX: usize = 1_000_000;
/// What may wait to be written; a record that is larger still fits into the empty queue.
const QUEUE_KBYTES_MAX: usize = 32 << 10;

pub(crate) struct Outlet {
    brokers: String,
    batch_bytes_max: AtomicUsize,
    current: Mutex<(u64, Producer)>,
}

impl Outlet {
    pub(crate) fn new(brokers: &str) -> Result<Self, KafkaError> {
        let current = Mutex::new((0, producer(brokers, BATCH_BYTES_MAX)?));
        let batch_bytes_max = AtomicUsize::new(BATCH_BYTES_MAX);
        Ok(Self { brokers: brokers.to_owned(), batch_bytes_max, current })
    }

    /// The producer in use and its generation, to be named in [`Self::replace`].
    pub(crate) fn producer(&self) -> (u64, Producer) {
        let current = self.current.lock();
        (current.0, current.1.clone())
    }

    /// Takes care that no batch is larger than this. Not for a producer that has sent something already.
    pub(crate) fn fit(&self, batch_bytes_max: usize) -> Result<(), KafkaError> {
        let batch_bytes_max = batch_bytes_max.min(BATCH_BYTES_MAX);
        let mut current = self.current.lock();
        if batch_bytes_max < self.batch_bytes_max.swap(batch_bytes_max, Ordering::AcqRel) {
            *current = (current.0 + 1, producer(&self.brokers, batch_bytes_max)?);
        }
        Ok(())
    }

    /// Puts a new producer in the place of the one of `generation`, unless somebody has done so already.
    pub(crate) fn replace(&self, generation: u64) {
        let mut current = self.current.lock();
        if current.0 != generation {
            return;
        }
        match producer(&self.brokers, self.batch_bytes_max.load(Ordering::Acquire)) {
            Ok(fresh) => *current = (generation + 1, fresh),
            Err(error) => warn!(%error, "no new producer, will retry"),
        }
    }
}

fn producer(brokers: &str, batch_bytes_max: usize) -> Result<Producer, KafkaError> {
    let settings = ProducerSettings {
        record_bytes_max: RECORD_BYTES_MAX,
        batch_bytes_max,
        queue_kbytes_max: QUEUE_KBYTES_MAX,
        ..ProducerSettings::default()
    };
    Producer::new(brokers, settings)
}
