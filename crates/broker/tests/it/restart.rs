//! What stands after a broker has stopped, was killed, or lost the end of a file.

use std::path::PathBuf;

use upnext_broker::{Broker, BrokerError};

use crate::support::{Bench, config, send};

fn log_file(bench: &Bench, topic: &str) -> PathBuf {
    bench.directory.path().join("topics").join(topic).join("0/00000000000000000000.log")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn records_survive_a_stop_and_numbering_goes_on() {
    let bench = Bench::start().await;
    bench.create("kept", 1, &[]).await;
    send(&bench.producer(&[]), "kept", "one").await;
    let bench = bench.restart().await;
    assert_eq!(send(&bench.producer(&[]), "kept", "two").await, 1);
    assert_eq!(bench.values("kept", &[]), ["one", "two"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_was_acknowledged_survives_a_kill() {
    let bench = Bench::start().await;
    bench.create("acknowledged", 1, &[]).await;
    let producer = bench.producer(&[("enable.idempotence", "true")]);
    let mut sent = Vec::new();
    for round in 0..3 {
        for at in 0..30 {
            let value = format!("{round}-{at}");
            send(&producer, "acknowledged", &value).await;
            sent.push(value);
        }
        // The first broker never stops: what stands is what had left the process.
        assert_eq!(bench.after_kill().await.values("acknowledged", &[]), sent);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_torn_write_is_cut_and_all_before_it_stands() {
    let bench = Bench::start().await;
    bench.create("torn", 1, &[]).await;
    let producer = bench.producer(&[]);
    for value in ["one", "two", "three"] {
        send(&producer, "torn", value).await;
    }
    drop(producer);
    let path = log_file(&bench, "torn");
    let directory = bench.directory;
    bench.broker.stop().await;
    let bytes = std::fs::metadata(&path).unwrap().len();
    let file = std::fs::File::options().write(true).open(&path).unwrap();
    file.set_len(bytes - 1).unwrap();

    let broker = Broker::start(config(directory.path())).await.unwrap();
    let bench = Bench { broker, directory };
    assert_eq!(bench.values("torn", &[]), ["one", "two"]);
    assert_eq!(send(&bench.producer(&[]), "torn", "again").await, 2);
    assert_eq!(bench.values("torn", &[]), ["one", "two", "again"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_directory_serves_one_broker() {
    let bench = Bench::start().await;
    let second = Broker::start(config(bench.directory.path())).await;
    assert!(matches!(second, Err(BrokerError::InUse { .. })));
    let directory = bench.directory;
    bench.broker.stop().await;
    let third = Broker::start(config(directory.path())).await.unwrap();
    third.stop().await;
}

#[tokio::test]
async fn a_directory_that_cannot_be_made_is_an_error() {
    let directory = tempfile::NamedTempFile::new().unwrap();
    let refused = Broker::start(config(&directory.path().join("below a file"))).await;
    assert!(matches!(refused, Err(BrokerError::Storage { .. })));
}
