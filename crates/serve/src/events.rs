//! `POST /v1/events`: events over HTTP, judged like those on the topic, written to it and acknowledged.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use upnext_common::event::Event;
use upnext_contract::json::{Defaults, read_event};
use upnext_contract::{Checks, Reason, Rejection};
use upnext_http::axum::Json;
use upnext_http::axum::extract::{Extension, FromRequest, Request, State};
use upnext_http::axum::http::{HeaderMap, StatusCode, header};
use upnext_http::axum::response::{IntoResponse, Response};
use upnext_http::utoipa;
use upnext_http::utoipa::ToSchema;
use upnext_http::{
    FieldError, JsonBody, Params, Problem, ProblemBody, RawBody, RequestId, problem,
};

use crate::admission;
use crate::app::App;

pub(crate) const EVENTS_MAX: usize = 500;
const NDJSON: &str = "application/x-ndjson";

/// How events are taken.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Mode {
    validate: Option<Validate>,
    wait: Option<Wait>,
}

/// Judge and write nothing.
#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Validate {
    Only,
}

/// Answer when answers see the events.
#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Wait {
    Visible,
}

/// Body of `POST /v1/events` as JSON.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct EventsRequest {
    /// 1 to 500 events. Each has a `type` and `user_id` or `anonymous_id`; `event_id` and `event_time` are filled in
    /// when missing.
    #[schema(value_type = Vec<Object>, min_items = 1, max_items = 500)]
    pub(crate) events: Vec<Value>,
}

/// What became of the events.
#[derive(Debug, PartialEq, Serialize, ToSchema)]
pub(crate) struct EventsResponse {
    pub(crate) accepted: usize,
    pub(crate) rejected: Vec<RejectedEvent>,
    /// With `?validate=only`: how many were rejected, by reason.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) counts: Option<Counts>,
}

type Counts = BTreeMap<&'static str, usize>;

fn counts_of(rejected: &[RejectedEvent]) -> Counts {
    let mut counts = Counts::new();
    for event in rejected {
        *counts.entry(event.reason).or_default() += 1;
    }
    counts
}

/// One event that was not written, and why.
#[derive(Debug, PartialEq, Serialize, ToSchema)]
pub(crate) struct RejectedEvent {
    /// Place in the request, from 0.
    pub(crate) index: usize,
    pub(crate) event_id: Option<String>,
    /// A reason code, the same as in dead letters.
    pub(crate) reason: &'static str,
    /// RFC 6901 pointer into the event.
    pub(crate) pointer: String,
    pub(crate) detail: String,
}

