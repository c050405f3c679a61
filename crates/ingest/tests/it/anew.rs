//! A raw topic that is deleted and created again: what it holds is news, and says so.

use std::sync::Arc;

use upnext_common::drain::Drain;
use upnext_common::position::SOURCE_EPOCH;
use upnext_common::topic::Topic;
use upnext_kafka::admin;
use upnext_kafka::group::{Claim, FromCommit, GroupSettings, Marks, Note, Reader};

use crate::ground::{Ground, NOW_MS, Outcomes, click, header, source, within};

async fn make_raw_anew(ground: &Ground) {
    let raw = ground.topic(Topic::Events);
    admin::delete_topic(&ground.brokers, &raw).await.unwrap();
    admin::ensure_topics(&ground.brokers, &ground.config.kafka).await.unwrap();
}

/// So many events to both partitions in turn, each a moment after the one before.
async fn write(ground: &Ground, since_ms: i64, count: i32) {
    for number in 0..count {
        let mut event = click("u1", "i");
        event.event_time_ms = NOW_MS + since_ms + i64::from(number);
        ground.write(&ground.raw(&event, number % 2)).await;
    }
}

/// As another member of ingest's group, for both partitions.
async fn commit(ground: &Ground, say: impl Fn(&Claim)) {
    let settings = GroupSettings::new(&ground.config.ingest.group, &ground.topic(Topic::Events));
    let drain = Drain::new();
    let reader = Reader::start(&ground.brokers, settings, Arc::new(FromCommit), drain);
    let mut reader = reader.unwrap();
    for _ in 0..2 {
        say(&within(reader.next()).await.unwrap().claim);
    }
    reader.close().await.unwrap();
}

/// Epochs and positions of so many valid events, in order of both.
async fn next(valid: &mut Outcomes, count: usize) -> Vec<(String, (i32, i64))> {
    let mut found = Vec::new();
    for _ in 0..count {
        let record = valid.next().await;
        let epoch = record.header(SOURCE_EPOCH).map(|_| header(&record, SOURCE_EPOCH));
        found.push((epoch.unwrap_or_default(), source(&record)));
    }
    found.sort();
    found
}

