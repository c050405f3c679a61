//! What can go wrong with topics, and whether trying again can help.

use rdkafka::error::{KafkaError as Cause, RDKafkaErrorCode as Code};
use thiserror::Error;
use upnext_common::fault::Fault;

/// Why something with a topic failed.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum KafkaError {
    #[error("no kafka broker answers at {brokers}: {cause}")]
    Unreachable { brokers: String, cause: String },
    #[error("kafka client cannot start: {cause}")]
    Client { cause: String },
    #[error("topic {topic}: {cause}")]
    Topic { topic: String, cause: String },
    /// Too many records wait for delivery: wait for room and send again.
    #[error("the producer's queue is full")]
    QueueFull,
    /// This record can never be written as it is: too large, too old, or not what the topic takes.
    #[error("record refused: {cause}")]
    Refused {
        cause: String,
        /// The partition that it was sent to, where a broker has refused it.
        partition: Option<i32>,
    },
    /// The record may or may not have been written; what was sent after it may have been.
    #[error("record not delivered: {cause}")]
    NotDelivered {
        cause: String,
        /// The partition in which it may stand all the same; `None` where it was never sent to a broker.
        perhaps_in: Option<i32>,
    },
    /// This client cannot go on; a new one may.
    #[error("kafka client is beyond repair: {cause}")]
    Fatal { cause: String },
    #[error("{left} records still undelivered")]
    FlushTimeout { left: usize },
    /// A later writer has taken this transactional id over; what this one had open is undone.
    #[error("another writer has taken over as {id}")]
    Fenced { id: String },
}

impl KafkaError {
    /// Whose fault it is and whether the same call can succeed later.
    #[must_use]
    pub fn fault(&self) -> Fault {
        match self {
            Self::Unreachable { .. }
            | Self::Topic { .. }
            | Self::QueueFull
            | Self::NotDelivered { .. }
            | Self::FlushTimeout { .. } => Fault::UPSTREAM,
            Self::Refused { .. } | Self::Fenced { .. } => Fault::CALLER,
            Self::Client { .. } | Self::Fatal { .. } => Fault::INTERNAL,
        }
    }

    pub(crate) fn client(cause: impl std::fmt::Display) -> Self {
        Self::Client { cause: cause.to_string() }
    }

    pub(crate) fn topic(topic: &str, cause: impl std::fmt::Display) -> Self {
        Self::Topic { topic: topic.to_owned(), cause: cause.to_string() }
    }

    /// Why a record could not be queued.
    pub(crate) fn of_send(cause: &Cause) -> Self {
        match cause.rdkafka_error_code() {
            Some(Code::QueueFull) => Self::QueueFull,
            Some(Code::Fatal) => Self::Fatal { cause: cause.to_string() },
            // A topic that is not there, or not ours to write, is no fault of the record.
            Some(
                Code::UnknownTopic
                | Code::UnknownPartition
                | Code::UnknownTopicOrPartition
                | Code::TopicAuthorizationFailed
                | Code::State,
            ) => Self::NotDelivered { cause: cause.to_string(), perhaps_in: None },
            Some(_) | None => Self::Refused { cause: cause.to_string(), partition: None },
        }
    }

    /// Why a queued record was not delivered.
    pub(crate) fn of_delivery(cause: &Cause, partition: i32) -> Self {
        let text = cause.to_string();
        match cause.rdkafka_error_code() {
            // A topic that is not there, or not ours to write, is no fault of the record.
            Some(Code::MessageSizeTooLarge | Code::InvalidRecord | Code::InvalidTimestamp) => {
                Self::Refused { cause: text, partition: Some(partition) }
            }
            Some(Code::Fatal) => Self::Fatal { cause: text },
            Some(Code::PurgeQueue | Code::InvalidDifferentRecord) => {
                Self::NotDelivered { cause: text, perhaps_in: None }
            }
            Some(_) | None => Self::NotDelivered { cause: text, perhaps_in: Some(partition) },
        }
    }
}

#[cfg(test)]
mod tests {
    use upnext_common::fault::Domain;

    use super::*;

    #[track_caller]
    fn check(code: Code, at_send: Domain, at_delivery: Domain) {
        let cause = Cause::MessageProduction(code);
        assert_eq!(KafkaError::of_send(&cause).fault().domain, at_send, "{code}");
        assert_eq!(KafkaError::of_delivery(&cause, 0).fault().domain, at_delivery, "{code}");
    }

    #[test]
    fn an_error_says_whose_fault_it_is() {
        check(Code::QueueFull, Domain::Upstream, Domain::Upstream);
        check(Code::MessageSizeTooLarge, Domain::Caller, Domain::Caller);
        check(Code::Fatal, Domain::Internal, Domain::Internal);
        check(Code::InvalidTimestamp, Domain::Caller, Domain::Caller);
        check(Code::InvalidDifferentRecord, Domain::Caller, Domain::Upstream);
        check(Code::TopicAuthorizationFailed, Domain::Upstream, Domain::Upstream);
        check(Code::UnknownTopic, Domain::Upstream, Domain::Upstream);
        check(Code::UnknownPartition, Domain::Upstream, Domain::Upstream);
        check(Code::BrokerTransportFailure, Domain::Caller, Domain::Upstream);
    }

    #[test]
    fn what_was_given_up_under_way_may_stand() {
        let perhaps = |code| {
            let error = KafkaError::of_delivery(&Cause::MessageProduction(code), 7);
            let KafkaError::NotDelivered { perhaps_in, .. } = error else { panic!("{error}") };
            perhaps_in
        };
        assert_eq!(perhaps(Code::PurgeInflight), Some(7));
        assert_eq!(perhaps(Code::BrokerTransportFailure), Some(7));
        assert_eq!(perhaps(Code::PurgeQueue), None);
    }

    #[test]
    fn only_trouble_of_the_broker_is_worth_a_retry() {
        let refused = KafkaError::Refused { cause: "too large".to_owned(), partition: None };
        let unreachable =
            KafkaError::Unreachable { brokers: "a:1".to_owned(), cause: "refused".to_owned() };
        assert!(!refused.fault().may_retry());
        assert!(unreachable.fault().may_retry());
        assert_eq!(unreachable.to_string(), "no kafka broker answers at a:1: refused");
    }
}
