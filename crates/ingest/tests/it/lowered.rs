//! A limit that somebody lowers while ingest runs: what still fits is valid, in order; only what does not is a dead letter.

use std::collections::BTreeSet;

use bytes::Bytes;
use upnext_common::topic::Topic;
use upnext_kafka::admin;

use crate::ground::{Ground, click, header, source, within};
use crate::trouble::{check_order, until_all};

const LIMIT_BYTES: usize = 5_000;

#[tokio::test(flavor = "multi_thread")]
async fn small_records_outlive_a_limit_lowered_under_them() {
    let ground = Ground::start().await;
    let running = ground.ingest();
    let mut written = BTreeSet::from([ground.write(&ground.raw(&click("u1", "first"), 0)).await]);
    ground.follow(Topic::Valid).next().await;
    // Ingest makes batches as large as the limit it saw.
    let valid = ground.topic(Topic::Valid);
    admin::set_batch_bytes_max(&ground.brokers, &valid, LIMIT_BYTES).await.unwrap();
    let mut large = ground.raw(&click("u1", "large"), 1);
    large.headers.push(("large".to_owned(), Some(Bytes::from(vec![b'x'; LIMIT_BYTES]))));
    let sent = within(ground.producer.send_when_room(&large)).await.unwrap();
    written.extend(ground.write_many("small", 3_000).await);
    let large = within(sent).await.unwrap();
    written.remove(&large);

    let written: Vec<_> = written.into_iter().collect();
    let found = until_all(ground.follow(Topic::Valid), &written).await;
    check_order(found.iter().filter(|position| position.0 == 0));
    let letter = ground.follow(Topic::DeadLetters).next().await;
    assert_eq!((source(&letter), header(&letter, "upnext.dlq.reason")), (large, "size".to_owned()));
    let drained = running.stop().await;
    assert_eq!((drained.accepted, drained.rejected), (3_001, 1));
    assert_eq!(ground.follow(Topic::DeadLetters).all().await.len(), 1, "no small one");
}
