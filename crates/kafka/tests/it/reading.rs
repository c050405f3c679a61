//! Reading as the only member of a group: where a partition starts, stops, and starts again.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;
use upnext_common::drain::Drain;
use upnext_kafka::group::{Committed, GroupSettings, Marks, Note, Start, StartOffsets, committed};

use crate::ground::{Ground, borrowed, next, numbered, values, within};

/// Starts where it is told, after having failed so often, and remembers what it was asked.
struct From {
    start: Start,
    failures: AtomicUsize,
    asked: Mutex<Vec<(i32, Option<i64>)>>,
}

impl From {
    fn new(start: Start, failures: usize) -> Arc<Self> {
        let failures = AtomicUsize::new(failures);
        Arc::new(Self { start, failures, asked: Mutex::default() })
    }
}

impl StartOffsets for From {
    fn start(&self, partition: i32, committed: Option<i64>) -> Result<Start, String> {
        self.asked.lock().push((partition, committed));
        let left = self.failures.load(Ordering::Relaxed);
        if left > 0 {
            self.failures.store(left - 1, Ordering::Relaxed);
            return Err("the store is away".to_owned());
        }
        Ok(self.start)
    }
}

#[tokio::test]
async fn reading_goes_on_at_the_commit() {
    let ground = Ground::with_topic("t", 1).await;
    ground.write("t", 0, &["a", "b", "c"]).await;
    let drain = Drain::new();

    let mut first = ground.reader("g", "t", &drain);
    let mut assignment = next(&mut first).await;
    assert_eq!((assignment.partition, assignment.start_offset), (0, 0));
    assert_eq!(values(&mut assignment.records, 3).await, ["a", "b", "c"]);
    assignment.claim.commit(2);
    within(first.close()).await.unwrap();

    let mut second = ground.reader("g", "t", &drain);
    let mut assignment = next(&mut second).await;
    assert_eq!(assignment.start_offset, 2);
    assert_eq!(values(&mut assignment.records, 1).await, ["c"]);
    within(second.close()).await.unwrap();
}

#[tokio::test]
async fn a_commit_keeps_the_epoch_of_its_topic_and_anybody_may_ask() {
    let ground = Ground::with_topic("t", 1).await;
    ground.write("t", 0, &["a", "b", "c"]).await;
    let told = async || committed(&ground.brokers, "g", ("t", 0)).await.unwrap();
    assert_eq!(told().await, None);
    let mut reader = ground.reader("g", "t", &Drain::new());
    let assignment = next(&mut reader).await;
    let note = Note { epoch: 3, marks: Some(Marks { first: (0, 5), last_ms: 17 }) };
    assignment.claim.commit_noting(2, note);
    let expected = Some(Committed { next_offset: 2, note: Some(note) });
    within(async { while told().await != expected {} }).await;
    assignment.claim.commit(3);
    within(reader.close()).await.unwrap();
    assert_eq!(told().await, Some(Committed { next_offset: 3, note: None }));
}

#[tokio::test]
async fn the_owner_says_where_to_start() {
    let ground = Ground::with_topic("t", 1).await;
    ground.write("t", 0, &["a", "b", "c", "d"]).await;
    let offsets = From::new(Start::Offset(2), 0);
    let settings = GroupSettings::new("g", "t");
    let mut reader = ground.reader_from(&offsets, settings.clone(), &Drain::new());
    let mut assignment = next(&mut reader).await;
    assert_eq!(assignment.start_offset, 2);
    assert_eq!(values(&mut assignment.records, 2).await, ["c", "d"]);
    assert_eq!(*offsets.asked.lock(), [(0, None)]);
    reader.commit(0, 3);
    within(reader.close()).await.unwrap();

    // The commit is shown to the owner, who need not follow it.
    let offsets = From::new(Start::Beginning, 0);
    let mut reader = ground.reader_from(&offsets, settings, &Drain::new());
    let mut assignment = next(&mut reader).await;
    assert_eq!(values(&mut assignment.records, 1).await, ["a"]);
    assert_eq!(*offsets.asked.lock(), [(0, Some(3))]);
    within(reader.close()).await.unwrap();
}

