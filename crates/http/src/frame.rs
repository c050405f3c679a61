//! What stands around every route: request id, errors of one shape, panics caught, the size of bodies.

use std::panic::AssertUnwindSafe;

use axum::Router;
use axum::body::to_bytes;
use axum::extract::{DefaultBodyLimit, MatchedPath, Request};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, Uri, header};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use futures::FutureExt;
use tracing::error;
use upnext_common::metrics::{HttpLabels, Metrics};
use uuid::Uuid;

use crate::problem::Problem;

pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const REQUEST_ID_LENGTH_MAX: usize = 128;
/// How much of a foreign error's text becomes the detail of a problem.
const DETAIL_BYTES_MAX: usize = 4_096;

/// The id of the request: the caller's `x-request-id` if it is sensible, else a new one. In the extensions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestId(pub String);

/// The largest body, for the extractors. In the extensions.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BodyBytesMax(pub(crate) usize);

impl BodyBytesMax {
    pub(crate) const DEFAULT: Self = Self(2 << 20);
}

/// The router with everything around it. The listener does this; tests that call a router directly may too.
pub fn around(router: Router, body_bytes_max: usize) -> Router {
    router
        .fallback(not_found)
        .method_not_allowed_fallback(method_not_allowed)
        .layer(DefaultBodyLimit::max(body_bytes_max))
        .layer(from_fn(move |request, next| surround(request, next, body_bytes_max)))
}

/// Counts requests by route and status.
pub fn counted(router: Router, metrics: &Metrics) -> Router {
    let requests = metrics.http_requests.clone();
    router.layer(from_fn(move |request: Request, next: Next| {
        let requests = requests.clone();
        async move {
            let route = request.extensions().get::<MatchedPath>().map(MatchedPath::as_str);
            let route = route.unwrap_or("none").to_owned();
            let response = next.run(request).await;
            let status = response.status().as_u16();
            requests.get_or_create(&HttpLabels { route, status }).inc();
            response
        }
    }))
}

async fn surround(mut request: Request, next: Next, body_bytes_max: usize) -> Response {
    let id = request_id(request.headers());
    request.extensions_mut().insert(RequestId(id.clone()));
    request.extensions_mut().insert(BodyBytesMax(body_bytes_max));
    let (method, uri) = (request.method().clone(), request.uri().path().to_owned());
    let response = match AssertUnwindSafe(next.run(request)).catch_unwind().await {
        Ok(response) => response,
        Err(_) => {
            error!(%method, uri, request_id = id, "a request made us panic");
            Problem::internal("the request could not be handled").into_response()
        }
    };
    let mut response = as_problem(response, &id).await;
    if let Ok(value) = HeaderValue::from_str(&id) {
        response.headers_mut().insert(REQUEST_ID, value);
    }
    response
}

/// Problems get their request id; error responses that are not ours become problems.
async fn as_problem(response: Response, id: &str) -> Response {
    if let Some(problem) = response.extensions().get::<Problem>() {
        return keeping_headers(problem.response(id), response.headers());
    }
    let status = response.status();
    if !status.is_client_error() && !status.is_server_error() || is_json(response.headers()) {
        return response;
    }
    let (parts, body) = response.into_parts();
    let text = to_bytes(body, DETAIL_BYTES_MAX).await.unwrap_or_default();
    let problem = Problem::of_status(status, String::from_utf8_lossy(&text).into_owned());
    keeping_headers(problem.response(id), &parts.headers)
}

fn keeping_headers(mut response: Response, headers: &HeaderMap) -> Response {
    for (name, value) in headers {
        if name != header::CONTENT_TYPE && name != header::CONTENT_LENGTH {
            response.headers_mut().insert(name, value.clone());
        }
    }
    response
}

fn is_json(headers: &HeaderMap) -> bool {
    let media_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    media_type.is_some_and(|media_type| media_type.contains("json"))
}

fn request_id(headers: &HeaderMap) -> String {
    let given = headers.get(REQUEST_ID).and_then(|value| value.to_str().ok());
    let is_sensible = |id: &&str| {
        (1..=REQUEST_ID_LENGTH_MAX).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_graphic())
    };
    given.filter(is_sensible).map_or_else(|| Uuid::now_v7().to_string(), str::to_owned)
}

async fn not_found(uri: Uri) -> Problem {
    Problem::not_found(format!("there is nothing at `{}`", uri.path()))
}

async fn method_not_allowed(method: Method, uri: Uri) -> Problem {
    let detail = format!("`{}` does not take {method}", uri.path());
    Problem::new(axum::http::StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", detail)
}

#[cfg(test)]
mod tests;
