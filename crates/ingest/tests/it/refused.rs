//! Brokers that refuse what was sent for reasons of their own: in the end each record is one outcome, with as much of it
//! as they take.

use rdkafka::mocking::MockCluster;
use rdkafka::producer::DefaultProducerContext;
use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr};
use upnext_common::topic::Topic;
use upnext_kafka::{Outgoing, Producer, ProducerSettings, Record};

use crate::ground::{Ground, click, header};

const TOO_OLD: RDKafkaRespErr = RDKafkaRespErr::RD_KAFKA_RESP_ERR_INVALID_TIMESTAMP;
const TOO_LARGE: RDKafkaRespErr = RDKafkaRespErr::RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE;

/// A ground whose broker answers as it is told.
struct Refusing {
    ground: Ground,
    broker: MockCluster<'static, DefaultProducerContext>,
}

impl Refusing {
    async fn start() -> Self {
        let mut ground = Ground::start().await;
        let broker = MockCluster::new(1).unwrap();
        ground.brokers = broker.bootstrap_servers();
        ground.producer = Producer::new(&ground.brokers, ProducerSettings::default()).unwrap();
        for topic in [Topic::Events, Topic::Valid, Topic::DeadLetters] {
            broker.create_topic(&ground.topic(topic), 1, 1).unwrap();
        }
        Self { ground, broker }
    }

    /// The first outcome of a record, whose sending is refused for these reasons first, one after the other.
    async fn outcome(&self, raw: &Outgoing, topic: Topic, refusals: &[RDKafkaRespErr]) -> Record {
        self.ground.write(raw).await;
        self.broker.request_errors(RDKafkaApiKey::Produce, refusals);
        let running = self.ground.ingest();
        let outcome = self.ground.follow(topic).next().await;
        let drained = running.stop().await;
        let is_dead = u64::from(topic == Topic::DeadLetters);
        assert_eq!((drained.accepted, drained.rejected), (1 - is_dead, is_dead));
        outcome
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_the_valid_topic_refuses_is_a_dead_letter() {
    let refusing = Refusing::start().await;
    let raw = refusing.ground.raw(&click("u1", "i"), 0);
    let letter = refusing.outcome(&raw, Topic::DeadLetters, &[TOO_OLD, TOO_OLD]).await;
    assert_eq!(header(&letter, "upnext.dlq.reason"), "refused");
    assert_eq!((letter.value, Some(letter.timestamp_ms)), (raw.value, raw.timestamp_ms));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_is_refused_for_its_company_is_valid() {
    let refusing = Refusing::start().await;
    let raw = refusing.ground.raw(&click("u1", "i"), 0);
    let valid = refusing.outcome(&raw, Topic::Valid, &[TOO_OLD]).await;
    assert_eq!(valid.value, raw.value);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_letter_that_is_refused_keeps_its_value_at_another_time() {
    let refusing = Refusing::start().await;
    let raw = refusing.ground.garbage(Some(b"garbage"), 0);
    let letter = refusing.outcome(&raw, Topic::DeadLetters, &[TOO_OLD, TOO_OLD]).await;
    assert_eq!(header(&letter, "upnext.dlq.reason"), "bad_magic");
    assert_eq!(letter.value, raw.value);
    assert_ne!(Some(letter.timestamp_ms), raw.timestamp_ms);
    let told = header(&letter, "upnext.dlq.timestamp");
    assert_eq!(told.parse().ok(), raw.timestamp_ms);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_letter_that_is_refused_again_and_again_loses_all_but_its_reason() {
    let refusing = Refusing::start().await;
    let raw = refusing.ground.raw(&click("u1", "i"), 0);
    // The event in company and alone; its letter whole, at another time, without its value.
    let letter = refusing.outcome(&raw, Topic::DeadLetters, &[TOO_LARGE; 5]).await;
    assert_eq!(header(&letter, "upnext.dlq.reason"), "refused");
    assert_eq!(header(&letter, "upnext.dlq.offset"), "0");
    assert!(letter.header("trace").is_none());
    assert_eq!((letter.key, letter.value), (None, None));
}
