//! A real Redis Cluster: who has which keys, and what happens when that changes.

use std::collections::BTreeSet;
use std::time::Duration;

use upnext_common::clock::Clock;
use upnext_common::config;
use upnext_common::deadline::Deadline;
use upnext_common::event::Subject;
use upnext_common::item::ItemHash;
use upnext_store::{Cursor, Flush, Keys, Owned, Place, Reader, Session, Stage, StoreError};
use upnext_testkit::{Redis, RedisCluster, eventually_async, wait_for};

use super::{blob, watermark};

const BOUND: Duration = Duration::from_secs(30);
const USERS: u64 = 60;

fn settings(key_groups: u32) -> config::Redis {
    config::Redis { key_groups, read_timeout_ms: 1_000, ..config::Redis::default() }
}

fn soon() -> Deadline {
    Deadline::after(Clock::system().instant(), Duration::from_secs(5))
}

async fn session(cluster: &RedisCluster) -> Session {
    Session::connect(&cluster.url(), &settings(16), 6_400).await.expect("the cluster answers")
}

/// Users in all groups, and as many items told of.
fn flush(keys: &Keys, next_offset: u64) -> Flush {
    let user = |user: u64| (keys.user(Subject::User(&user.to_string())), blob(next_offset, 7));
    Flush {
        blobs: (0..USERS).map(user).collect(),
        changed: (0..USERS).map(|item| ItemHash(item << 32)).collect(),
        watermark: watermark(next_offset.cast_signed()),
        ..Flush::default()
    }
}

async fn owned(session: &mut Session) -> Owned {
    session.own(Stage::Users, 3).await.expect("the cluster answers")
}

#[tokio::test(flavor = "multi_thread")]
async fn reads_go_on_while_a_master_is_replaced_and_the_session_ends() {
    let mut cluster = tokio::task::block_in_place(RedisCluster::start);
    let mut session = session(&cluster).await;
    session.agree(4, 4).await.unwrap();
    let keys = session.keys().clone();
    let nobody = owned(&mut session).await;
    assert_eq!(nobody.watermarks, vec![None; 16]);
    let flushed = session.flush(&flush(&keys, 5), &nobody).await.unwrap();
    assert_eq!((flushed.stored, flushed.skipped), (60, 0));
    let known = owned(&mut session).await;
    assert_eq!(known.lowest(), Some(&watermark(5)));

    let reader = Reader::connect(&cluster.url(), &settings(16), Clock::system()).unwrap();
    eventually_async(BOUND, async || reader.is_up()).await;
    let name = |user: u64| user.to_string();
    let read = async |user: u64| reader.users(&[Subject::User(&name(user))], soon()).await;
    eventually_async(BOUND, async || reader.changes_head().await.is_ok()).await;
    for user in 0..USERS {
        assert_eq!(read(user).await.unwrap()[0].as_deref(), Some(&blob(5, 7)[..]));
    }
    let changed = reader.changed_since(&Place::default(), Duration::ZERO).await.unwrap();
    assert_eq!(changed.items.len(), 60);
    assert!(changed.next.reaches(&reader.changes_head().await.unwrap()));

    let (walked, _) = reader.scanned(Stage::Users, Cursor::default()).await.unwrap();
    assert!(walked.is_some());

    let lost = cluster.masters()[1];
    cluster.node_mut(lost).kill();
    // What the other masters have is answered; nobody waits for what the dead one had.
    let answers = async || {
        let mut answered = 0;
        for user in 0..USERS {
            answered += usize::from(read(user).await.is_ok());
        }
        answered
    };
    let answered = answers().await;
    assert!((20..60).contains(&answered), "{answered} of 60 answered");
    let refused = session.flush(&flush(&keys, 6), &known).await.unwrap_err();
    assert!(refused.fault().may_retry(), "{refused}");
    tokio::task::block_in_place(|| cluster.fail_over(lost));
    eventually_async(BOUND, async || answers().await == 60).await;
    // A walk that was under way misses nobody: it goes on from the beginning.
    let (mut walked, mut told) = (walked, BTreeSet::new());
    while let Some(from) = walked {
        let (next, keys) = reader.scanned(Stage::Users, from).await.unwrap();
        told.extend(keys);
        walked = next;
    }
    assert_eq!(told.len(), 60);

    // The others' groups may have been claimed, and none of them moved on.
    let mut next = self::session(&cluster).await;
    let stored = owned(&mut next).await;
    assert_eq!(stored.resume(), watermark(5));
    next.flush(&flush(&keys, 8), &stored).await.unwrap();
    assert_eq!(reader.watermark(Stage::Users, 3).await, Ok(Some(watermark(8))));
    // A zombie that still believes in what was.
    assert_eq!(next.flush(&flush(&keys, 7), &known).await, Err(StoreError::Conflict));
    assert_eq!(reader.watermark(Stage::Users, 3).await, Ok(Some(watermark(8))));
}

#[tokio::test]
async fn a_layout_is_recorded_once() {
    let redis = Redis::start();
    let connect = async |groups| {
        Session::connect(&redis.url(), &settings(groups), 64).await.expect("the server answers")
    };
    let mut session = connect(4).await;
    session.agree(12, 6).await.unwrap();
    session.agree(12, 6).await.unwrap();
    for (groups, valid, signals) in [(4, 13, 6), (4, 12, 7), (5, 12, 6)] {
        let refused = connect(groups).await.agree(valid, signals).await;
        let Err(StoreError::Layout { recorded, .. }) = refused else { panic!("{refused:?}") };
        assert_eq!(recorded, "groups=4 valid=12 signals=6");
    }
    // Serving that looks under other names says so, instead of finding nobody.
    let head = async |groups| {
        let reader = Reader::connect(&redis.url(), &settings(groups), Clock::system()).unwrap();
        eventually_async(BOUND, async || reader.is_up()).await;
        wait_for(BOUND, async || match reader.changes_head().await {
            Err(StoreError::Unavailable { .. } | StoreError::Timeout) => None,
            said => Some(said),
        })
        .await
    };
    assert_eq!(head(4).await, Ok(Place::default()));
    assert!(matches!(head(1).await, Err(StoreError::Layout { .. })));
}

#[tokio::test]
async fn a_cluster_that_is_none_is_told() {
    let alone = Redis::start();
    let url = alone.url().replace("redis://", "redis-cluster://");
    let ungrouped = Session::connect(&url, &settings(1), 64).await.err();
    assert!(matches!(ungrouped, Some(StoreError::Settings { .. })), "{ungrouped:?}");
    let ungrouped = Reader::connect(&url, &settings(1), Clock::system()).err();
    assert!(matches!(ungrouped, Some(StoreError::Settings { .. })), "{ungrouped:?}");
    let single = Session::connect(&url, &settings(16), 64).await.err();
    assert!(single.as_ref().is_some_and(|error| error.fault().may_retry()), "{single:?}");
}

#[tokio::test]
async fn what_was_emptied_between_claim_and_advance_is_not_vouched_for() {
    // By hand what a flush does at once: its claim, then nothing left of it, then somebody else's start.
    let redis = Redis::start();
    let mut session = Session::connect(&redis.url(), &settings(2), 64).await.unwrap();
    let nobody = owned(&mut session).await;
    let claimed = nobody.claimed(9);
    assert!(redis.command("FLUSHALL").starts_with("+OK"));
    let refused =
        session.flush(&Flush { watermark: watermark(4), ..Flush::default() }, &claimed).await;
    assert_eq!(refused, Err(StoreError::Conflict));
    assert_eq!(owned(&mut session).await, nobody);
}
