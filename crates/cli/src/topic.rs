//! Reading what stands on a topic now, without disturbing the runtime.

use upnext_kafka::{KafkaError, Record, tail};

use crate::failure::Failure;
use crate::writer::unreachable;

/// Every record on the topic, in offset order within each partition.
///
/// # Errors
/// [`Failure::Unavailable`] when the broker does not answer or there is no such topic.
pub(crate) async fn read_topic(brokers: &str, topic: &str) -> Result<Vec<Record>, Failure> {
    let (brokers, topic) = (brokers.to_owned(), topic.to_owned());
    let (sender, receiver) = tokio::sync::oneshot::channel();
    let read = move || {
        let mut records = Vec::new();
        let outcome = tail::read_all(&brokers, &topic, &mut |record| records.push(record));
        // A receiver that is gone needs no records.
        sender.send(outcome.map(|_| records)).ok();
    };
    let started = std::thread::Builder::new().name("read-topic".to_owned()).spawn(read);
    started.map_err(|error| Failure::Other(error.into()))?;
    let silent = || KafkaError::Client { cause: "the reading thread died".to_owned() };
    receiver.await.unwrap_or_else(|_| Err(silent())).map_err(unreachable)
}
