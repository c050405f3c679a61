//! Reads under a deadline, the breaker, scans and the stream of changes.

use std::collections::BTreeSet;
use std::time::Duration;

use bytes::Bytes;
use upnext_common::clock::Clock;
use upnext_common::config;
use upnext_common::deadline::Deadline;
use upnext_common::event::Subject;
use upnext_common::item::ItemHash;
use upnext_store::{Flush, Keys, Place, Reader, SourcePosition, Stage, StoreError};
use upnext_testkit::{Redis, eventually_async, free_port};

use super::{CHANGED_MAX, blob, owned, put, session, settings, watermark};

const BOUND: Duration = Duration::from_secs(10);

/// A reader that waits long enough for a busy test machine.
fn reader(redis: &Redis) -> Reader {
    let settings = config::Redis { read_timeout_ms: 500, ..settings() };
    Reader::connect(&redis.url(), &settings, Clock::system()).expect("the address is one")
}

async fn connected(redis: &Redis) -> Reader {
    let reader = reader(redis);
    eventually_async(BOUND, async || reader.is_up() && reader.changes_head().await.is_ok()).await;
    reader
}

fn soon() -> Deadline {
    Deadline::after(Clock::system().instant(), Duration::from_secs(5))
}

fn keys() -> Keys {
    Keys::new(&settings().key_prefix)
}

