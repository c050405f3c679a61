//! The loop: events go in, the next answer is different, the answer is logged.

use serde_json::{Value, json};
use upnext_common::clock::Clock;
use upnext_common::config;
use upnext_common::decision::Decision;
use upnext_contract::{Decoder, RegistryClient};
use upnext_kafka::tail::read_all;
use upnext_testkit::{eventually_async, wait_for};

use crate::client::Client;
use crate::stack::{BOUND, Stack};

fn catalogue() -> Value {
    let item = |n: usize| {
        let category = ["tea", "mugs", "spoons"][n % 3];
        json!({
            "item_id": format!("i{n:02}"), "title": format!("Item {n}"), "category": category,
            "price": 1.0 + n as f64, "attributes": {"colour": if n < 15 { "red" } else { "blue" }},
        })
    };
    json!({"items": (0..30).map(item).collect::<Vec<_>>()})
}

fn click(anonymous: &str, item: &str) -> Value {
    json!({"type": "ItemClicked", "anonymous_id": anonymous, "session_id": format!("s-{anonymous}"),
        "item_id": item, "surface": "home"})
}

async fn click_all(client: &Client, anonymous: &str, items: &[&str]) {
    let events: Vec<Value> = items.iter().map(|item| click(anonymous, item)).collect();
    let reply = client.post("/v1/events?wait=visible", &json!({"events": events})).await;
    assert_eq!((reply.status, &reply.body["accepted"]), (202, &json!(items.len())), "{reply:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn events_change_the_next_answer() {
    let mut stack = Stack::start().await;
    stack.with_daemons();
    let served = stack.serve(stack.config()).await;
    let client = served.client.clone();

    let reply = client.post("/v1/items:batch?wait=indexed", &catalogue()).await;
    assert_eq!((reply.status, &reply.body["offset"]), (200, &json!(29)), "{reply:?}");
    let cold = client.ask(&json!({"anonymous_id": "ann", "k": 5}), &[]).await;
    assert_eq!((cold.status, cold.tier()), (200, "trending"), "{cold:?}");
    assert_eq!(cold.reasons(), ["model_unavailable", "cold_user"]);
    assert_eq!(cold.body["features_as_of_ms"], Value::Null);

    // Others go from i00 on to i03; then ann clicks i00.
    for other in ["bob", "cid", "dan"] {
        click_all(&client, other, &["i00", "i03", "i06"]).await;
    }
    click_all(&client, "ann", &["i00"]).await;
    let warm = client
        .ask(
            &json!({"anonymous_id": "ann", "session_id": "s-ann", "k": 5, "fields": ["category"]}),
            &[],
        )
        .await;
    assert_eq!((warm.tier(), warm.reasons()), ("session", vec!["model_unavailable"]), "{warm:?}");
    assert_eq!(warm.ids()[0], "i03");
    assert_eq!(warm.body["items"][0]["meta"], json!({"category": "tea"}));
    assert_ne!(warm.ids(), cold.ids());
    assert!(!warm.ids().contains(&"i00"), "the item in view does not come again");
    assert!(warm.body["degraded"].as_bool().unwrap());
    assert!(warm.body["features_as_of_ms"].as_i64().is_some());
    assert!(warm.header("server-timing").unwrap().contains("total;dur="));
    assert!(warm.header("x-request-id").is_some());

    other_calls_answer_in_the_same_shape(&client).await;
    hides_hold_on_the_next_request(&client).await;
    merged_users_and_features(&client).await;
    let decision_id = warm.body["decision_id"].as_str().unwrap().to_owned();
    decisions_are_on_the_log(&stack, &decision_id).await;
    assert_eq!(served.metrics.decisions_dropped.get(), 0);
    served.stop().await;
    stack.stop().await;
}

async fn other_calls_answer_in_the_same_shape(client: &Client) {
    let similar = client.get("/v1/items/i00/similar?k=3").await;
    assert_eq!((similar.status, similar.ids()[0]), (200, "i03"), "{similar:?}");
    assert_eq!((similar.tier(), &similar.body["degraded"]), ("session", &json!(false)));
    let trending = client.get("/v1/trending?category=tea&k=4").await;
    assert_eq!((trending.tier(), trending.ids().len()), ("trending", 4), "{trending:?}");
    assert_eq!(trending.ids()[0], "i00");
    assert_eq!(trending.body["degraded"], json!(false));
    let rank =
        json!({"items": ["i20", "i03", "i10"], "anonymous_id": "ann", "session_id": "s-ann"});
    let rank = client.post("/v1/rank", &rank).await;
    assert_eq!((rank.ids().len(), rank.ids()[0]), (3, "i03"), "{rank:?}");
    let known = client.get("/v1/recommendations/nobody?k=2&anonymous_id=ann").await;
    assert_eq!((known.tier(), known.ids().len()), ("session", 2), "{known:?}");
    let forced = client.ask(&json!({}), &[("x-upnext-tier", "static")]).await;
    assert_eq!((forced.tier(), forced.reasons()), ("static", vec!["forced"]), "{forced:?}");
    let seeded = client.ask(&json!({"seed_items": ["i00"], "k": 1}), &[]).await;
    assert_eq!((seeded.tier(), seeded.ids()), ("session", vec!["i03"]), "{seeded:?}");
    let late = client.ask(&json!({"k": 3}), &[("x-upnext-deadline-ms", "0")]).await;
    assert_eq!((late.status, late.tier()), (200, "trending"));
    assert_eq!((late.reasons().last(), late.ids().len()), (Some(&"deadline"), 3), "{late:?}");
}

async fn hides_hold_on_the_next_request(client: &Client) {
    let ask = json!({"seed_items": ["i00"], "k": 30});
    for (action, is_there) in [("hide", false), ("show", true)] {
        let reply = client.send("POST", &format!("/v1/items/i03:{action}"), &[], "").await;
        assert_eq!(reply.status, 202, "{reply:?}");
        for tier in ["session", "trending", "static"] {
            let answer = client.ask(&ask, &[("x-upnext-tier", tier)]).await;
            assert_eq!(answer.ids().contains(&"i03"), is_there, "{action} {tier}");
        }
        let hidden = client.get("/v1/items/i03").await;
        assert_eq!(hidden.body["hidden"], json!(!is_there));
        assert_eq!(hidden.body["title"], "Item 3", "hiding keeps the facts");
    }
    let patch = r#"{"price": 9.5, "title": null}"#;
    let reply = client.send("PATCH", "/v1/items/i03?wait=indexed", &[], patch).await;
    assert_eq!(reply.status, 200, "{reply:?}");
    let patched = client.get("/v1/items/i03").await;
    assert_eq!((&patched.body["price"], patched.body.get("title")), (&json!(9.5), None));
    let reply = client.send("DELETE", "/v1/items/i03", &[], "").await;
    assert_eq!(reply.status, 202, "{reply:?}");
    assert_eq!(client.get("/v1/items/i03").await.status, 404);
    assert_eq!(client.get("/v1/items/i03/similar").await.status, 404);
    assert!(!client.ask(&ask, &[]).await.ids().contains(&"i03"));
    let reply = client.put("/v1/items/i03?wait=indexed", &json!({"category": "tea"})).await;
    assert_eq!(reply.status, 200, "{reply:?}");
    assert!(client.ask(&ask, &[]).await.ids().contains(&"i03"), "what is put again is back");
}

async fn merged_users_and_features(client: &Client) {
    let stranger = client.get("/v1/users/zoe/features").await;
    assert_eq!((stranger.status, &stranger.body["known"]), (200, &json!(false)));
    let lines = "{\"type\":\"ItemViewed\",\"user_id\":\"zoe\",\"item_id\":\"i01\",\"session_id\":\"z\"}\n\
                 {\"type\":\"ItemHidden\",\"user_id\":\"zoe\",\"item_id\":\"i02\",\"session_id\":\"z\"}\n\
                 not json\n";
    let kind = [("content-type", "application/x-ndjson")];
    let reply = client.send("POST", "/v1/events?wait=visible", &kind, lines).await;
    assert_eq!((reply.status, &reply.body["accepted"]), (202, &json!(2)), "{reply:?}");
    assert_eq!(reply.body["rejected"][0]["index"], 2);
    let features = client.get("/v1/users/zoe/features").await;
    assert_eq!(features.body["known"], true, "{features:?}");
    assert_eq!(features.body["windows"]["5m"], json!({"view": 1, "hide": 1}));
    assert_eq!(features.body["tastes"], json!({"mugs": 1.0}));
    assert_eq!(features.body["recent"].as_array().map(Vec::len), Some(2));
    let answer = client.ask(&json!({"user_id": "zoe", "k": 30}), &[]).await;
    assert!(!answer.ids().contains(&"i02"), "what zoe hid does not come");
    let dry = client.send("DELETE", "/v1/users/zoe?dry_run=true", &[], "").await;
    assert_eq!((dry.status, &dry.body["known"]), (200, &json!(true)), "{dry:?}");
    let erased = client.send("DELETE", "/v1/users/zoe", &[], "").await;
    assert_eq!(erased.status, 202, "{erased:?}");
    eventually_async(BOUND, async || {
        client.get("/v1/users/zoe/features").await.body["known"] == json!(false)
    })
    .await;
}

async fn decisions_are_on_the_log(stack: &Stack, decision_id: &str) {
    let registry =
        RegistryClient::new(&stack.registry_url, &config::Registry::default(), Clock::system());
    let decoder = Decoder::new(std::sync::Arc::new(registry.unwrap()));
    let decision: Decision = wait_for(BOUND, async || {
        let mut values = Vec::new();
        let brokers = stack.brokers.clone();
        let read = tokio::task::block_in_place(|| {
            read_all(&brokers, "upnext.decisions.v1", &mut |record| values.extend(record.value))
        });
        read.unwrap();
        for value in values {
            let decision = decoder.decision(&value).await.unwrap();
            if decision.decision_id == decision_id {
                return Some(decision);
            }
        }
        None
    })
    .await;
    assert_eq!(decision.anonymous_id.as_deref(), Some("ann"));
    let query: Value = serde_json::from_str(&decision.query).unwrap();
    assert_eq!((&query["call"], &query["k"]), (&json!("recommendations"), &json!(5)));
    assert_eq!(decision.candidates.iter().filter(|one| one.rank > 0).count(), 5);
    assert!(!decision.user_state.is_empty());
}
