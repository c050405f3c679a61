//! Dead letters looked at and sent back: each once, by whomever and however often it is tried.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use upnext_common::clock::Clock;
use upnext_common::drain::Drain;
use upnext_common::topic::Topic;
use upnext_ingest::dlq::{
    self, By, DeadLetters, Filter, Place, Redrive, RedriveError, Report, Skipped,
};
use upnext_kafka::{Outgoing, Record};
use upnext_testkit::eventually_async;

use crate::ground::{BOUND, Ground, NOW_MS, click, header, source, within};

const DAY_MS: i64 = 24 * 3_600_000;

fn redrive(ground: &Ground) -> Redrive {
    let topic_prefix = ground.config.kafka.topic_prefix.clone();
    Redrive {
        from: DeadLetters { brokers: ground.brokers.clone(), topic_prefix },
        filter: Filter::default(),
        dry_run: false,
        include_parked: false,
        rate_max: None,
        records_max: None,
        clock: Clock::system(),
    }
}

async fn run(redrive: &Redrive) -> Report {
    within(redrive.run(&Drain::new(), &mut |_| {})).await.unwrap()
}

/// Writes events that are two days too old for the contract, in both partitions, and garbage once; waits until all
/// are dead letters.
async fn die(ground: &Ground, count: i32) {
    let running = ground.ingest();
    for number in 0..count {
        let raw = ground.raw(&click(&format!("u{number}"), "i"), number % 2);
        ground.write(&Outgoing { timestamp_ms: Some(NOW_MS + 2 * DAY_MS), ..raw }).await;
    }
    ground.write(&ground.garbage(Some(b"garbage"), 0)).await;
    outcomes(ground, Topic::DeadLetters, count + 1).await;
    running.stop().await;
}

/// The first so many of an outcome topic.
async fn outcomes(ground: &Ground, topic: Topic, count: i32) -> Vec<Record> {
    let mut follow = ground.follow(topic);
    let mut found = Vec::new();
    for _ in 0..count {
        found.push(follow.next().await);
    }
    found
}

