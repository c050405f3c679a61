//! Conditional puts, compare-and-set, and errors that end a session.

use upnext_common::event::Subject;
use upnext_common::item::ItemHash;
use upnext_store::{Flush, Flushed, Owned, Session, Stage, StoreError};
use upnext_testkit::Redis;

use super::{blob, owned, session, settings, watermark};

#[tokio::test]
async fn a_blob_is_stored_only_over_an_older_one() {
    let redis = Redis::start();
    let mut session = session(&redis).await;
    let key = session.keys().user(Subject::User("u1"));
    let mut known = None;
    // Offsets that differ in high and in low bytes, below and above 127: the order of numbers, not of letters.
    let steps =
        [(5, 1, 1), (5, 2, 0), (4, 3, 0), (200, 4, 1), (127, 5, 0), (70_000, 6, 1), (255, 7, 0)];
    for ((next_offset, body, stored), at) in steps.into_iter().zip(1..) {
        let flush = Flush {
            blobs: vec![(key.clone(), blob(next_offset, body))],
            watermark: watermark(at),
            ..Flush::default()
        };
        let flushed = session.flush(&flush, &owned(known)).await.unwrap();
        assert_eq!(flushed, Flushed { stored, skipped: 1 - stored }, "offset {next_offset}");
        known = Some(watermark(at));
    }
    let found = session.blobs(&[key], &owned(known)).await.unwrap();
    assert_eq!(found[0].as_deref(), Some(&blob(70_000, 6)[..]));
}

#[tokio::test]
async fn each_of_many_puts_is_decided_by_itself() {
    let redis = Redis::start();
    let mut session = session(&redis).await;
    let keys: Vec<String> = (0..150).map(|item| session.keys().item(ItemHash(item))).collect();
    let puts = |of: &dyn Fn(u64) -> Option<u64>, body| {
        let blob = |(key, at): (&String, u64)| Some((key.clone(), blob(of(at)?, body)));
        keys.iter().zip(0..).filter_map(blob).collect::<Vec<_>>()
    };
    let flush = |blobs, at| Flush { blobs, watermark: watermark(at), ..Flush::default() };
    // Every third is there already, and of those every second from further on.
    let further = |at: u64| if at.is_multiple_of(2) { 9 } else { 2 };
    let there = |at: u64| at.is_multiple_of(3).then(|| further(at));
    let first = session.flush(&flush(puts(&there, 1), 1), &owned(None)).await.unwrap();
    assert_eq!(first, Flushed { stored: 50, skipped: 0 });
    let all = flush(puts(&|_| Some(5), 2), 2);
    let second = session.flush(&all, &owned(Some(watermark(1)))).await.unwrap();
    assert_eq!(second, Flushed { stored: 125, skipped: 25 });
    let found = session.blobs(&keys, &owned(Some(watermark(2)))).await.unwrap();
    for (found, at) in found.iter().zip(0..150_u64) {
        let expected = if at.is_multiple_of(6) { blob(9, 1) } else { blob(5, 2) };
        assert_eq!(found.as_deref(), Some(&expected[..]), "item {at}");
    }
}

#[tokio::test]
async fn a_forced_put_overwrites_what_is_newer() {
    let redis = Redis::start();
    let mut session = session(&redis).await;
    let key = session.keys().user(Subject::User("u1"));
    let flush = |next, at, is_forced| {
        let blobs = vec![(key.clone(), blob(next, 0))];
        Flush { blobs, is_forced, watermark: watermark(at), ..Flush::default() }
    };
    session.flush(&flush(9, 1, false), &owned(None)).await.unwrap();
    session.flush(&flush(3, 2, true), &owned(Some(watermark(1)))).await.unwrap();
    let found = session.blobs(std::slice::from_ref(&key), &owned(Some(watermark(2)))).await;
    assert_eq!(found.unwrap()[0].as_deref(), Some(&blob(3, 0)[..]));
}

