//! What is refused, how, and where the caller is told to look.

use serde_json::json;

use crate::client::{Client, Reply};
use crate::stack::Stack;

#[track_caller]
fn check(reply: &Reply, status: u16, code: &str, pointer: Option<&str>) {
    assert_eq!(reply.status, status, "{reply:?}");
    assert_eq!(reply.header("content-type"), Some("application/problem+json"), "{reply:?}");
    assert_eq!(reply.body["code"], code, "{reply:?}");
    assert_eq!(reply.body["request_id"].as_str(), reply.header("x-request-id"), "{reply:?}");
    let found = reply.body["errors"][0]["pointer"].as_str();
    assert_eq!(found, pointer, "{reply:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn refusals_name_what_is_wrong() {
    let stack = Stack::start().await;
    let mut config = stack.config();
    config.serve.allow_as_of = false;
    config.serve.body_bytes_max = 20_000;
    let served = stack.serve(config).await;
    bad_questions(&served.client).await;
    bad_events(&served.client).await;
    bad_items(&served.client).await;
    what_is_for_evaluation_is_not_honoured(&served.client).await;
    the_description_and_its_page_are_served(&served.client).await;
    served.stop().await;
    stack.stop().await;
}

async fn bad_questions(client: &Client) {
    let ask = async |body: &str| client.send("POST", "/v1/recommendations", &[], body).await;
    check(&ask("{").await, 400, "malformed_json", None);
    check(&ask(r#"{"user": "a"}"#).await, 400, "unknown_field", Some("/user"));
    check(&ask(r#"{"k": "ten"}"#).await, 400, "invalid_field", Some("/k"));
    check(&ask(r#"{"k": 201}"#).await, 400, "invalid_request", Some("/k"));
    let filters = r#"{"filters": {"colour": "red"}}"#;
    check(&ask(filters).await, 400, "unknown_field", Some("/filters/colour"));
    let large = format!(r#"{{"user_id": "{}"}}"#, "a".repeat(30_000));
    check(&ask(&large).await, 413, "body_too_large", None);
    let rank = client.post("/v1/rank", &json!({"items": []})).await;
    check(&rank, 400, "invalid_request", Some("/items"));
    let rank = client.post("/v1/rank", &json!({"k": 2})).await;
    check(&rank, 400, "missing_field", Some("/items"));
    check(&client.get("/v1/recommendations/u?kk=1").await, 400, "invalid_parameter", Some("/kk"));
    check(&client.get("/v1/recommendations/u?k=0").await, 400, "invalid_request", Some("/k"));
    check(&client.get("/v1/nothing").await, 404, "not_found", None);
    check(&client.get("/v1/rank").await, 405, "method_not_allowed", None);
    let late = client.ask(&json!({}), &[("x-upnext-deadline-ms", "soon")]).await;
    check(&late, 400, "invalid_header", None);
}

async fn bad_events(client: &Client) {
    check(
        &client.post("/v1/events", &json!({"events": []})).await,
        400,
        "invalid_request",
        Some("/events"),
    );
    let many = "{}\n".repeat(501);
    let kind = [("content-type", "application/x-ndjson")];
    let reply = client.send("POST", "/v1/events", &kind, &many).await;
    check(&reply, 400, "invalid_request", Some("/events"));
    let reply = client.send("POST", "/v1/events", &[("content-type", "text/csv")], "a").await;
    check(&reply, 415, "unsupported_media_type", None);
    let reply = client.post("/v1/events?wait=later", &json!({"events": []})).await;
    check(&reply, 400, "invalid_parameter", Some("/wait"));
    let nobody = json!({"events": [{"type": "ItemClicked", "item_id": "a", "session_id": "s"}]});
    let reply = client.post("/v1/events", &nobody).await;
    check(&reply, 422, "all_rejected", Some("/events/0/user_id"));
    assert_eq!(
        (&reply.body["accepted"], &reply.body["rejected"][0]["reason"]),
        (&json!(0), &json!("missing"))
    );
    let good = json!({"events": [{"type": "ItemClicked", "user_id": "u", "item_id": "a", "session_id": "s"}]});
    let reply = client.post("/v1/events?validate=only", &good).await;
    let expected = json!({"accepted": 1, "rejected": [], "counts": {}});
    assert_eq!((reply.status, &reply.body), (202, &expected));
    let both = json!({"events": [good["events"][0], nobody["events"][0], nobody["events"][0]]});
    let reply = client.post("/v1/events?validate=only", &both).await;
    assert_eq!((reply.status, &reply.body["counts"]), (202, &json!({"missing": 2})));
    let reply = client.post("/v1/events?validate=only", &nobody).await;
    assert_eq!((reply.status, &reply.body["counts"]), (422, &json!({"missing": 1})));
}

async fn bad_items(client: &Client) {
    let reply = client.put("/v1/items/a", &json!({"titel": "x"})).await;
    assert_eq!((reply.status, &reply.body["code"]), (400, &json!("invalid_item")), "{reply:?}");
    check(
        &client.put("/v1/items/a", &json!({"price": -1.0})).await,
        400,
        "invalid_item",
        Some("/price"),
    );
    check(
        &client.put("/v1/items/a", &json!({"item_id": "b"})).await,
        400,
        "invalid_item",
        Some("/item_id"),
    );
    let batch = json!({"items": [{"item_id": "a"}, {"item_id": "b", "price": "cheap"}]});
    check(
        &client.post("/v1/items:batch", &batch).await,
        400,
        "invalid_item",
        Some("/items/1/price"),
    );
    check(&client.get("/v1/items/a").await, 404, "not_found", None);
    check(&client.send("PATCH", "/v1/items/a", &[], "{}").await, 404, "not_found", None);
    check(&client.send("POST", "/v1/items/a:sell", &[], "").await, 404, "not_found", None);
    check(
        &client.put("/v1/items/a?wait=long", &json!({})).await,
        400,
        "invalid_parameter",
        Some("/wait"),
    );
}

async fn what_is_for_evaluation_is_not_honoured(client: &Client) {
    for header in [("x-upnext-as-of-ms", "5"), ("x-upnext-tier", "session")] {
        check(&client.ask(&json!({}), &[header]).await, 400, "as_of_not_allowed", None);
    }
    let events = json!({"events": [{"type": "Searched", "user_id": "u", "query": "x"}]});
    check(&client.post("/v1/events?wait=visible", &events).await, 400, "as_of_not_allowed", None);
}

async fn the_description_and_its_page_are_served(client: &Client) {
    let description = client.get("/openapi.json").await;
    assert_eq!(description.status, 200);
    assert!(description.body["paths"]["/v1/recommendations"]["post"].is_object());
    let page = client.get("/docs/").await;
    assert_eq!(page.status, 200, "{page:?}");
    assert!(page.body.as_str().unwrap().contains("swagger"));
}
