//! All state made anew while events arrive and the old state serves.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use upnext_common::clock::Clock;
use upnext_common::config;
use upnext_common::drain::Drain;
use upnext_common::event::Subject;
use upnext_common::generation::Generation;
use upnext_common::topic::Topic;
use upnext_features::rebuild::{Phase, Rebuild, RebuildError};
use upnext_kafka::admin;
use upnext_state::UserState;
use upnext_store::{Generations, Keys, Reader, Stage};
use upnext_testkit::eventually_async;

use crate::anew::make_anew;
use crate::oracle;
use crate::world::{BOUND, World};

pub(crate) fn rebuild(world: &World) -> Rebuild {
    Rebuild {
        features: world.features(),
        keeps_old: false,
        removals_per_second_max: 100_000,
        forgets_dropped: false,
    }
}

fn generations(world: &World) -> Generations {
    Generations::connect(&world.stack.redis_url(), &world.config.redis).expect("an address")
}

async fn serving(world: &World) -> Generation {
    let generations = generations(world);
    let mut serving = None;
    eventually_async(BOUND, async || {
        serving = generations.serving().await.ok();
        serving.is_some()
    })
    .await;
    serving.unwrap_or_default()
}

/// Waits until both stages of a generation have seen all there is.
async fn settled(world: &World, generation: Generation) {
    let key_prefix = generation.key_prefix(&world.config.redis.key_prefix);
    let redis = config::Redis { key_prefix, ..world.config.redis.clone() };
    let url = world.stack.redis_url();
    let reader = Reader::connect(&url, &redis, Clock::system()).expect("an address");
    let prefix = &world.config.kafka.topic_prefix;
    let logs =
        [(Stage::Users, Topic::Valid.name(prefix)), (Stage::Items, generation.signals(prefix))];
    for (stage, topic) in logs {
        eventually_async(BOUND, async || {
            let Ok(ends) = admin::end_offsets(&world.stack.brokers(), &topic).await else {
                return false;
            };
            for (partition, end) in (0..).zip(ends) {
                let found = reader.watermark(stage, partition).await.ok().flatten();
                if found.map_or(0, |found| found.next_offset) < end {
                    return false;
                }
            }
            true
        })
        .await;
    }
}

