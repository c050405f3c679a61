//! The admin calls on the ops listener: dead letters, redrives, and a bench for producers' tests.
//!
//! For loopback only: whoever composes the process mounts them nowhere else. A request that a browser makes for a page
//! is refused, so that no page can send dead letters back.

mod letters;
mod redrives;
mod bench;

use std::net::IpAddr;
use std::sync::Arc;

use upnext_common::clock::Clock;
use upnext_common::drain::Drain;
use upnext_contract::RegistryClient;
use upnext_http::Problem;
use upnext_http::axum::Router;
use upnext_http::axum::extract::Request;
use upnext_http::axum::http::{StatusCode, header};
use upnext_http::axum::middleware::{self, Next};
use upnext_http::axum::response::{IntoResponse, Response};
use upnext_http::axum::routing::{get, post};
use upnext_kafka::KafkaError;

use crate::dlq::DeadLetters;
use bench::Bench;
use redrives::Jobs;

/// What the admin calls work on.
pub struct Admin {
    from: DeadLetters,
    /// To decode values for people; without one, they are not decoded.
    registry: Option<Arc<RegistryClient>>,
    clock: Clock,
    drain: Drain,
    jobs: Jobs,
    bench: Bench,
}

impl Admin {
    /// A redrive under way ends with the drain, after its open transaction.
    #[must_use]
    pub fn new(
        from: DeadLetters,
        registry: Option<Arc<RegistryClient>>,
        clock: Clock,
        drain: Drain,
    ) -> Self {
        let bench = Bench::new(from.clone(), registry.clone(), clock.clone(), drain.child());
        Self { from, registry, clock, drain, jobs: Jobs::default(), bench }
    }

    /// `/admin/dlq…` and `/admin/events…`.
    pub fn router(self) -> Router {
        Router::new()
            .route("/admin/dlq", get(letters::list))
            .route("/admin/dlq/counts", get(letters::counts))
            .route("/admin/dlq/{partition}/{offset}", get(letters::one))
            .route("/admin/dlq:redrive", post(redrives::start))
            .route("/admin/dlq/redrives/{id}", get(redrives::progress).delete(redrives::stop))
            .route("/admin/events/counts", get(bench::counts))
            .route("/admin/events/bad", get(bench::bad))
            .route("/admin/events:reset", post(bench::reset))
            .layer(middleware::from_fn(not_for_pages))
            .with_state(Arc::new(self))
    }
}

/// Browsers name the page that asks; tools do not. A page may also have made its own name point here.
async fn not_for_pages(request: Request, next: Next) -> Response {
    let host = request.headers().get(header::HOST);
    let is_foreign = host.is_some_and(|host| !names_this_machine(host.to_str().unwrap_or("")));
    if is_foreign || request.headers().contains_key(header::ORIGIN) {
        let detail = "admin calls are not for web pages";
        return Problem::new(StatusCode::FORBIDDEN, "origin_refused", detail).into_response();
    }
    next.run(request).await
}

/// Whether a host, with its port or without, is `localhost` or an address, which no name service can turn elsewhere.
fn names_this_machine(host: &str) -> bool {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|digit| digit.is_ascii_digit()) => name,
        Some(_) | None => host,
    };
    let address = name.trim_start_matches('[').trim_end_matches(']');
    name.eq_ignore_ascii_case("localhost") || address.parse::<IpAddr>().is_ok()
}

/// A log that does not answer.
fn unread(error: KafkaError) -> Problem {
    Problem::unavailable(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_addresses_and_localhost_name_this_machine() {
        for host in ["localhost", "LOCALHOST:9090", "127.0.0.1:9090", "[::1]:9090", "[::1]"] {
            assert!(names_this_machine(host), "{host}");
        }
        for host in ["evil.example", "evil.example:9090", "localhost.evil.example:9090", "", ":80"]
        {
            assert!(!names_this_machine(host), "{host}");
        }
    }
}