#[tokio::test]
async fn states_are_read_in_the_order_asked() {
    let redis = Redis::start();
    let (user, item) = (keys().user(Subject::Anonymous("a")), keys().item(ItemHash(5)));
    put(&redis, vec![(user, blob(1, 10)), (item, blob(1, 20))]).await.unwrap();
    let reader = connected(&redis).await;
    let asked = [Subject::User("a"), Subject::Anonymous("a")];
    let users = reader.users(&asked, soon()).await.unwrap();
    assert_eq!(users, [None, Some(Bytes::from(blob(1, 10)))]);
    let items = reader.items(&[ItemHash(5), ItemHash(6)], soon()).await.unwrap();
    assert_eq!(items, [Some(Bytes::from(blob(1, 20))), None]);
    assert!(reader.users(&[], soon()).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_deadline_that_has_passed_costs_nothing_and_blames_nobody() {
    let redis = Redis::start();
    let reader = connected(&redis).await;
    let passed = Deadline::after(Clock::system().instant(), Duration::ZERO);
    for _ in 0..10 {
        let read = reader.users(&[Subject::User("a")], passed).await;
        assert_eq!(read, Err(StoreError::Timeout));
    }
    assert!(reader.is_up());
}

#[tokio::test]
async fn a_frozen_store_is_asked_three_times_at_most_until_it_answers() {
    let redis = Redis::start();
    let settings = config::Redis { read_timeout_ms: 50, ..settings() };
    let reader = Reader::connect(&redis.url(), &settings, Clock::system()).unwrap();
    eventually_async(BOUND, async || reader.is_up()).await;
    redis.stop_signal();
    let read = async || reader.users(&[Subject::User("a")], soon()).await;
    let mut waits = 0;
    for _ in 0..100 {
        // Whether by failed reads or by the reader's own probe: it is soon known, and nobody waits any more.
        waits += u32::from(read().await.unwrap_err() == StoreError::Timeout);
    }
    assert!(waits <= 3, "{waits} reads waited");
    redis.cont_signal();
    eventually_async(BOUND, async || read().await.is_ok()).await;
}

#[tokio::test]
async fn a_reader_comes_back_after_its_store_was_killed() {
    let mut redis = Redis::start();
    let reader = connected(&redis).await;
    redis.kill();
    let read = async || reader.users(&[Subject::User("a")], soon()).await;
    eventually_async(BOUND, async || matches!(read().await, Err(StoreError::Unavailable { .. })))
        .await;
    redis.restart();
    eventually_async(BOUND, async || read().await.is_ok()).await;
}

#[tokio::test]
async fn a_quiet_reader_finds_out_by_itself() {
    let mut redis = Redis::start();
    let reader = connected(&redis).await;
    redis.kill();
    // Nobody reads meanwhile.
    eventually_async(BOUND, async || !reader.is_up()).await;
    redis.restart();
    eventually_async(BOUND, async || reader.is_up()).await;
    assert!(reader.users(&[Subject::User("a")], soon()).await.is_ok());
    redis.stop_signal();
    eventually_async(BOUND, async || !reader.is_up()).await;
    redis.cont_signal();
    eventually_async(BOUND, async || reader.is_up()).await;
}

#[tokio::test]
async fn a_store_that_never_was_is_no_error_at_the_start() {
    let url = format!("redis://127.0.0.1:{}", free_port());
    let reader = Reader::connect(&url, &settings(), Clock::system()).unwrap();
    let read = reader.users(&[Subject::User("a")], soon()).await;
    assert!(matches!(read, Err(StoreError::Unavailable { .. })), "{read:?}");
    assert!(!reader.is_up());
    let bad = Reader::connect("nonsense", &settings(), Clock::system()).err();
    assert!(matches!(bad, Some(StoreError::Url { .. })));
}

#[tokio::test]
async fn a_scan_finds_every_item_and_nothing_else() {
    let redis = Redis::start();
    let mut blobs: Vec<_> =
        (0..2_500).map(|item| (keys().item(ItemHash(item)), blob(1, 1))).collect();
    blobs.push((keys().user(Subject::User("i:0000000000000001")), blob(1, 2)));
    put(&redis, blobs).await.unwrap();
    let reader = connected(&redis).await;
    let mut found = BTreeSet::new();
    let count = reader
        .all_items(|batch| found.extend(batch.into_iter().map(|(item, _)| item.0)))
        .await
        .unwrap();
    assert_eq!(found, (0..2_500).collect());
    assert!(count >= 2_500);
}

#[tokio::test]
async fn changes_are_told_in_order_from_any_place() {
    let redis = Redis::start();
    let reader = connected(&redis).await;
    let head = reader.changes_head().await.unwrap();
    assert_eq!(head, Place::default());
    let quiet = reader.changed_since(&head, Duration::from_millis(30)).await.unwrap();
    assert_eq!((quiet.items.len(), &quiet.next, quiet.has_gap), (0, &head, false));
    let mut session = session(&redis).await;
    let items: Vec<ItemHash> = (0..100).map(ItemHash).collect();
    let flush = Flush { changed: items.clone(), watermark: watermark(1), ..Flush::default() };
    session.flush(&flush, &owned(None)).await.unwrap();
    let changed = reader.changed_since(&head, BOUND).await.unwrap();
    assert_eq!((changed.items, changed.has_gap), (items, false));
    assert_eq!(changed.next, reader.changes_head().await.unwrap());
    let rest = reader.changed_since(&changed.next, Duration::ZERO).await.unwrap();
    assert!(rest.items.is_empty() && !rest.has_gap);
}

#[tokio::test]
async fn who_falls_too_far_behind_is_told_of_the_gap() {
    let redis = Redis::start();
    let reader = connected(&redis).await;
    let mut session = session(&redis).await;
    let mut known = None;
    let mut place = None;
    // Trimming goes by whole nodes of 100 entries: far more entries than the cap.
    for next in 1..=400 {
        let flush =
            Flush { changed: vec![ItemHash(1)], watermark: watermark(next), ..Flush::default() };
        session.flush(&flush, &owned(known)).await.unwrap();
        known = Some(watermark(next));
        if next == 1 {
            place = Some(reader.changes_head().await.unwrap());
        }
    }
    let changed = reader.changed_since(&place.unwrap(), Duration::ZERO).await.unwrap();
    assert!(changed.has_gap);
    assert!(changed.items.len() < 400 && CHANGED_MAX < 64 * 400);
    let since_start = reader.changed_since(&Place::default(), Duration::ZERO).await.unwrap();
    assert!(!since_start.has_gap);
}

#[tokio::test]
async fn watermarks_are_read_as_their_owners_wrote_them() {
    let redis = Redis::start();
    let reader = connected(&redis).await;
    assert_eq!(reader.watermark(Stage::Users, 3).await, Ok(None));
    let mut session = session(&redis).await;
    let mut expected = watermark(8);
    expected.sources.insert(2, SourcePosition { epoch: 0, offset: 77, index: 4 });
    let flush = Flush { watermark: expected.clone(), ..Flush::default() };
    session.flush(&flush, &owned(None)).await.unwrap();
    assert_eq!(reader.watermark(Stage::Users, 3).await, Ok(Some(expected)));
    assert_eq!(reader.watermark(Stage::Items, 3).await, Ok(None));
}