#[tokio::test]
async fn an_owner_that_cannot_say_is_asked_again() {
    let ground = Ground::with_topic("t", 1).await;
    ground.write("t", 0, &["a", "b"]).await;
    let offsets = From::new(Start::Offset(1), 3);
    let mut reader = ground.reader_from(&offsets, GroupSettings::new("g", "t"), &Drain::new());
    let mut assignment = next(&mut reader).await;
    assert_eq!(values(&mut assignment.records, 1).await, ["b"]);
    assert_eq!(offsets.asked.lock().len(), 4);
    within(reader.close()).await.unwrap();
}

#[tokio::test]
async fn a_start_beyond_the_log_falls_back_to_its_beginning() {
    let ground = Ground::with_topic("t", 1).await;
    ground.write("t", 0, &["a", "b"]).await;
    let offsets = From::new(Start::Offset(1_000), 0);
    let mut reader = ground.reader_from(&offsets, GroupSettings::new("g", "t"), &Drain::new());
    let mut assignment = next(&mut reader).await;
    assert_eq!(values(&mut assignment.records, 2).await, ["a", "b"]);
    within(reader.close()).await.unwrap();
}

#[tokio::test]
async fn a_full_queue_holds_back_its_own_partition_only() {
    let ground = Ground::with_topic("t", 2).await;
    let many = numbered("v", 500);
    ground.write("t", 0, &borrowed(&many)).await;
    ground.write("t", 1, &borrowed(&many)).await;
    let mut settings = GroupSettings::new("g", "t");
    settings.queue_max = 4;
    let mut reader = ground.reader_from(&From::new(Start::Beginning, 0), settings, &Drain::new());
    let mut both = [next(&mut reader).await, next(&mut reader).await];
    both.sort_by_key(|assignment| assignment.partition);
    let (held, flowing) = both.split_at_mut(1);
    assert_eq!(values(&mut flowing[0].records, 500).await, many);
    // What was held back is all there, in order.
    assert_eq!(values(&mut held[0].records, 500).await, many);
    // And both go on.
    ground.write("t", 0, &["last"]).await;
    assert_eq!(values(&mut held[0].records, 1).await, ["last"]);
    within(reader.close()).await.unwrap();
}

#[tokio::test]
async fn a_reposition_ends_the_assignment_and_begins_another() {
    let ground = Ground::with_topic("t", 1).await;
    let many = numbered("v", 300);
    ground.write("t", 0, &borrowed(&many)).await;
    let mut settings = GroupSettings::new("g", "t");
    settings.queue_max = 16;
    let mut reader = ground.reader_from(&From::new(Start::Beginning, 0), settings, &Drain::new());
    let mut old = next(&mut reader).await;
    for offset in [200, 7, 7, 0] {
        values(&mut old.records, 5).await;
        old.claim.reposition(offset);
        let mut new = next(&mut reader).await;
        within(old.revoked.started()).await;
        assert_eq!(new.start_offset, offset);
        let from = usize::try_from(offset).unwrap();
        assert_eq!(values(&mut new.records, 20).await, many[from..from + 20]);
        old = new;
    }
    within(reader.close()).await.unwrap();
}

