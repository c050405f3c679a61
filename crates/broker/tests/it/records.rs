//! Records in and out: what is in them, in which codec, by which time, and how soon.

use std::time::Duration;

use rdkafka::consumer::Consumer;
use rdkafka::message::{Header, Headers, Message, OwnedHeaders};
use rdkafka::producer::FutureRecord;
use rdkafka::{Offset, Timestamp, TopicPartitionList};

use crate::support::{Bench, LIMIT, record, send};

fn from_start(topic: &str) -> TopicPartitionList {
    let mut list = TopicPartitionList::new();
    list.add_partition_offset(topic, 0, Offset::Beginning).expect("an offset");
    list
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_record_comes_back_as_it_was_sent() {
    let bench = Bench::start().await;
    bench.create("whole", 1, &[]).await;
    let producer = bench.producer(&[]);
    let headers = OwnedHeaders::new()
        .insert(Header { key: "twice", value: Some("x") })
        .insert(Header { key: "none", value: None::<&str> })
        .insert(Header { key: "twice", value: Some("y") });
    let full = FutureRecord::to("whole").key("k").payload("v").timestamp(1_600).headers(headers);
    producer.send(full, LIMIT).await.unwrap();
    let tombstone = FutureRecord::<str, str>::to("whole").key("k").timestamp(1_700);
    producer.send(tombstone, LIMIT).await.unwrap();
    let empty = FutureRecord::to("whole").key("").payload("").timestamp(1_800);
    producer.send(empty, LIMIT).await.unwrap();

    let consumer = bench.consumer("g", &[]);
    consumer.assign(&from_start("whole")).unwrap();
    let full = record(&consumer);
    assert_eq!((full.key(), full.payload()), (Some(&b"k"[..]), Some(&b"v"[..])));
    assert_eq!(full.timestamp(), Timestamp::CreateTime(1_600));
    let headers = full.headers().unwrap();
    let headers: Vec<_> = headers.iter().map(|header| (header.key, header.value)).collect();
    assert_eq!(headers, [("twice", Some(&b"x"[..])), ("none", None), ("twice", Some(&b"y"[..]))]);
    let tombstone = record(&consumer);
    assert_eq!((tombstone.key(), tombstone.payload()), (Some(&b"k"[..]), None));
    let empty = record(&consumer);
    assert_eq!((empty.key(), empty.payload()), (Some(&b""[..]), Some(&b""[..])));
    assert_eq!((full.offset(), tombstone.offset(), empty.offset()), (0, 1, 2));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_codec_is_carried_and_searched_by_time() {
    let bench = Bench::start().await;
    for codec in ["none", "gzip", "snappy", "lz4", "zstd"] {
        bench.create(codec, 1, &[]).await;
        let producer = bench.producer(&[("compression.type", codec), ("linger.ms", "50")]);
        let sent = (0..100).map(|at| {
            let value = format!("{codec} value that compresses well {at}");
            let record = FutureRecord::to(codec).key("k").payload(&value).timestamp(1_000 + at);
            producer.send_result(record).map_err(|(error, _)| error).unwrap()
        });
        for delivery in sent.collect::<Vec<_>>() {
            delivery.await.unwrap().unwrap();
        }
        let values = bench.values(codec, &[("check.crcs", "true")]);
        assert_eq!(values.len(), 100, "{codec}");
        assert_eq!(values[99], format!("{codec} value that compresses well 99"));
        let mut times = TopicPartitionList::new();
        times.add_partition_offset(codec, 0, Offset::Offset(1_042)).unwrap();
        let found = bench.consumer("g", &[]).offsets_for_times(times, LIMIT).unwrap();
        assert_eq!(found.elements()[0].offset(), Offset::Offset(42), "{codec}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn times_outside_the_log_stand_for_its_ends() {
    let bench = Bench::start().await;
    bench.create("ends", 1, &[]).await;
    let producer = bench.producer(&[]);
    for at in [1_000, 3_000, 2_000] {
        let record = FutureRecord::to("ends").key("k").payload("v").timestamp(at);
        producer.send(record, LIMIT).await.unwrap();
    }
    let consumer = bench.consumer("g", &[]);
    let at = |time: i64| {
        let mut times = TopicPartitionList::new();
        times.add_partition_offset("ends", 0, Offset::Offset(time)).unwrap();
        consumer.offsets_for_times(times, LIMIT).unwrap().elements()[0].offset()
    };
    assert_eq!(at(1), Offset::Offset(0));
    assert_eq!(at(1_001), Offset::Offset(1));
    assert_eq!(at(3_001), Offset::End);
    assert_eq!(consumer.fetch_watermarks("ends", 0, LIMIT).unwrap(), (0, 3));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_idempotent_producer_with_many_in_flight_repeats_nothing() {
    let bench = Bench::start().await;
    bench.create("idempotent", 1, &[]).await;
    let producer = bench.producer(&[
        ("enable.idempotence", "true"),
        ("linger.ms", "1"),
        ("batch.num.messages", "10"),
    ]);
    let values: Vec<String> = (0..1_000).map(|at| at.to_string()).collect();
    let sent = values.iter().map(|value| {
        let record = FutureRecord::to("idempotent").key("k").payload(value);
        producer.send_result(record).map_err(|(error, _)| error).unwrap()
    });
    for delivery in sent.collect::<Vec<_>>() {
        delivery.await.unwrap().unwrap();
    }
    assert_eq!(bench.values("idempotent", &[]), values);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_waiting_reader_is_woken_by_what_it_waits_for() {
    let bench = Bench::start().await;
    bench.create("soon", 1, &[]).await;
    // Without being woken, the reader would wait for a minute, longer than any test.
    let consumer =
        bench.consumer("g", &[("fetch.wait.max.ms", "60000"), ("socket.timeout.ms", "120000")]);
    consumer.assign(&from_start("soon")).unwrap();
    assert!(consumer.poll(Duration::from_millis(500)).is_none_or(|event| event.is_err()));
    let producer = bench.producer(&[("linger.ms", "0")]);
    for at in 0..20 {
        send(&producer, "soon", &at.to_string()).await;
        assert_eq!(record(&consumer).offset(), at);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_past_the_end_starts_over() {
    let bench = Bench::start().await;
    bench.create("past", 1, &[]).await;
    send(&bench.producer(&[]), "past", "only").await;
    let consumer = bench.consumer("g", &[]);
    let mut list = TopicPartitionList::new();
    list.add_partition_offset("past", 0, Offset::Offset(500)).unwrap();
    consumer.assign(&list).unwrap();
    assert_eq!(record(&consumer).offset(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_record_larger_than_a_reader_asked_for_still_comes() {
    let bench = Bench::start().await;
    bench.create("large", 1, &[("max.message.bytes", "3000000")]).await;
    let producer = bench.producer(&[("message.max.bytes", "3000000")]);
    let large = "x".repeat(2_000_000);
    send(&producer, "large", &large).await;
    send(&producer, "large", "small").await;
    let settings =
        [("fetch.message.max.bytes", "1000"), ("receive.message.max.bytes", "100000000")];
    let values = bench.values("large", &settings);
    assert_eq!((values[0].len(), values[1].as_str()), (2_000_000, "small"));
}
