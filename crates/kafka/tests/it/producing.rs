//! Writing: order, delivery, back-pressure, a broker that is away.

use std::time::Duration;

use bytes::Bytes;
use rdkafka::mocking::MockCluster;
use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr};
use upnext_common::drain::Drain;
use upnext_kafka::tail::{self, TailEvent};
use upnext_kafka::{Delivery, KafkaError, Outgoing, Producer, ProducerSettings, admin};

use crate::ground::{BOUND, Ground, borrowed, numbered, outgoing, text, within};

/// A port on which nobody listens: nothing sent there is ever delivered.
const NOWHERE: &str = "127.0.0.1:1";

#[tokio::test]
async fn everything_of_a_record_comes_back() {
    let ground = Ground::with_topic("t", 1).await;
    let sent = Outgoing {
        topic: "t".to_owned(),
        partition: None,
        key: Some(Bytes::from_static(b"key")),
        value: Some(Bytes::from_static(b"value")),
        headers: vec![
            ("a".to_owned(), Some(Bytes::from_static(b"1"))),
            ("null".to_owned(), None),
            ("a".to_owned(), Some(Bytes::new())),
        ],
        timestamp_ms: Some(1_700_000_000_123),
    };
    let producer = ground.producer();
    let delivery = within(producer.send_when_room(&sent)).await.unwrap();
    assert_eq!(within(delivery).await, Ok((0, 0)));

    let mut events = tail::follow(&ground.brokers, "t", true, Drain::new()).unwrap();
    let Some(TailEvent::Record(record)) = within(events.recv()).await else { panic!("no record") };
    assert_eq!((&*record.topic, record.partition, record.offset), ("t", 0, 0));
    assert_eq!((&record.key, &record.value), (&sent.key, &sent.value));
    assert_eq!(record.headers, sent.headers);
    assert_eq!(Some(record.timestamp_ms), sent.timestamp_ms);
}

#[tokio::test]
async fn a_record_without_key_and_value_is_a_record() {
    let ground = Ground::with_topic("t", 1).await;
    let empty = Outgoing { topic: "t".to_owned(), ..Outgoing::default() };
    let producer = ground.producer();
    within(producer.send(&empty).unwrap()).await.unwrap();
    let mut events = tail::follow(&ground.brokers, "t", true, Drain::new()).unwrap();
    let Some(TailEvent::Record(record)) = within(events.recv()).await else { panic!("no record") };
    assert_eq!((record.key, record.value, record.headers), (None, None, Vec::new()));
}

/// The hashes are those of Kafka's own client (its `Utils.murmur2`).
#[tokio::test]
async fn keys_go_where_other_clients_put_them() {
    let ground = Ground::with_topic("t", 7).await;
    let producer = ground.producer();
    let hashes = [("21", -973_932_308_i32), ("foobar", -790_332_482), ("abc", 479_470_107)];
    for (key, hash) in hashes {
        let mut keyed = outgoing("t", 0, "v");
        keyed.partition = None;
        keyed.key = Some(Bytes::from_static(key.as_bytes()));
        let (partition, _) = within(producer.send(&keyed).unwrap()).await.unwrap();
        assert_eq!(partition, (hash & i32::MAX) % 7, "{key}");
    }
}

#[tokio::test]
async fn a_full_queue_refuses_until_there_is_room() {
    let settings = ProducerSettings { queue_records_max: 3, ..ProducerSettings::default() };
    let producer = Producer::new(NOWHERE, settings).unwrap();
    let record = outgoing("t", 0, "v");
    let held = (0..3).map(|_| producer.send(&record).unwrap()).collect::<Vec<_>>();
    assert_eq!(producer.send(&record).unwrap_err(), KafkaError::QueueFull);
    assert_eq!(producer.in_flight(), held.len());

    let waits = tokio::time::timeout(Duration::from_millis(100), producer.send_when_room(&record));
    assert!(within(waits).await.is_err(), "there was no room");
    let flushed = producer.flush(Duration::from_millis(50)).await;
    assert_eq!(flushed, Err(KafkaError::FlushTimeout { left: 3 }));
}

#[tokio::test]
async fn a_sender_that_waits_gets_room_when_records_are_delivered() {
    let ground = Ground::with_topic("t", 1).await;
    let settings = ProducerSettings { queue_records_max: 5, ..ProducerSettings::default() };
    let producer = Producer::new(&ground.brokers, settings).unwrap();
    let mut deliveries = Vec::new();
    for value in numbered("v", 200) {
        let record = outgoing("t", 0, &value);
        deliveries.push(within(producer.send_when_room(&record)).await.unwrap());
    }
    for (offset, delivery) in (0..).zip(deliveries) {
        assert_eq!(within(delivery).await, Ok((0, offset)));
    }
    within(producer.flush(Duration::from_secs(5))).await.unwrap();
    assert_eq!(producer.in_flight(), 0);
}

#[tokio::test]
async fn a_dropped_producer_says_that_its_records_are_not_delivered() {
    let producer = Producer::new(NOWHERE, ProducerSettings::default()).unwrap();
    let delivery = producer.send(&outgoing("t", 0, "v")).unwrap();
    drop(producer);
    let failed = within(delivery).await.unwrap_err();
    assert!(matches!(failed, KafkaError::NotDelivered { .. }), "{failed}");
}

