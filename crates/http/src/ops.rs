//! Probes and metrics, on a listener of their own so that they never queue behind the API.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use upnext_common::metrics::Metrics;

use crate::params::Params;

const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Which parts of a process are ready. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Health(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    checks: Mutex<BTreeMap<&'static str, Check>>,
    has_been_ready: AtomicBool,
}

/// One part and how it stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Check {
    pub is_ready: bool,
    /// Whether the process is ready only when this part is.
    pub is_required: bool,
    pub detail: String,
}

impl Health {
    /// A process that is ready once all of `required` are.
    #[must_use]
    pub fn new(required: &[&'static str]) -> Self {
        let health = Self::default();
        health.require(required);
        health
    }

    /// Adds parts that must be ready; those known already stay as they are.
    pub fn require(&self, names: &[&'static str]) {
        let mut checks = self.0.checks.lock();
        for name in names {
            let waiting =
                Check { is_ready: false, is_required: true, detail: "starting".to_owned() };
            checks.entry(*name).or_insert(waiting).is_required = true;
        }
    }

    /// How a part stands. A part that is not required is shown and decides nothing.
    pub fn set_ready(&self, name: &'static str, is_ready: bool, detail: impl Into<String>) {
        let mut checks = self.0.checks.lock();
        let is_required = checks.get(name).is_some_and(|check| check.is_required);
        checks.insert(name, Check { is_ready, is_required, detail: detail.into() });
        if all_ready(&checks) {
            self.0.has_been_ready.store(true, Ordering::Release);
        }
    }

    #[must_use]
    pub fn is_ready(&self) -> bool {
        all_ready(&self.0.checks.lock())
    }

    /// Whether it has been ready at least once.
    #[must_use]
    pub fn has_started(&self) -> bool {
        self.0.has_been_ready.load(Ordering::Acquire) || self.is_ready()
    }

    #[must_use]
    pub fn checks(&self) -> BTreeMap<&'static str, Check> {
        self.0.checks.lock().clone()
    }
}

fn all_ready(checks: &BTreeMap<&'static str, Check>) -> bool {
    checks.values().all(|check| check.is_ready || !check.is_required)
}

/// `/livez`, `/readyz`, `/startupz`, `/metrics`, `/version`.
pub fn router(metrics: Metrics, health: Health) -> Router {
    Router::new()
        .route("/livez", get(|| async { Json(Live { live: true }) }))
        .route("/readyz", get(ready))
        .route("/startupz", get(started))
        .route("/metrics", get(render))
        .route("/version", get(|| async { Json(Version::OURS) }))
        .with_state(Ops { metrics, health })
}

#[derive(Clone)]
struct Ops {
    metrics: Metrics,
    health: Health,
}

#[derive(Serialize)]
struct Live {
    live: bool,
}

#[derive(Serialize)]
struct Version {
    name: &'static str,
    version: &'static str,
}

impl Version {
    const OURS: Self = Self { name: "upnext", version: env!("CARGO_PKG_VERSION") };
}

#[derive(Deserialize)]
struct Verbosity {
    verbose: Option<String>,
}

#[derive(Serialize)]
struct Readiness {
    ready: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    checks: Option<BTreeMap<&'static str, Check>>,
}

async fn ready(State(ops): State<Ops>, Params(asked): Params<Verbosity>) -> Response {
    let ready = ops.health.is_ready();
    let checks = asked.verbose.is_some().then(|| ops.health.checks());
    (status_of(ready), Json(Readiness { ready, checks })).into_response()
}

async fn started(State(ops): State<Ops>) -> Response {
    let ready = ops.health.has_started();
    (status_of(ready), Json(Readiness { ready, checks: None })).into_response()
}

async fn render(State(ops): State<Ops>) -> Response {
    ([(header::CONTENT_TYPE, OPENMETRICS)], ops.metrics.render()).into_response()
}

fn status_of(is_good: bool) -> StatusCode {
    if is_good { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }
}

#[cfg(test)]
mod tests;
