//! Where the broker says no: addresses, sizes, numbers.

use std::net::SocketAddr;
use std::time::Duration;

use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::FutureRecord;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use upnext_broker::{Broker, BrokerConfig, BrokerError};
use upnext_common::fault::Fault;

use crate::support::{Bench, LIMIT, config};

/// Whether the broker hangs up, having said nothing more.
async fn is_closed(stream: &mut TcpStream) -> bool {
    let mut byte = [0];
    let read = tokio::time::timeout(LIMIT, stream.read(&mut byte)).await;
    matches!(read.expect("an end in time"), Ok(0) | Err(_))
}

async fn start_on(address: &str) -> Result<Broker, BrokerError> {
    let directory = TempDir::new().expect("a directory");
    let listen: SocketAddr = address.parse().expect("an address");
    Broker::start(BrokerConfig::new(listen, directory.path())).await
}

#[tokio::test]
async fn only_loopback_is_listened_on() {
    for address in ["0.0.0.0:0", "192.0.2.1:9092", "[::]:0"] {
        let refused = start_on(address).await.err().unwrap();
        assert!(matches!(refused, BrokerError::NotLoopback { .. }), "{refused}");
        assert_eq!(refused.fault(), Fault::CALLER);
    }
}

#[tokio::test]
async fn a_taken_port_is_an_error_that_names_it() {
    let bench = Bench::start().await;
    let address = bench.broker.address().to_string();
    let refused = start_on(&address).await.err().unwrap();
    assert!(matches!(refused, BrokerError::Bind { .. }), "{refused}");
    assert!(refused.to_string().contains(&address));
    assert!(refused.fault().may_retry());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_too_large_closes_its_connection_and_no_other() {
    let bench = Bench::start_with(|config| config.request_bytes_max = 1_000).await;
    for length in [1_001_i32, i32::MAX, -1, i32::MIN] {
        let mut stream = TcpStream::connect(bench.broker.address()).await.unwrap();
        stream.write_all(&length.to_be_bytes()).await.unwrap();
        assert!(is_closed(&mut stream).await, "length {length}");
    }
    bench.create("still", 1, &[]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_connection_too_many_is_closed_and_a_free_place_taken_again() {
    let bench = Bench::start_with(|config| config.connections_max = 2).await;
    let address = bench.broker.address();
    let first = TcpStream::connect(address).await.unwrap();
    let mut second = TcpStream::connect(address).await.unwrap();
    let mut third = TcpStream::connect(address).await.unwrap();
    assert!(is_closed(&mut third).await);
    drop(first);
    // The place is free once the broker has noticed.
    let mut fourth = None;
    for _ in 0..1_000 {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let mut byte = [0];
        let wait = tokio::time::timeout(Duration::from_millis(20), stream.read(&mut byte));
        if wait.await.is_err() {
            fourth = Some(stream);
            break;
        }
    }
    let mut fourth = fourth.expect("a place");
    for stream in [&mut second, &mut fourth] {
        // ApiVersions 0, correlation 1, no client id.
        stream.write_all(&[0, 0, 0, 10, 0, 18, 0, 0, 0, 0, 0, 1, 255, 255]).await.unwrap();
        assert!(stream.read_i32().await.unwrap() > 0);
        assert_eq!(stream.read_i32().await.unwrap(), 1);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_that_stops_in_the_middle_is_given_up() {
    let bench = Bench::start_with(|config| {
        config.transfer_timeout = Duration::from_millis(50);
    })
    .await;
    let mut stream = TcpStream::connect(bench.broker.address()).await.unwrap();
    stream.write_all(&[0, 0, 1, 0, 0, 3]).await.unwrap();
    assert!(is_closed(&mut stream).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_batch_larger_than_its_topic_allows_is_refused() {
    let bench = Bench::start().await;
    bench.create("small", 1, &[("max.message.bytes", "200")]).await;
    let value = "x".repeat(300);
    let record = FutureRecord::to("small").key("k").payload(&value);
    let (error, _) = bench.producer(&[]).send(record, LIMIT).await.unwrap_err();
    assert_eq!(error, KafkaError::MessageProduction(RDKafkaErrorCode::MessageSizeTooLarge));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stopping_does_not_wait_for_idle_or_waiting_clients() {
    let bench = Bench::start().await;
    bench.create("idle", 1, &[]).await;
    let consumer =
        bench.consumer("g", &[("fetch.wait.max.ms", "60000"), ("socket.timeout.ms", "90000")]);
    rdkafka::consumer::Consumer::subscribe(&consumer, &["idle"]).unwrap();
    crate::support::poll_until(&[&consumer], || crate::support::partitions(&consumer) == [0]);
    let mut stream = TcpStream::connect(bench.broker.address()).await.unwrap();
    let stopped = tokio::time::timeout(Duration::from_secs(4), bench.broker.stop()).await;
    assert!(stopped.is_ok());
    assert!(is_closed(&mut stream).await);
    Broker::start(config(bench.directory.path())).await.unwrap().stop().await;
}