#[tokio::test]
async fn a_record_larger_than_allowed_is_refused_at_once() {
    let settings = ProducerSettings { record_bytes_max: 2_000, ..ProducerSettings::default() };
    let producer = Producer::new(NOWHERE, settings).unwrap();
    let refused = producer.send(&outgoing("t", 0, &"x".repeat(3_000))).unwrap_err();
    assert!(matches!(refused, KafkaError::Refused { .. }), "{refused}");
    assert_eq!(producer.in_flight(), 0);
}

#[tokio::test]
async fn a_gapless_producer_writes_nothing_after_what_was_refused() {
    let ground = Ground::with_topic("t", 1).await;
    admin::set_batch_bytes_max(&ground.brokers, "t", 1_000).await.unwrap();
    for (is_gapless, written) in [(false, 50), (true, 0)] {
        // Each record is a batch, so that none is refused for the company it has.
        let settings =
            ProducerSettings { is_gapless, batch_bytes_max: 1, ..ProducerSettings::default() };
        let producer = Producer::new(&ground.brokers, settings).unwrap();
        // A broker knows the order of a producer's records from the first one on.
        within(producer.send(&outgoing("t", 0, "first")).unwrap()).await.unwrap();
        let large = producer.send(&outgoing("t", 0, &"x".repeat(2_000))).unwrap();
        let small: Vec<_> =
            (0..50).map(|_| producer.send(&outgoing("t", 0, "v")).unwrap()).collect();
        let refused = within(large).await.unwrap_err();
        assert!(matches!(refused, KafkaError::Refused { .. }), "{refused}");
        if is_gapless {
            producer.give_up();
        }
        let mut count = 0;
        for delivery in small {
            count += usize::from(within(delivery).await.is_ok());
        }
        assert_eq!(count, written, "gapless: {is_gapless}");
    }
    assert_eq!(admin::end_offsets(&ground.brokers, "t").await.unwrap(), [52]);
}

/// What was under way to a broker that goes when the client is beyond repair waits for ever: nothing more is sent.
#[tokio::test]
async fn whoever_waits_for_a_client_beyond_repair_is_told() {
    for _ in 0..20 {
        let Some((producer, mut waiting)) = beyond_repair().await else { continue };
        let told = within(producer.landed(&mut waiting)).await.unwrap_err();
        if matches!(told, KafkaError::NotDelivered { perhaps_in: None, .. }) {
            // It had not been sent: then the client gives it up by itself.
            continue;
        }
        assert!(matches!(told, KafkaError::Fatal { .. }), "{told}");
        producer.give_up();
        let told = within(waiting).await.unwrap_err();
        assert!(matches!(told, KafkaError::NotDelivered { .. }), "{told}");
        return;
    }
    panic!("the second record never came before the third");
}

/// A producer beyond repair, and what it had under way to a broker that has gone. `None` when the broker refused the
/// wrong one.
async fn beyond_repair() -> Option<(Producer, Delivery)> {
    let broker = MockCluster::new(2).unwrap();
    broker.create_topic("t", 2, 1).unwrap();
    for (partition, leader) in [(0, 1), (1, 2)] {
        broker.partition_leader("t", partition, Some(leader)).unwrap();
    }
    let settings =
        ProducerSettings { is_gapless: true, linger_ms: 0, ..ProducerSettings::default() };
    let producer = Producer::new(&broker.bootstrap_servers(), settings).unwrap();
    within(producer.send(&outgoing("t", 1, "first")).unwrap()).await.unwrap();
    // The answer to what is sent first comes last.
    broker.broker_round_trip_time(2, BOUND * 2).unwrap();
    let errors = [
        RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR,
        RDKafkaRespErr::RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE,
    ];
    broker.request_errors(RDKafkaApiKey::Produce, &errors);
    let waiting = producer.send(&outgoing("t", 1, "second")).unwrap();
    let refused = within(producer.send(&outgoing("t", 0, "third")).unwrap()).await;
    if !matches!(refused, Err(KafkaError::Refused { .. })) {
        return None;
    }
    broker.broker_down(2).unwrap();
    Some((producer, waiting))
}

#[tokio::test]
async fn a_setting_that_makes_no_sense_is_refused() {
    let settings = ProducerSettings { record_bytes_max: 1, ..ProducerSettings::default() };
    let refused = Producer::new(NOWHERE, settings).err();
    assert!(matches!(refused, Some(KafkaError::Client { .. })), "{refused:?}");
}

#[tokio::test]
async fn nothing_is_lost_or_reordered_while_the_broker_is_away() {
    let mut ground = Ground::with_topic("t", 1).await;
    let producer = ground.producer();
    let all = numbered("v", 300);
    let mut deliveries = Vec::new();
    for (at, value) in all.iter().enumerate() {
        match at {
            100 => ground.stop().await,
            200 => ground.restart().await,
            _ => {}
        }
        deliveries.push(producer.send(&outgoing("t", 0, value)).unwrap());
    }
    for (offset, delivery) in (0..).zip(deliveries) {
        assert_eq!(within(delivery).await, Ok((0, offset)));
    }
    let mut events = tail::follow(&ground.brokers, "t", true, Drain::new()).unwrap();
    let mut found = Vec::new();
    while let Some(TailEvent::Record(record)) = within(events.recv()).await {
        found.push(text(&record));
    }
    assert_eq!(borrowed(&found), borrowed(&all));
}
