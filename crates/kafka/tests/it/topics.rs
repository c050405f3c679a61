//! Topics themselves: made once, asked about, and a clear word when nobody answers.

use std::time::Duration;

use upnext_common::config;
use upnext_common::topic::Topic;
use upnext_kafka::{KafkaError, admin};

use crate::ground::{Ground, within};

#[tokio::test]
async fn the_topics_we_need_are_made_once() {
    let ground = Ground::start().await;
    let kafka = config::Kafka { partitions: 3, signals_partitions: 2, ..config::Kafka::default() };
    // The second time finds them all.
    for _ in 0..2 {
        within(admin::ensure_topics(&ground.brokers, &kafka)).await.unwrap();
    }
    for topic in Topic::ALL {
        let expected = match topic {
            Topic::Events | Topic::Valid | Topic::DeadLetters => 3,
            Topic::Signals => 2,
            Topic::Items | Topic::Decisions | Topic::Models | Topic::Redriven => 1,
        };
        let name = topic.name(&kafka.topic_prefix);
        assert_eq!(admin::partition_count(&ground.brokers, &name).await, Ok(expected), "{name}");
    }
}

#[tokio::test]
async fn retention_is_as_configured_and_compacted_topics_have_none() {
    let ground = Ground::start().await;
    let kafka = config::Kafka {
        partitions: 3,
        events_retention_ms: Some(86_400_000),
        events_retention_bytes: 5_000_000,
        ..config::Kafka::default()
    };
    within(admin::ensure_topics(&ground.brokers, &kafka)).await.unwrap();
    for topic in Topic::ALL {
        let told = ground.settings(&topic.name(&kafka.topic_prefix)).await;
        let (policy, bytes) = match topic {
            Topic::Items | Topic::Models => ("compact", None),
            // Of one partition, for the letters of all.
            Topic::Redriven => ("compact,delete", Some("15000000")),
            Topic::Events
            | Topic::Valid
            | Topic::DeadLetters
            | Topic::Signals
            | Topic::Decisions => ("delete", Some("5000000")),
        };
        assert_eq!(told["cleanup.policy"], policy, "{topic:?}");
        if let Some(bytes) = bytes {
            assert_eq!(told["retention.bytes"], bytes, "{topic:?}");
            assert_eq!(told["retention.ms"], "86400000", "{topic:?}");
        }
    }
}

#[tokio::test]
async fn a_topic_that_is_there_stays_as_it_is() {
    let ground = Ground::with_topic("upnext.events.v1", 5).await;
    let kafka = config::Kafka::default();
    within(admin::ensure_topics(&ground.brokers, &kafka)).await.unwrap();
    assert_eq!(admin::partition_count(&ground.brokers, "upnext.events.v1").await, Ok(5));
}

#[tokio::test]
async fn end_offsets_are_those_of_the_next_record() {
    let ground = Ground::with_topic("t", 3).await;
    ground.write("t", 1, &["a", "b"]).await;
    assert_eq!(within(admin::end_offsets(&ground.brokers, "t")).await, Ok(vec![0, 2, 0]));
}

#[tokio::test]
async fn what_is_asked_of_no_topic_is_an_error() {
    let ground = Ground::start().await;
    for error in [
        admin::partition_count(&ground.brokers, "none").await.unwrap_err(),
        admin::end_offsets(&ground.brokers, "none").await.unwrap_err(),
    ] {
        assert_eq!(
            error,
            KafkaError::Topic { topic: "none".to_owned(), cause: "does not exist".to_owned() }
        );
    }
}

#[tokio::test]
async fn nobody_answering_is_said_in_one_line() {
    let brokers = "127.0.0.1:1";
    let error = admin::check(brokers, Duration::from_millis(300)).await.unwrap_err();
    assert!(matches!(&error, KafkaError::Unreachable { .. }), "{error:?}");
    let said = error.to_string();
    assert!(said.starts_with("no kafka broker answers at 127.0.0.1:1: "), "{said}");
    assert!(!said.contains('\n'));
}
