//! What every client of the broker has in common: settings, logs, and questions asked on a thread of their own.

use std::thread;

use rdkafka::ClientContext;
use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
use rdkafka::consumer::{BaseConsumer, ConsumerContext};
use rdkafka::error::KafkaError as Cause;
use tokio::sync::oneshot;
use tracing::{debug, warn};

use crate::KafkaError;

/// Settings of every client. Reconnects stay quick, so that a broker's restart is over when it is over.
pub(crate) fn settings(brokers: &str) -> ClientConfig {
    let mut config = ClientConfig::new();
    config
        .set("bootstrap.servers", brokers)
        .set("client.id", "upnext")
        .set("reconnect.backoff.ms", "50")
        .set("reconnect.backoff.max.ms", "1000")
        .set("topic.metadata.refresh.interval.ms", "10000")
        .set("log.connection.close", "false")
        .set_log_level(RDKafkaLogLevel::Warning);
    config
}

/// Settings of every consumer.
pub(crate) fn consumer_settings(brokers: &str, group: &str) -> ClientConfig {
    let mut config = settings(brokers);
    config
        .set("group.id", group)
        .set("enable.auto.commit", "false")
        .set("enable.auto.offset.store", "false")
        .set("auto.offset.reset", "earliest")
        .set("isolation.level", "read_committed")
        .set("queued.max.messages.kbytes", "16384")
        .set("fetch.wait.max.ms", "100")
        .set("fetch.error.backoff.ms", "50")
        .set("fetch.queue.backoff.ms", "10");
    config
}

/// Speaks for librdkafka in our logs. What it reports as errors (a broker away, an end reached) it retries by
/// itself, so none of it needs a person.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Quiet;

impl ClientContext for Quiet {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        log_line(level, facility, message);
    }

    fn error(&self, error: Cause, reason: &str) {
        debug!(%error, reason, "kafka client trouble");
    }
}

impl ConsumerContext for Quiet {}

pub(crate) fn log_line(level: RDKafkaLogLevel, facility: &str, message: &str) {
    match level {
        RDKafkaLogLevel::Emerg | RDKafkaLogLevel::Alert | RDKafkaLogLevel::Critical => {
            warn!(facility, message, "kafka client");
        }
        RDKafkaLogLevel::Error
        | RDKafkaLogLevel::Warning
        | RDKafkaLogLevel::Notice
        | RDKafkaLogLevel::Info
        | RDKafkaLogLevel::Debug => debug!(facility, message, "kafka client"),
    }
}

/// A consumer that joins no group: for metadata, offsets and manual assignment.
pub(crate) fn loner(config: &ClientConfig) -> Result<BaseConsumer<Quiet>, KafkaError> {
    config.create_with_context(Quiet).map_err(KafkaError::client)
}

/// Answers a blocking question off the runtime, on a thread that ends with the answer.
pub(crate) async fn ask<T: Send + 'static>(
    question: impl FnOnce() -> Result<T, KafkaError> + Send + 'static,
) -> Result<T, KafkaError> {
    let (answer, answered) = oneshot::channel();
    spawn("kafka-question", move || {
        // Nobody may be waiting any more; then the answer is nobody's.
        answer.send(question()).ok();
    })?;
    match answered.await {
        Ok(answer) => answer,
        Err(_) => Err(KafkaError::client("the thread that asked ended without an answer")),
    }
}

pub(crate) fn spawn(
    name: &str,
    work: impl FnOnce() + Send + 'static,
) -> Result<thread::JoinHandle<()>, KafkaError> {
    thread::Builder::new().name(name.to_owned()).spawn(work).map_err(KafkaError::client)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_question_that_dies_is_an_error() {
        let died = ask(|| -> Result<(), KafkaError> { panic!("asked to") }).await;
        assert!(matches!(died, Err(KafkaError::Client { .. })), "{died:?}");
    }

    #[tokio::test]
    async fn an_answer_comes_back() {
        assert_eq!(ask(|| Ok(7)).await, Ok(7));
    }
}