fn expected(epoch: &str, offsets: std::ops::Range<i64>) -> Vec<(String, (i32, i64))> {
    let of = |partition| offsets.clone().map(move |offset| (epoch.to_owned(), (partition, offset)));
    (0..2).flat_map(of).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_raw_topic_made_anew_between_two_runs_begins_an_epoch() {
    let ground = Ground::start().await;
    let mut valid = ground.follow(Topic::Valid);
    let running = ground.ingest();
    write(&ground, 1_000, 20).await;
    assert_eq!(next(&mut valid, 20).await, expected("", 0..10));
    running.stop().await;
    make_raw_anew(&ground).await;
    let running = ground.ingest();
    write(&ground, 2_000, 6).await;
    assert_eq!(next(&mut valid, 6).await, expected("1", 0..3));
    running.stop().await;
    // The group knows by now.
    let running = ground.ingest();
    write(&ground, 3_000, 4).await;
    assert_eq!(next(&mut valid, 4).await, expected("1", 3..5));
    running.stop().await;
    // And once more, grown past what was read.
    make_raw_anew(&ground).await;
    write(&ground, 4_000, 40).await;
    let running = ground.ingest();
    assert_eq!(next(&mut valid, 40).await, expected("2", 0..20));
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_raw_topic_made_anew_under_a_running_ingest_begins_an_epoch() {
    let ground = Ground::start().await;
    let mut valid = ground.follow(Topic::Valid);
    let running = ground.ingest();
    write(&ground, 1_000, 20).await;
    assert_eq!(next(&mut valid, 20).await, expected("", 0..10));
    make_raw_anew(&ground).await;
    write(&ground, 2_000, 6).await;
    assert_eq!(next(&mut valid, 6).await, expected("1", 0..3));
    let drained = running.stop().await;
    assert_eq!((drained.accepted, drained.rejected), (26, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_without_commits_goes_on_in_the_epoch_that_valid_events_tell() {
    let mut ground = Ground::start().await;
    let mut valid = ground.follow(Topic::Valid);
    let running = ground.ingest();
    write(&ground, 1_000, 10).await;
    assert_eq!(next(&mut valid, 10).await, expected("", 0..5));
    running.stop().await;
    // As after a group's commits have expired: all is judged again, as what it was.
    ground.config.ingest.group = "another".to_owned();
    let running = ground.ingest();
    assert_eq!(next(&mut valid, 10).await, expected("", 0..5));
    running.stop().await;
}

/// One event to a partition.
async fn write_to(ground: &Ground, partition: i32, at_ms: i64) {
    let mut event = click("u1", "i");
    event.event_time_ms = NOW_MS + at_ms;
    ground.write(&ground.raw(&event, partition)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_partition_that_was_never_used_is_of_the_epoch_of_the_others() {
    let mut ground = Ground::start().await;
    let mut valid = ground.follow(Topic::Valid);
    let running = ground.ingest();
    write_to(&ground, 0, 1).await;
    assert_eq!(next(&mut valid, 1).await, [(String::new(), (0, 0))]);
    running.stop().await;
    // Nobody has committed: as after a kill before the first commit, what is written may come twice.
    ground.config.ingest.group = "another".to_owned();
    write_to(&ground, 1, 2).await;
    let running = ground.ingest();
    let expected = [0, 1].map(|partition| (String::new(), (partition, 0)));
    assert_eq!(next(&mut valid, 2).await, expected);
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_partition_that_is_first_used_after_all_were_made_anew_is_of_their_epoch() {
    let ground = Ground::start().await;
    let mut valid = ground.follow(Topic::Valid);
    let running = ground.ingest();
    write_to(&ground, 0, 1).await;
    assert_eq!(next(&mut valid, 1).await, [(String::new(), (0, 0))]);
    running.stop().await;
    make_raw_anew(&ground).await;
    let running = ground.ingest();
    write_to(&ground, 1, 2).await;
    assert_eq!(next(&mut valid, 1).await, [("1".to_owned(), (1, 0))]);
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_raw_log_that_has_lost_its_end_goes_on_behind_it() {
    let ground = Ground::start().await;
    let mut valid = ground.follow(Topic::Valid);
    let running = ground.ingest();
    write(&ground, 1_000, 20).await;
    assert_eq!(next(&mut valid, 20).await, expected("", 0..10));
    running.stop().await;
    // The group knows of more than the log has.
    let marks = Some(Marks { first: (12, 17), last_ms: 17 });
    commit(&ground, |claim| claim.commit_noting(50, Note { epoch: 0, marks })).await;
    let running = ground.ingest();
    write(&ground, 2_000, 6).await;
    assert_eq!(next(&mut valid, 6).await, expected("1", 10..13));
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_that_a_tool_has_set_back_goes_on_in_its_epoch() {
    let ground = Ground::start().await;
    let mut valid = ground.follow(Topic::Valid);
    let running = ground.ingest();
    write_to(&ground, 0, 1).await;
    assert_eq!(next(&mut valid, 1).await, [(String::new(), (0, 0))]);
    running.stop().await;
    make_raw_anew(&ground).await;
    let running = ground.ingest();
    write_to(&ground, 0, 2).await;
    write_to(&ground, 0, 3).await;
    let first_two = [0, 1].map(|offset| ("1".to_owned(), (0, offset)));
    assert_eq!(next(&mut valid, 2).await, first_two);
    running.stop().await;
    commit(&ground, |claim| claim.commit(0)).await;
    let running = ground.ingest();
    assert_eq!(next(&mut valid, 2).await, first_two);
    write_to(&ground, 0, 4).await;
    assert_eq!(next(&mut valid, 1).await, [("1".to_owned(), (0, 2))]);
    running.stop().await;
}