/// Keys of a generation that stand in the store.
fn stored(world: &World, generation: Generation) -> usize {
    let prefix = generation.key_prefix(&world.config.redis.key_prefix);
    let told = world.stack.redis.command(&format!("KEYS {prefix}[uaiw]:*"));
    let count = told.lines().next().and_then(|line| line.strip_prefix('*'));
    count.and_then(|count| count.trim().parse().ok()).expect("the store answers with a list")
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_wrong_is_right_after_it_and_nothing_is_lost_meanwhile() {
    let mut world = World::new(60).await;
    let daemon = world.start();
    world.write(300).await;
    world.settled().await;
    // A state that no log says, as a mistake of an earlier version would have left it.
    let keys = Keys::new(&world.config.redis.key_prefix);
    let key = keys.user(Subject::User("u1"));
    let stored_now = world.reader.stored(std::slice::from_ref(&key)).await.unwrap().remove(0);
    let position = UserState::decode(&stored_now.unwrap()).unwrap().position();
    world.put(&key, &UserState::at_position(position).encode()).await;
    assert_eq!(oracle::report(&world).await.users.states.mismatch, 1);
    let is_done = AtomicBool::new(false);
    let rebuild = rebuild(&world);
    let drain = Drain::new();
    let mut phases = Vec::new();
    let mut tell = |now: upnext_features::rebuild::Progress| phases.push(now.phase);
    let running = async {
        let done = rebuild.run(&drain, &mut tell).await;
        is_done.store(true, Ordering::Release);
        done
    };
    let writing = async {
        let mut written = 0;
        while !is_done.load(Ordering::Acquire) || written == 0 {
            world.write(10).await;
            written += 10;
            // Traffic, not a flood: a builder that is slower than the log would never catch up.
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        written
    };
    let (rebuilt, written) = tokio::join!(running, writing);
    let rebuilt = rebuilt.expect("nothing stands in the way");
    assert!(written > 0 && rebuilt.counted.events > 200, "{rebuilt:?}");
    assert!(phases.contains(&Phase::Building(Stage::Items)), "{phases:?}");
    assert!(phases.contains(&Phase::HandingOver), "{phases:?}");
    let next = Generation(1);
    assert_eq!(serving(&world).await, next);
    // The builder is gone: what comes now is the daemon's to count.
    world.write(100).await;
    settled(&world, next).await;
    let found = oracle::report(&world).await;
    assert!(found.is_clean() && found.users.states.checked > 20, "{found:?}");
    assert!(rebuilt.removed > Some(50), "{rebuilt:?}");
    assert_eq!(stored(&world, Generation(0)), 0);
    let drained = daemon.drained().await;
    assert!(drained.events >= 400, "{drained:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_was_interrupted_is_continued_and_two_at_once_are_refused() {
    let mut world = World::new(61).await;
    world.write(300).await;
    let first = rebuild(&world);
    let outlook = first.outlook().await.unwrap();
    assert_eq!((outlook.from, outlook.to, outlook.resumes), (Generation(0), Generation(1), false));
    assert!(outlook.events >= 300 && outlook.dropped == 0, "{outlook:?}");
    assert_eq!(stored(&world, Generation(1)), 0);
    let drain = Drain::new();
    let (ours, second) = (drain.clone(), rebuild(&world));
    let task = tokio::spawn(async move { first.run(&ours, &mut |_| {}).await });
    eventually_async(BOUND, async || stored(&world, Generation(1)) > 0).await;
    let refused = second.run(&Drain::new(), &mut |_| {}).await.unwrap_err();
    assert!(matches!(refused, RebuildError::Busy), "{refused}");
    drain.start();
    let interrupted = task.await.unwrap();
    assert!(matches!(interrupted, Err(RebuildError::Interrupted)), "{interrupted:?}");
    assert_eq!(serving(&world).await, Generation(0));
    assert!(second.outlook().await.unwrap().resumes);
    // A state may mean something else to another program: what that has begun is left alone.
    let key = format!("{}building", world.config.redis.key_prefix);
    let redis = &world.stack.redis;
    assert!(redis.command(&format!("COPY {key} kept")).starts_with(":1"));
    for foreign in ["1", "1 0.0.0 users=1 items=1"] {
        assert!(redis.command(&format!("SET {key} \"{foreign}\"")).starts_with("+OK"));
        let outlook = second.outlook().await.unwrap();
        assert_eq!((outlook.to, outlook.resumes), (Generation(2), false), "{foreign}");
    }
    assert!(redis.command(&format!("RENAME kept {key}")).starts_with("+OK"));
    let keeping = Rebuild { keeps_old: true, ..second };
    let rebuilt = keeping.run(&Drain::new(), &mut |_| {}).await.unwrap();
    assert!(rebuilt.outlook.resumes && rebuilt.removed.is_none(), "{rebuilt:?}");
    assert_eq!(rebuilt.outlook.to, Generation(1));
    let found = oracle::report(&world).await;
    assert!(found.is_clean() && found.users.states.checked > 20, "{found:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn signals_of_an_abandoned_generation_are_not_heard_again() {
    let mut world = World::new(62).await;
    world.write(200).await;
    let rebuild = Rebuild { keeps_old: true, ..rebuild(&world) };
    rebuild.run(&Drain::new(), &mut |_| {}).await.unwrap();
    // The store forgets everything; the log of the first generation's signals stands.
    assert!(world.stack.redis.command("FLUSHALL").starts_with("+OK"));
    let outlook = rebuild.outlook().await.unwrap();
    assert_eq!((outlook.from, outlook.to), (Generation(0), Generation(2)));
}

#[tokio::test(flavor = "multi_thread")]
async fn old_states_stay_while_somebody_answers_from_them() {
    let mut world = World::new(63).await;
    let daemon = world.start();
    world.write(200).await;
    world.settled().await;
    daemon.drained().await;
    let generations = generations(&world);
    let keeping = Rebuild { keeps_old: true, ..rebuild(&world) };
    keeping.run(&Drain::new(), &mut |_| {}).await.unwrap();
    assert!(stored(&world, Generation(0)) > 20);
    eventually_async(BOUND, async || generations.report("r", Generation(0)).await.is_ok()).await;
    let sweeping = rebuild(&world);
    let has_waited = AtomicBool::new(false);
    let mut tell = |now: upnext_features::rebuild::Progress| {
        has_waited.fetch_or(now.phase == Phase::Waiting, Ordering::AcqRel);
    };
    let swept = async { sweeping.remove_old(&mut tell).await };
    let moving = async {
        eventually_async(BOUND, async || has_waited.load(Ordering::Acquire)).await;
        assert!(stored(&world, Generation(0)) > 20);
        generations.report("r", Generation(1)).await.unwrap();
    };
    let (swept, ()) = tokio::join!(swept, moving);
    assert!(swept.unwrap() > Some(20));
    assert_eq!(stored(&world, Generation(0)), 0);
    assert!(oracle::report(&world).await.is_clean());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_retention_drops_before_it_is_read_is_noticed() {
    let mut world = World::new(64).await;
    world.write(200).await;
    // The builder waits for it, and so reads nothing yet.
    let address = world.stack.stop_registry().await;
    let rebuild = rebuild(&world);
    let has_begun = AtomicBool::new(false);
    let mut tell = |_: upnext_features::rebuild::Progress| has_begun.store(true, Ordering::Release);
    let drain = Drain::new();
    let running = async {
        let noticed = tokio::time::timeout(BOUND, rebuild.run(&drain, &mut tell)).await;
        noticed.expect("it is noticed while nothing is read")
    };
    let dropping = async {
        eventually_async(BOUND, async || has_begun.load(Ordering::Acquire)).await;
        let (brokers, valid) = (world.stack.brokers(), world.topic(Topic::Valid));
        admin::delete_records(&brokers, (&valid, 0), 30).await.expect("they can be deleted");
    };
    let (refused, ()) = tokio::join!(running, dropping);
    let refused = refused.unwrap_err();
    assert!(matches!(refused, RebuildError::Outrun { dropped: 30, .. }), "{refused}");
    assert_eq!(serving(&world).await, Generation(0));
    // It is not continued either.
    assert!(!rebuild.outlook().await.unwrap().resumes);
    world.stack.resume_registry(address).await;
    let refused = rebuild.run(&Drain::new(), &mut |_| {}).await.unwrap_err();
    assert!(matches!(refused, RebuildError::Truncated { dropped: 30 }), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn partitions_added_in_place_are_refused_and_a_topic_made_anew_is_not() {
    let mut world = World::grouped(65, 2).await;
    let daemon = world.start();
    world.write(100).await;
    world.settled().await;
    daemon.drained().await;
    let (brokers, valid) = (world.stack.brokers(), world.topic(Topic::Valid));
    admin::add_partitions(&brokers, &valid, 3).await.expect("they can be added");
    let rebuild = Rebuild { keeps_old: true, ..rebuild(&world) };
    for refused in [
        rebuild.outlook().await.unwrap_err(),
        rebuild.run(&Drain::new(), &mut |_| {}).await.unwrap_err(),
    ] {
        let counted = matches!(refused, RebuildError::Repartitioned { before: 2, now: 3, .. });
        assert!(counted && !refused.fault().may_retry(), "{refused}");
    }
    assert_eq!(serving(&world).await, Generation(0));
    world.config.kafka.partitions = 3;
    make_anew(&world, Topic::Valid).await;
    world.forget_raw();
    world.write(60).await;
    let rebuild = Rebuild { keeps_old: true, ..self::rebuild(&world) };
    rebuild.run(&Drain::new(), &mut |_| {}).await.unwrap();
    assert_eq!(serving(&world).await, Generation(1));
}

/// A generation that serves, and all states of the one before, which nobody reads.
async fn two_generations(seed: u64) -> (World, Rebuild) {
    let mut world = World::new(seed).await;
    let daemon = world.start();
    world.write(200).await;
    world.settled().await;
    daemon.drained().await;
    let keeping = Rebuild { keeps_old: true, ..rebuild(&world) };
    keeping.run(&Drain::new(), &mut |_| {}).await.expect("nothing stands in the way");
    let sweeping = rebuild(&world);
    (world, sweeping)
}

#[tokio::test(flavor = "multi_thread")]
async fn not_one_state_more_goes_once_the_store_points_back_to_them() {
    let (world, sweeping) = two_generations(66).await;
    let before = stored(&world, Generation(0));
    let mut left = None;
    let mut tell = |now: upnext_features::rebuild::Progress| {
        // Users are gone; then the store loses its newest write, the pointer.
        if now.phase == Phase::Removing && left.is_none() {
            assert!(world.stack.redis.command("DEL upnext:generation").starts_with(":1"));
            left = Some(stored(&world, Generation(0)));
        }
    };
    let swept = sweeping.remove_old(&mut tell).await;
    let serving = Generation(0);
    assert!(
        matches!(swept, Err(RebuildError::Overtaken { serving: told }) if told == serving),
        "{swept:?}"
    );
    let left = left.expect("something was removed");
    assert!(left > 0 && left < before, "{left} of {before}");
    assert_eq!(stored(&world, Generation(0)), left);
    // What is left is not vouched for: the daemon begins again, and all of it is right.
    let daemon = world.start();
    world.settled().await;
    assert!(oracle::report(&world).await.is_clean());
    daemon.drained().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watermark_of_a_late_worker_does_not_vouch_for_states_that_are_gone() {
    let (world, sweeping) = two_generations(67).await;
    let mut tell = |now: upnext_features::rebuild::Progress| {
        if now.phase == Phase::Removing {
            let put = world.stack.redis.command("SET upnext:w:users:0 \"0 100\"");
            assert!(put.starts_with("+OK"));
        }
    };
    assert!(sweeping.remove_old(&mut tell).await.unwrap() > Some(20));
    assert_eq!(stored(&world, Generation(0)), 0);
    assert!(world.stack.redis.command("DEL upnext:generation").starts_with(":1"));
    let daemon = world.start();
    world.settled().await;
    assert!(oracle::report(&world).await.is_clean());
    daemon.drained().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_daemon_says_which_states_it_works_on() {
    let mut world = World::new(66).await;
    let daemon = world.start();
    world.write(200).await;
    let generations = generations(&world);
    let says = async |number| {
        eventually_async(BOUND, async || {
            generations.reported().await.is_ok_and(|said| said == [Generation(number)])
        })
        .await;
    };
    says(0).await;
    rebuild(&world).run(&Drain::new(), &mut |_| {}).await.unwrap();
    says(1).await;
    daemon.drained().await;
}
