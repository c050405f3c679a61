//! A client that asks for much and takes nothing: the broker neither grows nor stops serving the others.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use rdkafka::producer::{FutureProducer, FutureRecord};

use crate::{BrokerProcess, LIMIT, client, create, read_all};

const REQUESTS: i32 = 500;
const ANSWER_BYTES: i32 = 4 << 20;
const GROWTH_BYTES_MAX: u64 = 64 << 20;

/// Fetch, version 4, of partition 0 from its start.
fn fetch(correlation_id: i32, topic: &str) -> Vec<u8> {
    let mut body = Vec::new();
    body.extend_from_slice(&[0, 1, 0, 4]);
    body.extend_from_slice(&correlation_id.to_be_bytes());
    // No client id, no replica; no wait, no least size, a largest size; uncommitted too.
    body.extend_from_slice(&[255; 6]);
    body.extend_from_slice(&[0; 8]);
    body.extend_from_slice(&ANSWER_BYTES.to_be_bytes());
    body.push(0);
    body.extend_from_slice(&1_i32.to_be_bytes());
    body.extend_from_slice(&u16::try_from(topic.len()).unwrap().to_be_bytes());
    body.extend_from_slice(topic.as_bytes());
    body.extend_from_slice(&1_i32.to_be_bytes());
    body.extend_from_slice(&[0; 12]);
    body.extend_from_slice(&ANSWER_BYTES.to_be_bytes());
    let mut request = u32::try_from(body.len()).unwrap().to_be_bytes().to_vec();
    request.extend_from_slice(&body);
    request
}

fn answer(stream: &mut TcpStream) -> (i32, usize) {
    let mut number = [0; 4];
    stream.read_exact(&mut number).unwrap();
    let length = usize::try_from(i32::from_be_bytes(number)).unwrap();
    let mut answer = vec![0; length];
    stream.read_exact(&mut answer).unwrap();
    (i32::from_be_bytes(*answer.first_chunk().unwrap()), length)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_takes_nothing_costs_one_answer() {
    let broker = BrokerProcess::start();
    create(&broker, "much", 1, &[]).await;
    let producer: FutureProducer = client(&broker, &[]).create().unwrap();
    let value = "x".repeat(500_000);
    for _ in 0..10 {
        let record = FutureRecord::to("much").key("k").payload(&value);
        producer.send(record, LIMIT).await.map_err(|(error, _)| error).unwrap();
    }
    // Served once, so that what every answer needs is there.
    let mut first = TcpStream::connect(broker.address()).unwrap();
    first.write_all(&fetch(0, "much")).unwrap();
    assert!(answer(&mut first).1 > 3 << 20);
    let before = broker.resident_bytes();
    let mut greedy = TcpStream::connect(broker.address()).unwrap();
    greedy.set_read_timeout(Some(LIMIT)).unwrap();
    for correlation_id in 1..=REQUESTS {
        greedy.write_all(&fetch(correlation_id, "much")).unwrap();
    }
    // The others are served all the while, and the broker has time to be greedy itself.
    for _ in 0..4 {
        assert_eq!(read_all(&broker, "much", 1).len(), 10);
        tokio::time::sleep(Duration::from_millis(50)).await;
        let growth = broker.resident_bytes().saturating_sub(before);
        assert!(growth < GROWTH_BYTES_MAX, "grown by {growth} bytes");
    }
    // Whoever comes to take the answers gets them all, in order.
    for correlation_id in 1..=REQUESTS {
        assert_eq!(answer(&mut greedy).0, correlation_id);
    }
}
