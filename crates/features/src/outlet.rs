//! The way out of the users stage: signals, each to the partition of its item, in position order; and dead letters.

use std::collections::BTreeMap;

use parking_lot::Mutex;
use tracing::warn;
use upnext_common::item::ItemHash;
use upnext_contract::Encoder;
use upnext_kafka::{KafkaError, Outgoing, Producer, ProducerSettings};
use upnext_state::{SignalBatch, SignalEntry};

use crate::stage::Source;

use crate::late;

/// Entries of one record at most; longer flushes become several records.
const ENTRIES_MAX: usize = 2_000;
/// Largest record that the topics take.
const RECORD_BYTES_MAX: usize = 16 << 20;

pub(crate) struct Outlet {
    brokers: String,
    topic: String,
    partitions: i32,
    encoder: Encoder,
    /// With how many came before it.
    producer: Mutex<(u64, Producer)>,
    /// Of batches of one record, once there was need of it.
    lonely: Mutex<Option<Producer>>,
}

impl Outlet {
    pub(crate) fn new(
        brokers: &str,
        topic: String,
        partitions: i32,
        encoder: Encoder,
    ) -> Result<Self, KafkaError> {
        let producer = Mutex::new((0, Producer::new(brokers, settings())?));
        let lonely = Mutex::new(None);
        Ok(Self { brokers: brokers.to_owned(), topic, partitions, encoder, producer, lonely })
    }

    /// Sends the dead letters and signals of one flush and waits until all are acknowledged.
    ///
    /// # Errors
    /// When one is not: the partition has to start again from its watermark.
    pub(crate) async fn send(
        &self,
        source: Source,
        signals: Vec<SignalEntry>,
        letters: Vec<Outgoing>,
    ) -> Result<(), KafkaError> {
        let (generation, producer) = self.producer.lock().clone();
        let batches = self.batches(source, signals);
        let sent = self.write(&producer, batches, letters).await;
        if let Err(error) = &sent {
            self.replace_if_fatal(generation, error);
        }
        sent
    }

    async fn write(
        &self,
        producer: &Producer,
        batches: Vec<(i32, SignalBatch)>,
        letters: Vec<Outgoing>,
    ) -> Result<(), KafkaError> {
        for letter in late::write(producer, letters).await? {
            late::write_alone(&self.lonely()?, letter).await?;
        }
        let mut deliveries = Vec::new();
        for (partition, batch) in batches {
            for value in self.framed(batch)? {
                let outgoing = Outgoing {
                    topic: self.topic.clone(),
                    partition: Some(partition),
                    value: Some(value),
                    ..Outgoing::default()
                };
                deliveries.push(producer.send_when_room(&outgoing).await?);
            }
        }
        for delivery in deliveries {
            delivery.await?;
        }
        Ok(())
    }

    /// By signals partition, order kept.
    fn batches(&self, source: Source, signals: Vec<SignalEntry>) -> Vec<(i32, SignalBatch)> {
        let mut by_partition = BTreeMap::<i32, Vec<SignalEntry>>::new();
        for entry in signals {
            let partition = partition_of(entry.signal.item, self.partitions);
            by_partition.entry(partition).or_default().push(entry);
        }
        let mut batches = Vec::new();
        for (partition, entries) in by_partition {
            for entries in entries.chunks(ENTRIES_MAX) {
                let entries = entries.to_vec();
                let Source { partition: source_partition, epoch: source_epoch } = source;
                batches.push((partition, SignalBatch { source_partition, entries, source_epoch }));
            }
        }
        batches
    }

    /// The batch as one value, or as several where item ids are so long that one would be too large.
    fn framed(&self, batch: SignalBatch) -> Result<Vec<bytes::Bytes>, KafkaError> {
        match self.encoder.signals(&batch.encode()) {
            Ok(value) => Ok(vec![value]),
            Err(error) if batch.entries.len() < 2 => {
                Err(KafkaError::Refused { cause: error.to_string(), partition: None })
            }
            Err(_) => {
                let mut sooner = batch;
                let entries = sooner.entries.split_off(sooner.entries.len() / 2);
                let later = SignalBatch { entries, ..sooner };
                let mut values = self.framed(sooner)?;
                values.extend(self.framed(later)?);
                Ok(values)
            }
        }
    }