/// Writes events.
#[utoipa::path(
    post, path = "/v1/events", tag = "events",
    request_body(content((EventsRequest = "application/json"), (String = "application/x-ndjson"))),
    params(
        ("validate" = Option<String>, Query, description = "`only`: judge and write nothing"),
        ("wait" = Option<String>, Query,
            description = "`visible`: answer when answers see the events (only with serve.allow_as_of)"),
        ("X-Upnext-As-Of-Ms" = Option<i64>, Header,
            description = "Timestamp of the records (only with serve.allow_as_of)"),
    ),
    responses(
        (status = 202, description = "What was accepted is on the log", body = EventsResponse),
        (status = 400, description = "The request cannot be read", body = ProblemBody, content_type = "application/problem+json"),
        (status = 413, description = "The body is too large", body = ProblemBody, content_type = "application/problem+json"),
        (status = 415, description = "Neither JSON nor NDJSON", body = ProblemBody, content_type = "application/problem+json"),
        (status = 422, description = "Every event was rejected", body = ProblemBody, content_type = "application/problem+json"),
        (status = 503, description = "The log does not answer", body = ProblemBody, content_type = "application/problem+json"),
        (status = 504, description = "Not visible within 5 s", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn post_events(
    State(app): State<Arc<App>>,
    Params(mode): Params<Mode>,
    Extension(RequestId(request_id)): Extension<RequestId>,
    request: Request,
) -> Result<Response, Problem> {
    if mode.wait.is_some() && !app.rules.allow_as_of {
        let detail = "?wait=visible is honoured only with serve.allow_as_of = true";
        return Err(Problem::bad_request("as_of_not_allowed", detail));
    }
    let stamp_ms = admission::as_of(request.headers(), app.rules)?;
    let stamp_ms = stamp_ms.unwrap_or_else(|| app.clock.now_ms());
    let values = read_body(request).await?;
    let judged = judge(&app.checks, values, stamp_ms);
    let counts = mode.validate.is_some().then(|| counts_of(&judged.rejected));
    if judged.accepted.is_empty() {
        return Ok(all_rejected(judged.rejected, counts, request_id));
    }
    if mode.validate.is_none() {
        let written =
            app.outlet.events(&judged.accepted, stamp_ms).await.map_err(|e| e.into_problem())?;
        if mode.wait.is_some() {
            app.barrier.wait(&written).await.map_err(|error| error.into_problem())?;
        }
    }
    let response =
        EventsResponse { accepted: judged.accepted.len(), rejected: judged.rejected, counts };
    Ok((StatusCode::ACCEPTED, Json(response)).into_response())
}

/// One event as it came: JSON, or a line that is none.
type Line = Result<Value, Rejection>;

async fn read_body(request: Request) -> Result<Vec<Line>, Problem> {
    let lines = match content_type(request.headers()) {
        Some("application/json") | None => {
            let JsonBody(body) = JsonBody::<EventsRequest>::from_request(request, &()).await?;
            body.events.into_iter().map(Ok).collect()
        }
        Some(NDJSON) => {
            let RawBody(bytes) = RawBody::from_request(request, &()).await?;
            split_lines(&bytes)
        }
        Some(other) => {
            let detail = format!("content type `{other}`: send application/json or {NDJSON}");
            return Err(Problem::new(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "unsupported_media_type",
                detail,
            ));
        }
    };
    if lines.is_empty() || lines.len() > EVENTS_MAX {
        let detail = format!("{} events", lines.len());
        let hint = format!("send 1 to {EVENTS_MAX} events");
        return Err(
            Problem::bad_request("invalid_request", detail.clone()).at("/events", detail, hint)
        );
    }
    Ok(lines)
}

fn content_type(headers: &HeaderMap) -> Option<&str> {
    let text = headers.get(header::CONTENT_TYPE)?.to_str().ok()?;
    Some(text.split(';').next().unwrap_or(text).trim())
}

/// Every line that is not blank; one that is not JSON is rejected alone.
fn split_lines(bytes: &[u8]) -> Vec<Line> {
    let lines = bytes.split(|byte| *byte == b'\n').filter(|line| !line.trim_ascii().is_empty());
    lines
        .map(|line| {
            serde_json::from_slice(line).map_err(|error| {
                Rejection::new(Reason::Format, "", format!("the line is not JSON: {error}"))
            })
        })
        .collect()
}

struct Judged {
    accepted: Vec<Event>,
    rejected: Vec<RejectedEvent>,
}

fn judge(checks: &Checks, lines: Vec<Line>, stamp_ms: i64) -> Judged {
    let mut judged = Judged { accepted: Vec::with_capacity(lines.len()), rejected: Vec::new() };
    for (index, line) in lines.into_iter().enumerate() {
        let (event_id, verdict) = judge_one(checks, line, stamp_ms);
        match verdict {
            Ok(event) => judged.accepted.push(event),
            Err(rejection) => judged.rejected.push(RejectedEvent {
                index,
                event_id,
                reason: rejection.reason.code(),
                pointer: rejection.pointer,
                detail: rejection.detail,
            }),
        }
    }
    judged
}

fn judge_one(
    checks: &Checks,
    line: Line,
    stamp_ms: i64,
) -> (Option<String>, Result<Event, Rejection>) {
    let value = match line {
        Ok(value) => value,
        Err(rejection) => return (None, Err(rejection)),
    };
    let event_id = value.get("event_id").and_then(Value::as_str).map(str::to_owned);
    let verdict = read_event(&value, Defaults { now_ms: stamp_ms }).and_then(|event| match checks
        .first_objection(&event, stamp_ms)
    {
        None => Ok(event),
        Some(rejection) => Err(rejection),
    });
    (event_id, verdict)
}

/// A problem that also says what a partly accepted request would have been told.
#[derive(Serialize)]
struct AllRejected {
    #[serde(flatten)]
    problem: ProblemBody,
    accepted: usize,
    rejected: Vec<RejectedEvent>,
    #[serde(skip_serializing_if = "Option::is_none")]
    counts: Option<Counts>,
}

fn all_rejected(
    rejected: Vec<RejectedEvent>,
    counts: Option<Counts>,
    request_id: String,
) -> Response {
    let errors = rejected.iter().map(|event| FieldError {
        pointer: format!("/events/{}{}", event.index, event.pointer),
        detail: event.detail.clone(),
        hint: event.reason.to_owned(),
    });
    let problem = ProblemBody {
        kind: "urn:upnext:problem:all_rejected".to_owned(),
        title: "Unprocessable Entity".to_owned(),
        status: StatusCode::UNPROCESSABLE_ENTITY.as_u16(),
        detail: format!("all {} events were rejected", rejected.len()),
        code: "all_rejected".to_owned(),
        request_id,
        errors: errors.collect(),
    };
    let body = AllRejected { problem, accepted: 0, rejected, counts };
    let media_type = [(header::CONTENT_TYPE, problem::MEDIA_TYPE)];
    (StatusCode::UNPROCESSABLE_ENTITY, media_type, Json(body)).into_response()
}

#[cfg(test)]
mod tests;
