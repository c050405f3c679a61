//! What training learns from: a file, or everything that stands in Kafka now.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use thiserror::Error;
use tokio::sync::{mpsc, oneshot};
use tracing::warn;
use upnext_common::clock::Clock;
use upnext_common::config::{self, Config};
use upnext_common::fault::Fault;
use upnext_common::item::Item;
use upnext_common::position::{SOURCE_EPOCH, SOURCE_OFFSET, SOURCE_PARTITION};
use upnext_common::topic::Topic;
use upnext_contract::{DecodeError, Decoder, RegistryClient, RegistryError};
use upnext_kafka::{KafkaError, Record, tail};
use upnext_model::artifact::Artifact;

use crate::dataset::{DatasetError, Row};
use crate::fit::{FitError, Input, Stage, fit};

/// Records read ahead of their decoding.
const QUEUE_MAX: usize = 4_096;

/// Events sorted by time, each once, and the catalogue.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct History {
    pub rows: Vec<Row>,
    pub items: Vec<Item>,
}

/// Why there is no history or no artifact from it.
#[derive(Debug, Error)]
pub enum HistoryError {
    #[error(transparent)]
    Dataset(#[from] DatasetError),
    #[error(transparent)]
    Kafka(#[from] KafkaError),
    #[error(transparent)]
    Registry(#[from] RegistryError),
    #[error(transparent)]
    Decode(#[from] DecodeError),
    #[error(transparent)]
    Fit(#[from] FitError),
    #[error("no thread can be had: {0}")]
    Thread(std::io::Error),
    #[error("the reading thread died")]
    ThreadDied,
}

impl HistoryError {
    #[must_use]
    pub fn fault(&self) -> Fault {
        match self {
            Self::Dataset(cause) => cause.fault(),
            Self::Kafka(cause) => cause.fault(),
            Self::Registry(cause) => cause.fault(),
            Self::Decode(cause) => cause.fault(),
            Self::Fit(cause) => cause.fault(),
            Self::Thread(_) | Self::ThreadDied => Fault::INTERNAL,
        }
    }
}

/// Reads the valid events and the items that stand in Kafka now.
///
/// # Errors
/// When broker or registry is in trouble. A record that cannot be decoded is passed over with a warning.
pub async fn read_kafka(
    brokers: &str,
    topic_prefix: &str,
    registry_url: &str,
    registry: &config::Registry,
    clock: Clock,
) -> Result<History, HistoryError> {
    let client = RegistryClient::new(registry_url, registry, clock)?;
    let decoder = Decoder::new(Arc::new(client));
    let rows = read_rows(brokers, &Topic::Valid.name(topic_prefix), &decoder).await?;
    let items = read_items(brokers, &Topic::Items.name(topic_prefix), &decoder).await?;
    Ok(History { rows, items })
}

/// Fits an artifact to what stands in Kafka now; the fit runs on a thread of its own.
///
/// # Errors
/// As [`read_kafka`] and [`fit`].
pub async fn fit_from_kafka(
    config: &Config,
    brokers: &str,
    registry_url: &str,
    clock: Clock,
    on_progress: impl FnMut(Stage) + Send + 'static,
) -> Result<Artifact, HistoryError> {
    let prefix = &config.kafka.topic_prefix;
    let registry = &config.registry;
    let history = read_kafka(brokers, prefix, registry_url, registry, clock.clone()).await?;
    fit_aside(history, config.train.clone(), clock, on_progress).await
}

/// [`fit`] on a thread of its own, for callers that must not block.
///
/// # Errors
/// As [`fit`].
pub async fn fit_aside(
    history: History,
    config: config::Train,
    clock: Clock,
    mut on_progress: impl FnMut(Stage) + Send + 'static,
) -> Result<Artifact, HistoryError> {
    let (sender, receiver) = oneshot::channel();
    let work = move || {
        let input = Input { rows: &history.rows, items: &history.items };
        sender.send(fit(&input, &config, &clock, &mut on_progress)).ok();
    };
    std::thread::Builder::new()
        .name("upnext-fit".to_owned())
        .spawn(work)
        .map_err(HistoryError::Thread)?;
    Ok(receiver.await.map_err(|_| HistoryError::ThreadDied)??)
}

async fn read_rows(
    brokers: &str,
    topic: &str,
    decoder: &Decoder,
) -> Result<Vec<Row>, HistoryError> {
    let mut sources = HashSet::new();
    let mut placed = Vec::new();
    let mut reading = Reading::start(brokers, topic)?;
    while let Some(record) = reading.next().await? {
        let source = source(&record);
        if source.is_some_and(|source| !sources.insert(source)) {
            continue;
        }
        let Some(event) = decoded(&record, decoder.event(value_of(&record)).await)? else {
            continue;
        };
        let line = u64::try_from(record.offset).unwrap_or(0);
        let place = source.unwrap_or((0, record.partition, record.offset));
        placed.push((place, Row { event, record_ms: record.timestamp_ms, line }));
    }
    placed.sort_by_key(|(place, row)| (row.record_ms, *place));
    Ok(placed.into_iter().map(|(_, row)| row).collect())
}

/// The newest record of each item, by id; a tombstone takes it out.
async fn read_items(
    brokers: &str,
    topic: &str,
    decoder: &Decoder,
) -> Result<Vec<Item>, HistoryError> {
    let mut items = BTreeMap::new();
    let mut reading = Reading::start(brokers, topic)?;
    while let Some(record) = reading.next().await? {
        let key = record.key.as_ref().map(|key| String::from_utf8_lossy(key).into_owned());
        let Some(key) = key else { continue };
        if record.value.is_none() {
            items.remove(&key);
            continue;
        }
        if let Some(item) = decoded(&record, decoder.item(value_of(&record)).await)? {
            items.insert(key, item);
        }
    }
    Ok(items.into_values().collect())
}

fn value_of(record: &Record) -> &[u8] {
    record.value.as_deref().unwrap_or_default()
}

/// `None` for what can never be read; trouble is an error.
fn decoded<T>(record: &Record, read: Result<T, DecodeError>) -> Result<Option<T>, HistoryError> {
    match read {
        Ok(value) => Ok(Some(value)),
        Err(DecodeError::Refused(rejection)) => {
            let (partition, offset) = (record.partition, record.offset);
            warn!(partition, offset, %rejection, "record is passed over");
            Ok(None)
        }
        Err(trouble @ DecodeError::Trouble { .. }) => Err(trouble.into()),
    }
}

/// Where ingest read the event, epoch of its topic first: the same record twice has the same source.
fn source(record: &Record) -> Option<(i64, i32, i64)> {
    let number = |name| std::str::from_utf8(record.header(name)?).ok()?.parse::<i64>().ok();
    let partition = i32::try_from(number(SOURCE_PARTITION)?).ok()?;
    let epoch = if record.header(SOURCE_EPOCH).is_some() { number(SOURCE_EPOCH)? } else { 0 };
    Some((epoch, partition, number(SOURCE_OFFSET)?))
}

/// A bounded read of a topic on a thread of its own.
struct Reading {
    records: mpsc::Receiver<Record>,
    end: Option<oneshot::Receiver<Result<u64, KafkaError>>>,
}

impl Reading {
    fn start(brokers: &str, topic: &str) -> Result<Self, HistoryError> {
        let (sender, records) = mpsc::channel(QUEUE_MAX);
        let (ended, end) = oneshot::channel();
        let (brokers, topic) = (brokers.to_owned(), topic.to_owned());
        let work = move || {
            let mut pass_on = |record| {
                sender.blocking_send(record).ok();
            };
            ended.send(tail::read_all(&brokers, &topic, &mut pass_on)).ok();
        };
        let thread = std::thread::Builder::new().name("upnext-read".to_owned());
        thread.spawn(work).map_err(HistoryError::Thread)?;
        Ok(Self { records, end: Some(end) })
    }

    /// The next record; `None` when all that stood in the topic was read.
    async fn next(&mut self) -> Result<Option<Record>, HistoryError> {
        if let Some(record) = self.records.recv().await {
            return Ok(Some(record));
        }
        if let Some(end) = self.end.take() {
            end.await.map_err(|_| HistoryError::ThreadDied)??;
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests;
