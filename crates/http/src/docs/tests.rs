//! The page works without the world outside.

use axum::body::Body;
use axum::http::{HeaderMap, Request, StatusCode};
use http_body_util::BodyExt;
use serde_json::json;
use tower::ServiceExt;

use super::*;

async fn ask(path: &str) -> (StatusCode, HeaderMap, String) {
    let routes = router(json!({"openapi": "3.1.0", "paths": {}}));
    let response = routes.oneshot(Request::get(path).body(Body::empty()).unwrap()).await.unwrap();
    let (parts, body) = response.into_parts();
    let bytes = body.collect().await.unwrap().to_bytes();
    (parts.status, parts.headers, String::from_utf8_lossy(&bytes).into_owned())
}

/// What stands in quotes after `src=` or `href=`.
fn references(page: &str) -> Vec<&str> {
    let after =
        |attribute| page.split(attribute).skip(1).filter_map(|rest: &str| rest.split('"').next());
    after("src=\"").chain(after("href=\"")).collect()
}

#[tokio::test]
async fn the_page_fetches_nothing_from_elsewhere() {
    let (status, headers, page) = ask("/docs/").await;
    assert_eq!(status, StatusCode::OK);
    assert!(headers.contains_key(header::CONTENT_SECURITY_POLICY));
    assert!(!page.contains("http://") && !page.contains("https://"), "{page}");
    let references = references(&page);
    assert!(references.len() > 3, "{references:?}");
    for reference in references {
        let path = format!("/docs/{}", reference.trim_start_matches("./"));
        assert_eq!(ask(&path).await.0, StatusCode::OK, "{path}");
    }
}

#[tokio::test]
async fn the_page_reads_our_description_and_asks_no_validator() {
    let (_, _, script) = ask("/docs/swagger-initializer.js").await;
    assert!(script.contains("\"/openapi.json\""), "{script}");
    assert!(script.contains("\"validatorUrl\": \"none\""), "{script}");
    assert!(!script.contains("https://"), "{script}");
}

#[tokio::test]
async fn the_description_is_served_as_it_is() {
    let (status, _, text) = ask("/openapi.json").await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(serde_json::from_str::<serde_json::Value>(&text).unwrap()["openapi"], "3.1.0");
}

#[tokio::test]
async fn the_short_address_leads_to_the_page() {
    let (status, headers, _) = ask("/docs").await;
    assert!(status.is_redirection(), "{status}");
    assert_eq!(headers[header::LOCATION], "/docs/");
}
