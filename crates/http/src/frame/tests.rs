//! Whatever goes wrong, the answer is a problem with the request's id.

use axum::Json;
use axum::body::Body;
use axum::extract::Path;
use axum::http::StatusCode;
use axum::routing::{get, post};
use bytes::Bytes;
use http_body_util::BodyExt;
use serde_json::Value;
use tower::ServiceExt;

use super::*;
use crate::{JsonBody, ProblemBody, RawBody};

const BODY_BYTES_MAX: usize = 64;

async fn panics() -> &'static str {
    panic!("a bug")
}

fn routes() -> Router {
    let routes = Router::new()
        .route("/hello", get(|| async { "hello" }))
        .route("/panic", get(panics))
        .route("/number/{n}", get(|Path(n): Path<u32>| async move { n.to_string() }))
        .route("/echo", post(|JsonBody(body): JsonBody<Value>| async move { Json(body) }))
        .route("/raw", post(|RawBody(body): RawBody| async move { body }))
        .route("/bytes", post(|body: Bytes| async move { body }))
        .route("/odd", get(|| async { (StatusCode::IM_A_TEAPOT, Json(serde_json::json!({}))) }))
        .route(
            "/id",
            get(|request: Request| async move {
                request.extensions().get::<RequestId>().map(|id| id.0.clone()).unwrap_or_default()
            }),
        );
    around(routes, BODY_BYTES_MAX)
}

async fn ask(request: Request) -> (StatusCode, HeaderMap, String) {
    let (parts, body) = routes().oneshot(request).await.unwrap().into_parts();
    let bytes = body.collect().await.unwrap().to_bytes();
    (parts.status, parts.headers, String::from_utf8(bytes.to_vec()).unwrap())
}

fn get_of(path: &str) -> Request {
    Request::get(path).body(Body::empty()).unwrap()
}

fn post_of(path: &str, body: impl Into<Body>) -> Request {
    Request::post(path).body(body.into()).unwrap()
}

#[track_caller]
fn check_problem(answer: &(StatusCode, HeaderMap, String), status: u16, code: &str) -> ProblemBody {
    let (found, headers, text) = answer;
    assert_eq!(found.as_u16(), status, "{text}");
    assert_eq!(headers[header::CONTENT_TYPE], crate::problem::MEDIA_TYPE);
    let problem: ProblemBody = serde_json::from_str(text).unwrap();
    assert_eq!((problem.code.as_str(), problem.status), (code, status));
    assert_eq!(problem.request_id, headers[REQUEST_ID].to_str().unwrap());
    assert!(!problem.request_id.is_empty() && !problem.detail.is_empty());
    problem
}

#[tokio::test]
async fn what_is_not_there_is_a_problem() {
    let problem = check_problem(&ask(get_of("/nowhere?x=1")).await, 404, "not_found");
    assert_eq!(problem.detail, "there is nothing at `/nowhere`");
}

#[tokio::test]
async fn a_wrong_method_is_a_problem_that_names_the_right_one() {
    let answer = ask(post_of("/hello", "")).await;
    check_problem(&answer, 405, "method_not_allowed");
    assert_eq!(answer.1[header::ALLOW], "GET,HEAD");
}

#[tokio::test]
async fn a_panic_is_a_problem_that_tells_nothing() {
    let problem = check_problem(&ask(get_of("/panic")).await, 500, "internal");
    assert!(!problem.detail.contains("bug"), "{}", problem.detail);
}

#[tokio::test]
async fn a_rejection_of_another_kind_becomes_a_problem() {
    let problem = check_problem(&ask(get_of("/number/many")).await, 400, "bad_request");
    assert!(problem.detail.contains("many"), "{}", problem.detail);
}

#[tokio::test]
async fn an_error_that_is_json_already_stays_as_it_is() {
    let (status, headers, text) = ask(get_of("/odd")).await;
    assert_eq!((status, text.as_str()), (StatusCode::IM_A_TEAPOT, "{}"));
    assert!(headers.contains_key(REQUEST_ID));
}

#[tokio::test]
async fn a_body_above_the_limit_is_a_problem_whoever_reads_it() {
    let large = format!("\"{}\"", "x".repeat(BODY_BYTES_MAX));
    for path in ["/echo", "/raw", "/bytes"] {
        check_problem(&ask(post_of(path, large.clone())).await, 413, "body_too_large");
    }
    let fits = format!("\"{}\"", "x".repeat(BODY_BYTES_MAX - 2));
    for path in ["/echo", "/raw", "/bytes"] {
        assert_eq!(ask(post_of(path, fits.clone())).await.2, fits);
    }
}

#[tokio::test]
async fn a_foreign_media_type_is_a_problem_with_what_to_send() {
    let mut request = post_of("/echo", "{}");
    let form = HeaderValue::from_static("application/x-www-form-urlencoded");
    request.headers_mut().insert(header::CONTENT_TYPE, form);
    let problem = check_problem(&ask(request).await, 415, "unsupported_media_type");
    assert!(problem.detail.contains("content-type: application/json"), "{}", problem.detail);
}

#[tokio::test(start_paused = true)]
async fn a_body_that_never_comes_is_given_up() {
    let never = Body::from_stream(futures::stream::pending::<Result<Bytes, std::io::Error>>());
    check_problem(&ask(post_of("/raw", never)).await, 408, "request_timeout");
}

#[tokio::test]
async fn a_body_that_breaks_off_is_a_problem() {
    let broken = futures::stream::iter([Err::<Bytes, _>(std::io::Error::other("cut"))]);
    let answer = ask(post_of("/raw", Body::from_stream(broken))).await;
    check_problem(&answer, 400, "unreadable_body");
}

#[tokio::test]
async fn a_sensible_request_id_is_kept_and_another_replaced() {
    let with_id = |id: &str| {
        let mut request = get_of("/id");
        request.headers_mut().insert(REQUEST_ID, HeaderValue::from_str(id).unwrap());
        request
    };
    let (_, headers, text) = ask(with_id("abc-1")).await;
    assert_eq!((headers[REQUEST_ID].to_str().unwrap(), text.as_str()), ("abc-1", "abc-1"));
    for odd in ["", "two words", &"x".repeat(129)] {
        let (_, headers, text) = ask(with_id(odd)).await;
        assert_ne!(text, odd);
        assert_eq!(headers[REQUEST_ID].to_str().unwrap(), text);
        assert!(Uuid::parse_str(&text).is_ok(), "{text}");
    }
}

#[tokio::test]
async fn a_good_answer_is_left_alone() {
    let (status, headers, text) = ask(get_of("/hello")).await;
    assert_eq!((status, text.as_str()), (StatusCode::OK, "hello"));
    assert_eq!(headers[header::CONTENT_TYPE], "text/plain; charset=utf-8");
}

#[tokio::test]
async fn requests_are_counted_by_route_and_never_by_path() {
    let metrics = Metrics::new();
    let routes = Router::new().route("/users/{id}", get(|| async { "one" }));
    let routes = counted(routes, &metrics);
    for path in ["/users/7", "/users/8"] {
        routes.clone().oneshot(get_of(path)).await.unwrap();
    }
    let text = metrics.render();
    assert!(text.contains(r#"http_requests_total{route="/users/{id}",status="200"} 2"#), "{text}");
}
