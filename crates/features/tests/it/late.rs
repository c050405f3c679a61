//! What comes too late for its user's windows becomes a dead letter, at the position of its raw record.

use std::collections::BTreeMap;

use bytes::Bytes;
use upnext_common::drain::Drain;
use upnext_common::event::{Device, Event, EventBody};
use upnext_common::metrics::{EventLabels, StageLabels};
use upnext_common::topic::Topic;
use upnext_contract::Decoder;
use upnext_contract::letter::said;
use upnext_features::rebuild::Rebuild;
use upnext_kafka::{Record, admin, tail};

use crate::rebuild::rebuild;
use crate::verify::verify;
use crate::world::World;

const NOW_MS: i64 = 1_750_000_000_000;
const THREE_DAYS_MS: i64 = 3 * 24 * 3_600_000;

fn event(user: usize, event_time_ms: i64, body: EventBody) -> (Event, i64) {
    let event = Event {
        event_id: format!("{user}-{event_time_ms}"),
        event_time_ms,
        user_id: Some(format!("late-{user}")),
        anonymous_id: None,
        session_id: "s".to_owned(),
        surface: "home".to_owned(),
        decision_id: None,
        device: Device::Tv,
        props: BTreeMap::new(),
        body,
    };
    (event, NOW_MS)
}

/// Of each user a click now, an impression three days before it, which no window holds, and another click.
fn happenings(users: std::ops::Range<usize>) -> Vec<(Event, i64)> {
    let click =
        |user, time_ms| event(user, time_ms, EventBody::ItemClicked { item_id: "i".to_owned() });
    let shown = || EventBody::ItemsShown { item_ids: vec!["i".to_owned()] };
    let three = |user| {
        [click(user, NOW_MS - 9), event(user, NOW_MS - THREE_DAYS_MS, shown()), click(user, NOW_MS)]
    };
    users.flat_map(three).collect()
}

fn letters(world: &World) -> Vec<Record> {
    let mut found = Vec::new();
    let (brokers, topic) = (world.stack.brokers(), world.topic(Topic::DeadLetters));
    tokio::task::block_in_place(|| {
        tail::read_all(&brokers, &topic, &mut |record| found.push(record))
            .expect("letters are read");
    });
    found
}

/// How often each position of a raw record stands among the dead letters.
fn positions(letters: &[Record]) -> BTreeMap<(String, String), u64> {
    let mut found = BTreeMap::new();
    for letter in letters {
        let text = |name| said(&letter.headers, name).expect("it says where").to_owned();
        *found.entry((text("partition"), text("offset"))).or_default() += 1;
    }
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_too_late_is_a_dead_letter_once() {
    let mut world = World::new(21).await;
    let daemon = world.start();
    world.write_all(happenings(0..10)).await;
    world.settled().await;
    daemon.drained().await;
    let found = letters(&world);
    assert_eq!(found.len(), 10);
    assert!(positions(&found).values().all(|count| *count == 1));
    let decoder = Decoder::new(std::sync::Arc::clone(&world.client));
    for letter in &found {
        let says = |name| said(&letter.headers, name).unwrap();
        assert_eq!((says("reason"), says("stage")), ("late", "stream"));
        assert_eq!((says("topic"), says("attempt")), ("upnext.events.v1", "1"));
        assert_eq!(letter.timestamp_ms, NOW_MS);
        let event = decoder.event(letter.value.as_deref().unwrap()).await.unwrap();
        assert_eq!(event.event_time_ms, NOW_MS - THREE_DAYS_MS);
        assert_eq!(letter.key.as_deref(), event.key().map(str::as_bytes));
    }
    let labels = EventLabels { verdict: "rejected", reason: "late" };
    assert_eq!(world.metrics.events.get_or_create(&labels).get(), 10);
    // What stands before the watermark is not told again.
    let again = world.start();
    world.settled().await;
    again.drained().await;
    assert_eq!(letters(&world).len(), 10);
    verify(&world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn kills_and_losses_repeat_positions_and_lose_none() {
    let mut world = World::new(22).await;
    world.config.features.flush_events_max = 5;
    for round in 0..6 {
        world.write_all(happenings(round * 20..(round + 1) * 20)).await;
        let daemon = world.start();
        let records = 1 + world.crowd.die.roll(50);
        world.advanced(i64::try_from(records).unwrap()).await;
        if round % 2 == 0 {
            world.stack.redis.restart_losing(world.crowd.die.roll(1 << 12));
        }
        daemon.killed().await;
    }
    let daemon = world.start();
    world.settled().await;
    daemon.drained().await;
    let found = positions(&letters(&world));
    assert_eq!(found.len(), 120, "every late event, and nothing else");
    verify(&world).await;
}

/// Characters that no compression makes less than half of.
fn noise(world: &mut World, count: usize) -> String {
    let mut one = || char::from(b'0' + u8::try_from(world.crowd.die.roll(64)).unwrap_or_default());
    (0..count).map(|_| one()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_letter_that_the_topic_does_not_take_goes_with_less() {
    let mut world = World::new(23).await;
    // Room for the reason and the position of one letter, not for its value; batches are not compressible.
    let (brokers, topic) = (world.stack.brokers(), world.topic(Topic::DeadLetters));
    admin::set_batch_bytes_max(&brokers, &topic, 2_000).await.unwrap();
    let mut long = happenings(0..10);
    for (event, _) in &mut long {
        event.props.insert("note".to_owned(), noise(&mut world, 4_000));
    }
    let header = |text: String| vec![("trace".to_owned(), Some(Bytes::from(text)))];
    world.headers = header(noise(&mut world, 100));
    world.write_all(long).await;
    world.headers = header(noise(&mut world, 8_000));
    world.write_all(happenings(10..20)).await;
    let daemon = world.start();
    world.settled().await;
    daemon.drained().await;
    let found = letters(&world);
    assert!(positions(&found).values().all(|count| *count == 1));
    assert_eq!(found.len(), 20);
    assert!(found.iter().all(|letter| letter.key.is_some() && letter.value.is_none()));
    let traced = |letter: &&Record| letter.header("trace").is_some();
    assert_eq!(found.iter().filter(traced).count(), 10);
    let resets = &world.metrics.state_resets;
    assert_eq!(resets.get_or_create(&StageLabels { stage: "users" }).get(), 0, "none began again");
    verify(&world).await;
}

/// Nobody counts for the old state any more: what comes too late is the rebuild's to tell, and no more than that.
#[tokio::test(flavor = "multi_thread")]
async fn a_rebuild_tells_what_the_old_daemons_have_not() {
    let mut world = World::grouped(24, 2).await;
    let daemon = world.start();
    world.write_all(happenings(0..10)).await;
    world.settled().await;
    daemon.drained().await;
    assert_eq!(letters(&world).len(), 10);
    world.write_all(happenings(10..30)).await;
    // Laid out otherwise: the old state is asked as it was laid out.
    world.config.redis.key_groups = 3;
    let rebuild = Rebuild { keeps_old: true, ..rebuild(&world) };
    rebuild.run(&Drain::new(), &mut |_| {}).await.unwrap();
    let found = letters(&world);
    assert!(positions(&found).values().all(|count| *count == 1));
    assert_eq!(found.len(), 30);
}
