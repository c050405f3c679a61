//! The way out: one producer for all partitions, replaced when it is beyond repair.

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
    linger_ms: u64,
    current: Mutex<Way>,
}

/// A producer in use.
#[derive(Clone)]
pub(crate) struct Way {
    /// How many came before it.
    pub(crate) generation: u64,
    pub(crate) producer: Producer,
    pub(crate) batch_bytes_max: usize,
}

impl Outlet {
    pub(crate) fn new(brokers: &str, linger_ms: u64) -> Result<Self, KafkaError> {
        let producer = producer(brokers, linger_ms, BATCH_BYTES_MAX)?;
        let way = Way { generation: 0, producer, batch_bytes_max: BATCH_BYTES_MAX };
        Ok(Self { brokers: brokers.to_owned(), linger_ms, current: Mutex::new(way) })
    }

    pub(crate) fn way(&self) -> Way {
        self.current.lock().clone()
    }

    /// Takes care that the next partition that begins, or has nothing under way, sends batches as large as they may be
    /// and no larger.
    pub(crate) fn fit(&self, batch_bytes_max: usize) {
        let batch_bytes_max = batch_bytes_max.min(BATCH_BYTES_MAX);
        let mut current = self.current.lock();
        if current.batch_bytes_max != batch_bytes_max {
            self.put(&mut current, batch_bytes_max);
        }
    }

    /// Puts a new producer in the place of one that is beyond repair, unless somebody has done so already; one that
    /// makes batches no larger than this in any case. Whoever still waits for the old one need not.
    pub(crate) fn replace(&self, dead: &Way, batch_bytes_max: usize) {
        let mut current = self.current.lock();
        if current.generation == dead.generation || current.batch_bytes_max > batch_bytes_max {
            self.put(&mut current, batch_bytes_max.min(BATCH_BYTES_MAX));
        }
        drop(current);
        dead.producer.give_up();
    }

    fn put(&self, current: &mut Way, batch_bytes_max: usize) {
        match producer(&self.brokers, self.linger_ms, batch_bytes_max) {
            Ok(producer) => {
                let generation = current.generation + 1;
                *current = Way { generation, producer, batch_bytes_max };
            }
            Err(error) => warn!(%error, "no new producer, will retry"),
        }
    }
}

fn producer(brokers: &str, linger_ms: u64, batch_bytes_max: usize) -> Result<Producer, KafkaError> {
    let settings = ProducerSettings {
        linger_ms,
        record_bytes_max: RECORD_BYTES_MAX,
        batch_bytes_max,
        queue_kbytes_max: QUEUE_KBYTES_MAX,
        // Whoever counts would take what is written late for a repeat.
        is_gapless: true,
        ..ProducerSettings::default()
    };
    Producer::new(brokers, settings)
}