#[tokio::test]
async fn only_the_owner_moves_a_watermark_on() {
    let redis = Redis::start();
    let mut first = session(&redis).await;
    let mut second = session(&redis).await;
    let flush = |next| Flush { watermark: watermark(next), ..Flush::default() };
    first.flush(&flush(5), &owned(None)).await.unwrap();
    assert_eq!(first.own(Stage::Users, 3).await, Ok(owned(Some(watermark(5)))));
    second.flush(&flush(6), &owned(Some(watermark(5)))).await.unwrap();
    // The zombie still believes in 5.
    let stale = first.flush(&flush(9), &owned(Some(watermark(5)))).await;
    assert_eq!(stale, Err(StoreError::Conflict));
    assert_eq!(second.own(Stage::Users, 3).await, Ok(owned(Some(watermark(6)))));
    let other = Owned { partition: 4, ..owned(None) };
    second.flush(&flush(1), &other).await.unwrap();
    assert_eq!(second.own(Stage::Users, 3).await, Ok(owned(Some(watermark(6)))));
}

#[tokio::test]
async fn what_the_store_lost_never_reads_as_new() {
    let redis = Redis::start();
    let mut session = session(&redis).await;
    let key = session.keys().item(ItemHash(7));
    let blobs = vec![(key.clone(), blob(1, 1))];
    let flush = Flush { blobs, watermark: watermark(1), ..Flush::default() };
    session.flush(&flush, &owned(None)).await.unwrap();
    let known = owned(Some(watermark(1)));
    assert!(session.blobs(std::slice::from_ref(&key), &known).await.unwrap()[0].is_some());
    assert!(redis.command("FLUSHALL").starts_with("+OK"));
    assert_eq!(session.blobs(&[key], &known).await, Err(StoreError::Conflict));
    let again = Flush { watermark: watermark(2), ..Flush::default() };
    assert_eq!(session.flush(&again, &known).await, Err(StoreError::Conflict));
    // From nothing, with the functions still there.
    session.flush(&again, &owned(None)).await.unwrap();
}

#[tokio::test]
async fn a_session_does_not_survive_its_store() {
    let mut redis = Redis::start();
    let mut before = session(&redis).await;
    redis.restart();
    let lost = before.own(Stage::Users, 3).await.unwrap_err();
    assert!(lost.fault().may_retry(), "{lost}");
    let again = before.own(Stage::Users, 3).await;
    assert!(again.is_err(), "it must not have reconnected by itself");
    let mut after = session(&redis).await;
    let flush = Flush { watermark: watermark(1), ..Flush::default() };
    after.flush(&flush, &owned(None)).await.unwrap();
}

#[tokio::test]
async fn a_store_that_lost_its_functions_gets_them_with_the_next_session() {
    let redis = Redis::start();
    let mut session = session(&redis).await;
    assert!(redis.command("FUNCTION FLUSH").starts_with("+OK"));
    let flush = Flush { watermark: watermark(1), ..Flush::default() };
    let refused = session.flush(&flush, &owned(None)).await.unwrap_err();
    assert!(matches!(refused, StoreError::Refused { .. }), "{refused}");
    let mut next = super::session(&redis).await;
    next.flush(&flush, &owned(None)).await.unwrap();
}

#[tokio::test]
async fn a_frozen_store_is_a_timeout() {
    let redis = Redis::start();
    let mut settings = settings();
    settings.write_timeout_ms = 200;
    let mut session = Session::connect(&redis.url(), &settings, 64).await.unwrap();
    redis.stop_signal();
    assert_eq!(session.own(Stage::Users, 3).await, Err(StoreError::Timeout));
    redis.cont_signal();
}

#[tokio::test]
async fn wrong_addresses_and_foreign_watermarks_are_told() {
    let redis = Redis::start();
    let bad = Session::connect("kafka:9092", &settings(), 64).await.err();
    assert!(matches!(bad, Some(StoreError::Url { .. })), "{bad:?}");
    let nobody = format!("redis://127.0.0.1:{}", upnext_testkit::free_port());
    let away = Session::connect(&nobody, &settings(), 64).await.err();
    assert!(away.is_some_and(|error| error.fault().may_retry()));
    let mut session = session(&redis).await;
    assert!(redis.command("SET upnext:w:users:3 nonsense").starts_with("+OK"));
    let malformed = session.own(Stage::Users, 3).await;
    assert!(matches!(malformed, Err(StoreError::Malformed { .. })), "{malformed:?}");
}
