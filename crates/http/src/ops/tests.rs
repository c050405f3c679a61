//! Probes: what is said before, while and after a process is ready.

use axum::body::Body;
use axum::http::Request;
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tower::ServiceExt;

use super::*;

async fn ask(health: &Health, path: &str) -> (u16, String) {
    let routes = router(Metrics::new(), health.clone());
    let response = routes.oneshot(Request::get(path).body(Body::empty()).unwrap()).await.unwrap();
    let status = response.status().as_u16();
    let bytes = response.into_body().collect().await.unwrap().to_bytes();
    (status, String::from_utf8(bytes.to_vec()).unwrap())
}

#[tokio::test]
async fn ready_means_that_all_required_parts_are() {
    let health = Health::new(&["kafka", "registry"]);
    assert_eq!(ask(&health, "/readyz").await, (503, r#"{"ready":false}"#.to_owned()));
    assert_eq!(ask(&health, "/startupz").await.0, 503);
    health.set_ready("kafka", true, "reads");
    assert!(!health.is_ready());
    health.set_ready("registry", true, "answers");
    assert_eq!(ask(&health, "/readyz").await, (200, r#"{"ready":true}"#.to_owned()));
    assert_eq!(ask(&health, "/startupz").await.0, 200);
}

#[tokio::test]
async fn once_started_is_started_though_no_longer_ready() {
    let health = Health::new(&["kafka"]);
    health.set_ready("kafka", true, "reads");
    health.set_ready("kafka", false, "away");
    assert_eq!(ask(&health, "/readyz").await.0, 503);
    assert_eq!(ask(&health, "/startupz").await.0, 200);
}

#[tokio::test]
async fn a_part_that_is_not_required_is_shown_and_decides_nothing() {
    let health = Health::new(&["kafka"]);
    health.set_ready("kafka", true, "reads");
    health.set_ready("redis", false, "connection refused");
    let (status, text) = ask(&health, "/readyz?verbose").await;
    let expected = json!({"ready": true, "checks": {
        "kafka": {"is_ready": true, "is_required": true, "detail": "reads"},
        "redis": {"is_ready": false, "is_required": false, "detail": "connection refused"},
    }});
    assert_eq!((status, serde_json::from_str::<Value>(&text).unwrap()), (200, expected));
}

#[test]
fn requiring_more_keeps_what_is_known() {
    let health = Health::new(&["kafka"]);
    health.set_ready("kafka", true, "reads");
    health.require(&["kafka", "items"]);
    assert!(!health.is_ready());
    assert!(health.checks()["kafka"].is_ready);
    health.set_ready("items", true, "");
    assert!(health.is_ready());
}

#[tokio::test]
async fn the_process_says_that_it_lives_and_what_it_is() {
    let health = Health::default();
    assert_eq!(ask(&health, "/livez").await, (200, r#"{"live":true}"#.to_owned()));
    let (status, text) = ask(&health, "/version").await;
    let version: Value = serde_json::from_str(&text).unwrap();
    assert_eq!((status, &version["name"]), (200, &json!("upnext")));
    assert_eq!(version["version"], env!("CARGO_PKG_VERSION"));
}

#[tokio::test]
async fn metrics_are_openmetrics() {
    let routes = router(Metrics::new(), Health::default());
    let request = Request::get("/metrics").body(Body::empty()).unwrap();
    let response = routes.oneshot(request).await.unwrap();
    assert_eq!(response.headers()[header::CONTENT_TYPE], OPENMETRICS);
    let bytes = response.into_body().collect().await.unwrap().to_bytes();
    assert!(bytes.ends_with(b"# EOF\n"));
}