/// The contract takes events of any age from now on: what was wrong is mended.
fn mend(ground: &mut Ground) {
    ground.config.ingest.event_age_max_ms = 30 * DAY_MS;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_mended_is_sent_back_once() {
    let mut ground = Ground::start().await;
    die(&ground, 6).await;
    let dry = Redrive { dry_run: true, ..redrive(&ground) };
    let told = run(&dry).await;
    assert_eq!((told.redriven, told.dry_run, told.complete), (6, true, true));
    assert_eq!(told.skipped, BTreeMap::from([(Skipped::CannotHelp, 1)]));
    assert_eq!(told.hopeless, BTreeMap::from([("bad_magic".to_owned(), 1)]));

    let done = run(&redrive(&ground)).await;
    assert_eq!(done.reasons, BTreeMap::from([("ts_too_old".to_owned(), 6)]));
    mend(&mut ground);
    let running = ground.ingest();
    let valid = outcomes(&ground, Topic::Valid, 6).await;
    let mut from = Vec::new();
    for record in &valid {
        let at = header(record, "upnext.redriven.from");
        let (partition, _) = source(record);
        assert!(at.starts_with(&format!("upnext.events.v1/{partition}/")), "{at}");
        assert_eq!(record.timestamp_ms, NOW_MS + 2 * DAY_MS, "the original timestamp");
        assert_eq!(header(record, "trace"), "t1");
        from.push(at);
    }
    from.sort();
    from.dedup();
    assert_eq!(from.len(), 6);

    let again = run(&redrive(&ground)).await;
    assert_eq!((again.redriven, again.complete), (0, true));
    assert_eq!(again.skipped[&Skipped::AlreadyRedriven], 6);
    assert_eq!(running.stop().await.accepted, 6);
    assert_eq!(ground.follow(Topic::Valid).all().await.len(), 6);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_valid_when_judged_again_is_not_sent_back() {
    let mut ground = Ground::start().await;
    die(&ground, 6).await;
    // As after a kill between writing and committing: all of it comes again, and what was wrong is mended by now.
    let (age_max_ms, group) = (ground.config.ingest.event_age_max_ms, "again".to_owned());
    let group = std::mem::replace(&mut ground.config.ingest.group, group);
    mend(&mut ground);
    let running = ground.ingest();
    outcomes(&ground, Topic::Valid, 6).await;
    outcomes(&ground, Topic::DeadLetters, 8).await;
    running.stop().await;
    // Others that died since stand nowhere else.
    (ground.config.ingest.event_age_max_ms, ground.config.ingest.group) = (age_max_ms, group);
    let running = ground.ingest();
    for number in 0..4 {
        let raw = ground.raw(&click("later", "i"), number % 2);
        ground.write(&Outgoing { timestamp_ms: Some(NOW_MS + 2 * DAY_MS), ..raw }).await;
    }
    outcomes(&ground, Topic::DeadLetters, 12).await;
    running.stop().await;
    for redriven in [4, 0] {
        let dry = Redrive { dry_run: true, ..redrive(&ground) };
        // What has just been committed need not be visible at once.
        eventually_async(BOUND, async || run(&dry).await.redriven == redriven).await;
        let done = run(&redrive(&ground)).await;
        assert_eq!((done.redriven, done.skipped[&Skipped::StandsValid]), (redriven, 6));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_fails_again_counts_its_attempts_and_is_parked_at_five() {
    let ground = Ground::start().await;
    die(&ground, 1).await;
    let running = ground.ingest();
    for failed in 1..5 {
        assert_eq!(run(&redrive(&ground)).await.redriven, 1, "after {failed} failures");
        outcomes(&ground, Topic::DeadLetters, failed + 2).await;
    }
    let parked = run(&redrive(&ground)).await;
    assert_eq!((parked.redriven, parked.skipped[&Skipped::Parked]), (0, 1));
    let all = ground.follow(Topic::DeadLetters).all().await;
    let said = |name: &str| -> Vec<String> {
        let old = all.iter().filter(|letter| header(letter, "upnext.dlq.reason") == "ts_too_old");
        old.map(|letter| header(letter, &format!("upnext.dlq.{name}"))).collect()
    };
    assert_eq!(said("attempt"), ["1", "2", "3", "4", "5"]);
    let first = said("first_failed_at");
    assert!(first.iter().all(|at| *at == first[0]), "{first:?}");
    let anyway = run(&Redrive { include_parked: true, ..redrive(&ground) }).await;
    assert_eq!(anyway.redriven, 1);
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_letter_that_stands_twice_is_sent_once() {
    let ground = Ground::start().await;
    die(&ground, 2).await;
    let letters = outcomes(&ground, Topic::DeadLetters, 3).await;
    for letter in letters {
        // As ingest leaves it when it is killed between writing and committing.
        let repeat = Outgoing {
            topic: letter.topic.to_string(),
            partition: Some(1 - letter.partition),
            key: letter.key,
            value: letter.value,
            headers: letter.headers,
            timestamp_ms: Some(letter.timestamp_ms),
        };
        ground.write(&repeat).await;
    }
    let done = run(&redrive(&ground)).await;
    assert_eq!((done.redriven, done.skipped[&Skipped::AlreadyRedriven]), (2, 2));
}

#[tokio::test(flavor = "multi_thread")]
async fn limits_and_filters_hold_and_the_rest_comes_later() {
    let ground = Ground::start().await;
    die(&ground, 8).await;
    let some = Redrive { records_max: Some(3), rate_max: Some(400), ..redrive(&ground) };
    assert_eq!(run(&some).await.redriven, 3);
    let filter = Filter { partition: Some(1), ..Filter::default() };
    let one = run(&Redrive { filter, ..redrive(&ground) }).await;
    let rest = run(&redrive(&ground)).await;
    assert_eq!(one.redriven + rest.redriven, 5);
    let garbage = Filter { reason: vec!["bad_magic".to_owned()], ..Filter::default() };
    let named = run(&Redrive { filter: garbage, ..redrive(&ground) }).await;
    assert_eq!(named.reasons, BTreeMap::from([("bad_magic".to_owned(), 1)]));
    let stopped = Drain::new();
    stopped.start();
    let report = within(redrive(&ground).run(&stopped, &mut |_| {})).await.unwrap();
    assert_eq!((report.complete, report.redriven), (false, 0));
    let wrong = Filter { reason: vec!["lateness".to_owned()], ..Filter::default() };
    let refused = Redrive { filter: wrong, ..redrive(&ground) }.run(&stopped, &mut |_| {}).await;
    assert!(matches!(refused, Err(RedriveError::Filter(_))), "{refused:?}");
}

/// Many at once, each shutting out the ones before: some end early, and no record is sent twice.
#[tokio::test(flavor = "multi_thread")]
async fn two_at_once_send_nothing_twice() {
    let ground = Ground::start().await;
    die(&ground, 60).await;
    let mut runs = tokio::task::JoinSet::new();
    for _ in 0..3 {
        // Small transactions, so that they meet.
        let redrive = Redrive { rate_max: Some(400), ..redrive(&ground) };
        runs.spawn(async move { redrive.run(&Drain::new(), &mut |_| {}).await });
    }
    let mut whole = 0;
    while let Some(ended) = within(runs.join_next()).await {
        match ended.unwrap() {
            Ok(report) => whole += u64::from(report.complete),
            Err(RedriveError::TakenOver) => {}
            Err(other) => panic!("{other}"),
        }
    }
    assert!(whole >= 1, "the last one is not shut out");
    run(&redrive(&ground)).await;
    let raw = ground.follow(Topic::Events).all().await;
    let mut from: Vec<String> = raw
        .iter()
        .filter(|record| record.header("upnext.redriven.from").is_some())
        .map(|record| header(record, "upnext.redriven.from"))
        .collect();
    from.sort();
    assert_eq!(from.len(), 60);
    from.dedup();
    assert_eq!(from.len(), 60, "each once");
}

#[tokio::test(flavor = "multi_thread")]
async fn letters_are_found_counted_and_explained() {
    let ground = Ground::start().await;
    die(&ground, 5).await;
    let from = redrive(&ground).from;
    let reason = |code: &str| Filter { reason: vec![code.to_owned()], ..Filter::default() };
    let counted = within(dlq::count(&from, &Filter::default(), By::Reason)).await.unwrap();
    assert_eq!((counted.total, counted.counts["ts_too_old"]), (6, 5));
    assert_eq!(within(dlq::oldest(&from, &reason("ts_too_old"), 2)).await.unwrap().len(), 2);
    assert_eq!(within(dlq::newest(&from, &reason("ts_too_old"), 3)).await.unwrap().len(), 3);
    let young = Filter { since_ms: Some(NOW_MS + DAY_MS), ..Filter::default() };
    assert_eq!(within(dlq::newest(&from, &young, 99)).await.unwrap().len(), 5);

    let old = within(dlq::newest(&from, &reason("ts_too_old"), 1)).await.unwrap().remove(0);
    let place = Place { partition: old.record.partition, offset: old.record.offset };
    let found = within(dlq::one(&from, place)).await.unwrap().unwrap();
    assert_eq!(found, old);
    let registry = Arc::new(crate::ground::registry(&ground.registry_url));
    let told = within(dlq::explain(&found, Some(&registry))).await;
    assert_eq!(told["decoded"]["value"]["item_id"], "i");
    assert_eq!(told["decoded"]["schema"], "upnext.events.v1.ItemClicked");
    assert!(told["decoded"]["broken"].is_null(), "{told}");
    for (partition, offset) in [(place.partition, 9_999), (7, 0)] {
        assert_eq!(within(dlq::one(&from, Place { partition, offset })).await.unwrap(), None);
    }
    let garbage = within(dlq::newest(&from, &reason("bad_magic"), 1)).await.unwrap().remove(0);
    assert_eq!(garbage.record.value, Some(Bytes::from_static(b"garbage")));
}