    /// A producer of which no record is refused for the company it has.
    fn lonely(&self) -> Result<Producer, KafkaError> {
        let mut lonely = self.lonely.lock();
        if let Some(producer) = &*lonely {
            return Ok(producer.clone());
        }
        let producer =
            Producer::new(&self.brokers, ProducerSettings { batch_bytes_max: 1, ..settings() })?;
        Ok(lonely.insert(producer).clone())
    }

    /// Puts a new producer in the place of one that is beyond repair, unless somebody has done so already.
    fn replace_if_fatal(&self, generation: u64, error: &KafkaError) {
        let mut producer = self.producer.lock();
        if !matches!(error, KafkaError::Fatal { .. }) || producer.0 != generation {
            return;
        }
        self.lonely.lock().take();
        match Producer::new(&self.brokers, settings()) {
            Ok(fresh) => *producer = (generation + 1, fresh),
            Err(error) => warn!(%error, "no new producer, will retry"),
        }
    }
}

/// An item's signals all stand in one partition.
pub(crate) fn partition_of(item: ItemHash, partitions: i32) -> i32 {
    let count = u64::try_from(partitions.max(1)).unwrap_or(1);
    i32::try_from(item.0 % count).unwrap_or(0)
}

/// A flush waits for its signals, so they shall not wait for company.
fn settings() -> ProducerSettings {
    ProducerSettings {
        linger_ms: 1,
        record_bytes_max: RECORD_BYTES_MAX,
        ..ProducerSettings::default()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use upnext_common::event::EventType;
    use upnext_contract::unframe;
    use upnext_state::{Signal, What};

    use super::*;

    fn outlet(partitions: i32) -> Outlet {
        let encoder = Encoder::with_ids(|_| 7);
        Outlet::new("127.0.0.1:9", "signals".to_owned(), partitions, encoder)
            .expect("settings hold")
    }

    fn entry(offset: i64, item: u64, id_bytes: usize) -> SignalEntry {
        let item_id = Arc::from("x".repeat(id_bytes));
        let kind = EventType::ItemViewed;
        let what = What::Count { item_id, kind, is_repeat: false, opens_session: false };
        SignalEntry { offset, index: 0, signal: Signal { item: ItemHash(item), time_ms: 1, what } }
    }

    #[test]
    fn every_partition_gets_its_items_in_order() {
        let signals: Vec<_> = (0..9_000).map(|at| entry(at, at.cast_unsigned() % 5, 1)).collect();
        let mut last = BTreeMap::new();
        let mut count = 0;
        for (partition, batch) in outlet(3).batches(Source { partition: 4, epoch: 2 }, signals) {
            assert_eq!((batch.source_partition, batch.source_epoch), (4, 2));
            assert!(batch.entries.len() <= ENTRIES_MAX);
            for entry in &batch.entries {
                assert_eq!(partition_of(entry.signal.item, 3), partition);
                assert!(last.insert(partition, entry.offset) < Some(entry.offset));
                count += 1;
            }
        }
        assert_eq!(count, 9_000);
    }

    #[test]
    fn a_batch_that_is_too_large_is_halved_in_order() {
        let entries: Vec<_> = (0..1_000).map(|at| entry(at, 1, 3_000)).collect();
        let batch = SignalBatch { entries: entries.clone(), ..SignalBatch::default() };
        let values = outlet(1).framed(batch).unwrap();
        assert!(values.len() > 2);
        let mut found = Vec::new();
        for value in values {
            let (_, payload) = unframe(&value).unwrap();
            found.extend(SignalBatch::decode(payload).unwrap().entries);
        }
        assert_eq!(found, entries);
    }

    #[test]
    fn one_entry_that_is_too_large_is_refused() {
        let batch = SignalBatch { entries: vec![entry(0, 1, 2_000_000)], ..SignalBatch::default() };
        assert!(matches!(outlet(1).framed(batch), Err(KafkaError::Refused { .. })));
    }
}
