//! Generations of state come and go: what is read is said, and nothing is made of two of them.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use serde_json::json;
use upnext_common::clock::Clock;
use upnext_common::config;
use upnext_common::event::EventType;
use upnext_common::generation::Generation;
use upnext_common::item::ItemHash;
use upnext_common::topic::Topic;
use upnext_kafka::admin;
use upnext_state::{ItemState, Position, Signal, What};
use upnext_store::{Generations, Keys};
use upnext_testkit::{eventually_async, wait_for};

use crate::stack::{BOUND, Served, Stack};

fn generations(stack: &Stack) -> Generations {
    Generations::connect(&stack.parts.redis_url(), &config::Redis::default()).unwrap()
}

/// Puts an item that was looked at into a generation.
fn put_item(stack: &Stack, generation: Generation, item_id: &str) {
    let (item, time_ms) = (ItemHash::of(item_id), Clock::system().now_ms());
    let mut state = ItemState::new();
    for next_index in 0..50 {
        let (item_id, kind) = (item_id.into(), EventType::ItemViewed);
        let what = What::Count { item_id, kind, is_repeat: false, opens_session: true };
        let signal = Signal { item, time_ms, what };
        state.apply(&signal, Position { next_index, ..Position::default() });
    }
    let keys = Keys::new(&generation.key_prefix("upnext:"));
    let mut blob = String::new();
    for byte in state.encode() {
        write!(blob, "\\x{byte:02x}").unwrap();
    }
    command(stack, &format!("SET {} \"{blob}\"", keys.item(item)));
    // As the daemon of that generation has left it.
    command(stack, &format!("SET {} \"groups=1 valid=2 signals=2\"", keys.layout()));
}

fn command(stack: &Stack, line: &str) {
    let told = stack.parts.redis.command(line);
    assert!(told.starts_with("+OK") || told.starts_with(':'), "{line}: {told}");
}

async fn trending(served: &Served) -> Vec<String> {
    let answer = served.client.get("/v1/trending?k=10").await;
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.ids().into_iter().map(str::to_owned).collect()
}

async fn is_reported(generations: &Generations, generation: Generation) -> bool {
    generations.reported().await.is_ok_and(|read| read.contains(&generation))
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_read_is_said_while_a_generation_is_loaded() {
    let stack = Stack::start().await;
    // Loading it is tried again and again, for ten seconds each time.
    command(&stack, "SET upnext:generation 1");
    command(&stack, "SET upnext:1:changed x");
    let running = stack.serve_with(stack.config()).start().await.unwrap();
    let generations = generations(&stack);
    eventually_async(BOUND, async || is_reported(&generations, Generation(0)).await).await;
    // Were it said once a load, this would take a minute.
    let said_again = async {
        for _ in 0..6 {
            command(&stack, "DEL upnext:serving");
            eventually_async(BOUND, async || is_reported(&generations, Generation(0)).await).await;
        }
    };
    tokio::time::timeout(BOUND / 2, said_again).await.expect("it was not said for long");
    stack.drain.start();
    running.finished().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_generation_serves_until_the_one_before_knows_as_much() {
    let mut stack = Stack::start().await;
    command(&stack, "SET upnext:generation 1");
    put_item(&stack, Generation(1), "newer");
    // What the generation before has is of long ago: the log says more.
    put_item(&stack, Generation(0), "older");
    let served = stack.serve(stack.config()).await;
    assert_eq!(trending(&served).await, ["newer"]);
    stack.with_ingest();
    let click =
        json!({"type": "ItemClicked", "user_id": "ann", "item_id": "told", "session_id": "s"});
    let reply = served.client.post("/v1/events", &json!({"events": [click]})).await;
    assert_eq!(reply.status, 202, "{reply:?}");
    let valid = Topic::Valid.name(&stack.config().kafka.topic_prefix);
    eventually_async(BOUND, async || {
        let ends = admin::end_offsets(&stack.brokers, &valid).await;
        ends.is_ok_and(|ends| ends.iter().sum::<i64>() > 0)
    })
    .await;

    command(&stack, "DEL upnext:generation");
    let is_loading = || served.health.checks()["item_states"].detail.contains("0 is loaded");
    eventually_async(BOUND, async || is_loading()).await;
    assert_eq!(trending(&served).await, ["newer"]);
    stack.with_features();
    let mut seen = BTreeSet::new();
    let made = wait_for(BOUND, async || {
        let found: BTreeSet<String> = trending(&served).await.into_iter().collect();
        seen.insert((found.contains("newer"), found.contains("older")));
        found.contains("told").then_some(found)
    })
    .await;
    assert_eq!(made.into_iter().collect::<Vec<_>>(), ["older", "told"]);
    assert!(!seen.contains(&(true, true)), "{seen:?}");
    assert!(!seen.contains(&(false, false)), "{seen:?}");
    served.stop().await;
    stack.stop().await;
}
