//! The product's own comparison: right while everything moves, and wrong about nothing that was planted.

use std::collections::BTreeMap;

use bytes::Bytes;
use upnext_common::clock::Clock;
use upnext_common::event::{EventBody, EventType, Subject};
use upnext_common::item::ItemHash;
use upnext_common::metrics::StageLabels;
use upnext_common::topic::Topic;
use upnext_features::verify::{Counts, Report, Sample, Verify, VerifyError, What};
use upnext_kafka::Outgoing;
use upnext_state::{Signal, SignalBatch, SignalEntry, UserState, What as Said};
use upnext_store::Keys;
use upnext_testkit::eventually_async;

use crate::anew::make_anew;
use crate::world::{BOUND, World};

pub(crate) fn of(world: &World, share: f64) -> Verify {
    Verify {
        config: world.config.clone(),
        brokers: world.stack.brokers(),
        registry_url: world.stack.registry_url(),
        redis_url: world.redis_url.clone(),
        clock: Clock::system(),
        sample: Sample::of(share).expect("the share is one"),
        rate_max: None,
    }
}

pub(crate) async fn report(world: &World) -> Report {
    of(world, 1.0).run(&mut |_| {}).await.expect("log and store answer")
}

#[tokio::test(flavor = "multi_thread")]
async fn it_is_clean_again_and_again_while_events_arrive() {
    let mut world = World::new(40).await;
    let daemon = world.start();
    world.write(300).await;
    let mut follower = of(&world, 1.0).follow().await.unwrap();
    let mut before = 0;
    for round in 0..6 {
        world.write(120).await;
        let found = if round % 2 == 0 {
            follower.round(&mut |_| {}).await.unwrap()
        } else {
            report(&world).await
        };
        assert!(found.is_clean(), "round {round}: {found:?}");
        let checked = found.users.states.checked;
        assert!(checked >= before, "{checked} after {before}");
        before = checked;
    }
    world.settled().await;
    let found = report(&world).await;
    assert!(found.is_clean() && found.users.states.checked > 20, "{found:?}");
    assert_eq!(found.users.features["windows"].checked, found.users.states.checked);
    assert!(found.signals.unwrap().checked > 600, "{found:?}");
    daemon.drained().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_lost_everything_in_between_is_compared_anew() {
    let mut world = World::new(41).await;
    let daemon = world.start();
    world.write(200).await;
    world.settled().await;
    let mut follower = of(&world, 1.0).follow().await.unwrap();
    assert!(follower.round(&mut |_| {}).await.unwrap().is_clean());
    assert!(world.stack.redis.command("FLUSHALL").starts_with("+OK"));
    world.write(50).await;
    // Whatever of it is there already is right.
    assert!(follower.round(&mut |_| {}).await.unwrap().is_clean());
    world.settled().await;
    let found = follower.round(&mut |_| {}).await.unwrap();
    assert!(found.is_clean() && found.users.states.checked > 20, "{found:?}");
    daemon.drained().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sample_is_a_part_of_everyone_and_finds_its_own() {
    let mut world = World::new(42).await;
    let daemon = world.start();
    world.write(400).await;
    world.settled().await;
    daemon.drained().await;
    let everyone = report(&world).await;
    let part = of(&world, 0.4).run(&mut |_| {}).await.unwrap();
    assert!(part.is_clean() && part.signals.is_none(), "{part:?}");
    for (part, all) in [(&part.users, &everyone.users), (&part.items, &everyone.items)] {
        assert!(part.states.checked > 0 && part.states.checked < all.states.checked);
    }
    assert!(world.stack.redis.command("FLUSHALL").starts_with("+OK"));
    // The watermark is gone as well: nothing is missing yet, there is only nothing to compare.
    let nothing = report(&world).await;
    assert_eq!((nothing.users.states, nothing.items.states), Default::default());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_planted_is_found_by_feature() {
    let mut world = World::new(43).await;
    let daemon = world.start();
    world.write(200).await;
    world.settled().await;
    daemon.drained().await;
    assert!(report(&world).await.is_clean());
    let keys = Keys::new(&world.config.redis.key_prefix);
    let (gone, item) = (keys.user(Subject::User("u1")), keys.item(ItemHash::of("m1")));
    let (foreign, emptied) = (keys.user(Subject::Anonymous("x")), keys.user(Subject::User("u2")));
    let redis = &world.stack.redis;
    assert!(redis.command(&format!("RENAME {gone} {foreign}")).starts_with("+OK"));
    assert!(redis.command(&format!("APPEND {item} x")).starts_with(':'));
    let stored = world.reader.stored(std::slice::from_ref(&emptied)).await.unwrap().remove(0);
    let state = UserState::decode(&stored.expect("the user is known")).unwrap();
    let empty = UserState::at_position(state.position()).encode();
    world.put(&emptied, &empty).await;
    let found = report(&world).await;
    assert_eq!(
        (found.users.states.mismatch, found.users.states.missing, found.users.states.extra),
        (1, 1, 1)
    );
    let wrong: BTreeMap<_, _> =
        found.users.wrong.iter().map(|wrong| (wrong.key.as_str(), wrong)).collect();
    assert_eq!(wrong[gone.as_str()].what, What::Missing);
    assert_eq!(wrong[foreign.as_str()].what, What::Extra);
    assert_eq!(wrong[emptied.as_str()].what, What::Mismatch);
    assert!(wrong[emptied.as_str()].features.contains(&"windows"), "{wrong:?}");
    assert!(!wrong[emptied.as_str()].features.contains(&"position"), "{wrong:?}");
    let Counts { missing, extra, .. } = found.users.features["lifetime"];
    assert_eq!((missing, extra), (2, 1));
    assert_eq!(found.items.states.mismatch, 1);
    assert_eq!(found.items.wrong[0].features, ["unreadable"]);
    assert_eq!(found.signals.map(|signals| signals.wrong()), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_as_an_earlier_version_wrote_it_is_no_mismatch() {
    let mut world = World::new(47).await;
    let daemon = world.start();
    let (mut event, record_ms) = world.crowd.next();
    event.body = EventBody::Searched { query: "tea".to_owned() };
    let key = Keys::new(&world.config.redis.key_prefix).user(event.subject().unwrap());
    world.write_all(vec![(event, record_ms)]).await;
    world.settled().await;
    daemon.drained().await;
    // Without top items, the version is all that differs.
    let stored = world.reader.stored(std::slice::from_ref(&key)).await.unwrap().remove(0);
    let mut blob = stored.expect("the user is known").to_vec();
    assert_eq!(blob[0], 2);
    blob[0] = 1;
    world.put(&key, &blob).await;
    let found = report(&world).await;
    assert!(found.is_clean() && found.users.states.checked == 1, "{found:?}");
    blob[0] = 3;
    world.put(&key, &blob).await;
    assert_eq!(report(&world).await.users.wrong[0].features, ["unreadable"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_made_anew_that_nobody_has_begun_is_told_and_is_no_finding() {
    let mut world = World::new(48).await;
    let daemon = world.start();
    world.write(100).await;
    world.settled().await;
    daemon.drained().await;
    assert!(report(&world).await.is_clean());
    make_anew(&world, Topic::Valid).await;
    world.forget_raw();
    world.write(200).await;
    let told = of(&world, 1.0).run(&mut |_| {}).await;
    assert!(matches!(told, Err(VerifyError::MadeAnew { epoch: 1, .. })), "{told:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signal_that_no_event_leads_to_is_found() {
    let mut world = World::new(44).await;
    let item = ItemHash::of("forged");
    let (item_id, kind) = ("forged".into(), EventType::ItemViewed);
    let what = Said::Count { item_id, kind, is_repeat: false, opens_session: false };
    let entry = SignalEntry { offset: 0, index: 0, signal: Signal { item, time_ms: 1, what } };
    let payload =
        SignalBatch { source_partition: 1, entries: vec![entry], source_epoch: 0 }.encode();
    let value = Some(Bytes::from([&[0, 0, 0, 0, 9][..], &payload].concat()));
    let topic = world.topic(Topic::Signals);
    world.send(&[Outgoing { topic, partition: Some(0), value, ..Outgoing::default() }]).await;
    let daemon = world.start();
    world.write(200).await;
    world.settled().await;
    daemon.drained().await;
    let found = report(&world).await;
    // The items stage could not know: its states are what its log says.
    assert_eq!((found.users.states.wrong(), found.items.states.wrong()), (0, 0));
    assert!(found.signals.unwrap().wrong() > 0, "{found:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_or_store_that_is_away_is_an_error_and_not_a_finding() {
    let world = World::new(45).await;
    let nowhere = Verify { brokers: "127.0.0.1:9".to_owned(), ..of(&world, 1.0) };
    let error = nowhere.run(&mut |_| {}).await.unwrap_err();
    assert!(matches!(error, VerifyError::Kafka(_)), "{error}");
    assert!(error.fault().may_retry());
    let wrong = Verify { redis_url: "nonsense".to_owned(), ..of(&world, 1.0) };
    let error = wrong.run(&mut |_| {}).await.unwrap_err();
    assert!(matches!(error, VerifyError::Store(_)), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_daemon_compares_a_sample_by_itself_when_asked_to() {
    let mut world = World::new(46).await;
    world.config.features.verify_sample = 0.5;
    let first = world.start();
    world.write(200).await;
    world.settled().await;
    first.drained().await;
    let before = world.metrics.verified.rounds.get();
    let daemon = world.start();
    eventually_async(BOUND, async || world.metrics.verified.rounds.get() > before).await;
    daemon.drained().await;
    let users = StageLabels { stage: "users" };
    assert!(world.metrics.verified.checked.get_or_create(&users).get() > 0);
    assert_eq!(world.metrics.verified.wrong.get_or_create(&users).get(), 0);
    assert!(world.metrics.render().contains("upnext_verify_rounds_total"));
}