#[tokio::test]
async fn a_claim_on_an_ended_assignment_does_nothing() {
    let ground = Ground::with_topic("t", 1).await;
    ground.write("t", 0, &["a", "b", "c"]).await;
    let mut reader = ground.reader("g", "t", &Drain::new());
    let mut old = next(&mut reader).await;
    values(&mut old.records, 1).await;
    reader.reposition(0, 1);
    let mut new = next(&mut reader).await;
    old.claim.commit(3);
    old.claim.reposition(0);
    assert_eq!(values(&mut new.records, 2).await, ["b", "c"]);
    assert!(!new.revoked.has_started());
    within(reader.close()).await.unwrap();

    let offsets = From::new(Start::Committed, 0);
    let settings = GroupSettings::new("g", "t");
    let mut reader = ground.reader_from(&offsets, settings, &Drain::new());
    assert_eq!(next(&mut reader).await.start_offset, 0);
    assert_eq!(*offsets.asked.lock(), [(0, None)]);
    within(reader.close()).await.unwrap();
}

#[tokio::test]
async fn what_is_read_can_be_committed_while_draining() {
    let ground = Ground::with_topic("t", 1).await;
    ground.write("t", 0, &["a", "b", "c"]).await;
    let drain = Drain::new();
    let mut reader = ground.reader("g", "t", &drain);
    let mut assignment = next(&mut reader).await;
    assert_eq!(values(&mut assignment.records, 3).await.len(), 3);
    drain.start();
    assert!(within(reader.next()).await.is_none());
    within(assignment.revoked.started()).await;
    assert!(within(assignment.records.recv()).await.is_none(), "the queue ends");
    assignment.claim.commit(3);
    within(reader.close()).await.unwrap();

    let mut reader = ground.reader("g", "t", &Drain::new());
    assert_eq!(next(&mut reader).await.start_offset, 3);
    within(reader.close()).await.unwrap();
}

#[tokio::test]
async fn an_owner_that_leaves_its_queue_does_not_disturb_the_others() {
    let ground = Ground::with_topic("t", 2).await;
    ground.write("t", 0, &["a"]).await;
    ground.write("t", 1, &["b"]).await;
    let mut reader = ground.reader("g", "t", &Drain::new());
    let mut both = vec![next(&mut reader).await, next(&mut reader).await];
    both.sort_by_key(|assignment| assignment.partition);
    let mut stays = both.pop().unwrap();
    drop(both);
    ground.write("t", 0, &["c"]).await;
    ground.write("t", 1, &["d"]).await;
    assert_eq!(values(&mut stays.records, 2).await, ["b", "d"]);
    // The abandoned partition is still ours and can be begun again.
    reader.reposition(0, 0);
    assert_eq!(values(&mut next(&mut reader).await.records, 2).await, ["a", "c"]);
    within(reader.close()).await.unwrap();
}

#[tokio::test]
async fn reading_survives_a_restart_of_the_broker() {
    let mut ground = Ground::with_topic("t", 1).await;
    ground.write("t", 0, &["a", "b"]).await;
    let mut reader = ground.reader("g", "t", &Drain::new());
    let mut assignment = next(&mut reader).await;
    assert_eq!(values(&mut assignment.records, 2).await, ["a", "b"]);
    ground.stop().await;
    ground.restart().await;
    ground.write("t", 0, &["c"]).await;
    let mut found = Vec::new();
    while found.is_empty() {
        tokio::select! {
            record = within(assignment.records.recv()) => match record {
                Some(record) => found.push(record.offset),
                None => assignment = next(&mut reader).await,
            },
            // The group may have been made anew: then the partition comes again, from the beginning.
            again = within(reader.next()) => assignment = again.expect("an assignment"),
        }
    }
    assert!([0, 2].contains(&found[0]), "read goes on or begins again: {found:?}");
    within(reader.close()).await.unwrap();
}

#[tokio::test]
async fn a_reader_closes_though_the_broker_is_away() {
    let mut ground = Ground::with_topic("t", 1).await;
    ground.write("t", 0, &["a"]).await;
    let mut reader = ground.reader("g", "t", &Drain::new());
    let mut assignment = next(&mut reader).await;
    values(&mut assignment.records, 1).await;
    ground.stop().await;
    assignment.claim.commit(1);
    within(reader.close()).await.unwrap();
}
