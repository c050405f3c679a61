//! What answers do when something behind them does not.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::{Value, json};
use upnext_testkit::{eventually_async, wait_for};

use crate::stack::{BOUND, Served, Stack};

async fn known_user(served: &Served) {
    let items: Vec<_> = (0..6).map(|n| json!({"item_id": format!("i{n}")})).collect();
    let reply = served.client.post("/v1/items:batch?wait=indexed", &json!({"items": items})).await;
    assert_eq!(reply.status, 200, "{reply:?}");
    let click =
        json!({"type": "ItemClicked", "user_id": "ann", "item_id": "i1", "session_id": "s"});
    let reply = served.client.post("/v1/events?wait=visible", &json!({"events": [click]})).await;
    assert_eq!(reply.status, 202, "{reply:?}");
}

async fn is_personal(served: &Served) -> bool {
    let answer = served.client.ask(&json!({"user_id": "ann", "session_id": "s"}), &[]).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.tier() == "session" && answer.body["features_as_of_ms"].is_i64()
}

/// Asks until the answers say why they are not personal; every one of them is a 200.
async fn reasons_meanwhile(served: &Served, until: &str) -> BTreeSet<String> {
    let mut reasons = BTreeSet::new();
    wait_for(BOUND, async || {
        let answer = served.client.ask(&json!({"user_id": "ann", "k": 3}), &[]).await;
        assert_eq!((answer.status, answer.tier(), answer.ids().len()), (200, "trending", 3));
        assert!(answer.body["degraded"].as_bool().unwrap(), "{answer:?}");
        reasons.insert(answer.reasons()[0].to_owned());
        reasons.contains(until).then_some(())
    })
    .await;
    reasons
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frozen_or_dead_store_never_fails_an_answer() {
    let mut stack = Stack::start().await;
    stack.with_daemons();
    let mut config = stack.config();
    config.redis.read_timeout_ms = 50;
    let served = stack.serve(config).await;
    known_user(&served).await;
    eventually_async(BOUND, async || is_personal(&served).await).await;

    stack.parts.redis.stop_signal();
    let frozen = reasons_meanwhile(&served, "breaker_open").await;
    assert!(frozen.contains("features_timeout"), "{frozen:?}");
    // The seeds of the request still carry an answer of this session.
    let seeded = served.client.ask(&json!({"user_id": "ann", "seed_items": ["i2"]}), &[]).await;
    assert_eq!((seeded.status, seeded.tier()), (200, "session"), "{seeded:?}");
    let features = served.client.get("/v1/users/ann/features").await;
    assert_eq!((features.status, &features.body["code"]), (503, &json!("features_unavailable")));
    assert!(served.health.is_ready(), "a store that is away makes nobody unready");
    stack.parts.redis.cont_signal();
    eventually_async(BOUND, async || is_personal(&served).await).await;

    stack.parts.redis.kill();
    let dead = reasons_meanwhile(&served, "features_unavailable").await;
    assert!(!dead.contains("deadline"), "{dead:?}");
    // An erasure is an event: it is taken, and what is held cannot be said.
    let erased = served.client.send("DELETE", "/v1/users/bob", &[], "").await;
    assert_eq!((erased.status, &erased.body["known"]), (202, &Value::Null), "{erased:?}");
    assert!(erased.body["held"].is_null() && erased.body["event_id"].is_string(), "{erased:?}");
    let dry = served.client.send("DELETE", "/v1/users/bob?dry_run=true", &[], "").await;
    assert_eq!((dry.status, &dry.body["code"]), (503, &json!("features_unavailable")), "{dry:?}");
    stack.parts.redis.restart();
    eventually_async(BOUND, async || is_personal(&served).await).await;
    served.stop().await;
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_broker_refuses_writes_and_fails_no_answer() {
    let mut stack = Stack::start().await;
    let served = stack.serve(stack.config()).await;
    let reply = served.client.put("/v1/items/i1?wait=indexed", &json!({})).await;
    assert_eq!(reply.status, 200, "{reply:?}");
    let address = stack.parts.stop_broker().await;
    let click =
        json!({"type": "ItemClicked", "user_id": "ann", "item_id": "i1", "session_id": "s"});
    let reply = served.client.post("/v1/events", &json!({"events": [click]})).await;
    assert_eq!((reply.status, &reply.body["code"]), (503, &json!("log_unavailable")), "{reply:?}");
    let answer = served.client.ask(&json!({"k": 1}), &[]).await;
    assert_eq!((answer.status, answer.ids()), (200, vec!["i1"]));
    stack.parts.resume_broker(address).await;
    eventually_async(BOUND, async || {
        served.client.put("/v1/items/i2?wait=indexed", &json!({})).await.status == 200
    })
    .await;
    served.stop().await;
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn at_overload_every_request_is_answered_from_the_ladder() {
    let stack = Stack::start().await;
    let mut config = stack.config();
    config.serve.compute_threads = 1;
    config.serve.compute_queue_max = 1;
    let served = stack.serve(config).await;
    let items: Vec<_> = (0..500).map(|n| json!({"item_id": format!("i{n}")})).collect();
    let reply = served.client.post("/v1/items:batch?wait=indexed", &json!({"items": items})).await;
    assert_eq!(reply.status, 200, "{reply:?}");
    // Trending lists are made beforehand, now and then.
    eventually_async(BOUND, async || {
        served.client.get("/v1/trending?k=200").await.ids().len() == 200
    })
    .await;
    let mut shed = 0;
    while shed == 0 {
        let body = json!({"seed_items": ["i1"], "k": 200});
        let asks = (0..64).map(|_| served.client.ask(&body, &[]));
        for answer in futures::future::join_all(asks).await {
            assert_eq!((answer.status, answer.ids().len()), (200, 200), "{answer:?}");
            shed += usize::from(answer.reasons().contains(&"overload"));
        }
    }
    served.stop().await;
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn events_written_while_nobody_counts_are_not_visible() {
    let stack = Stack::start().await;
    let served = stack.serve(stack.config()).await;
    let click =
        json!({"type": "ItemClicked", "user_id": "ann", "item_id": "i1", "session_id": "s"});
    let body = json!({"events": [click]});
    let waiting = served.client.post("/v1/events?wait=visible", &body);
    let reply = tokio::time::timeout(Duration::from_secs(30), waiting).await.unwrap();
    assert_eq!((reply.status, &reply.body["code"]), (504, &json!("not_visible")), "{reply:?}");
    served.stop().await;
    stack.stop().await;
}
