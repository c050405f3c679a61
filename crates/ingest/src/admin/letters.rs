//! `GET /admin/dlq`, `/admin/dlq/counts` and `/admin/dlq/{partition}/{offset}`.

use std::sync::Arc;

use serde::Deserialize;
use serde_json::{Value, json};
use upnext_http::axum::Json;
use upnext_http::axum::extract::{Path, State};
use upnext_http::{Params, Problem};

use super::{Admin, unread};
use crate::dlq::{self, BadFilter, By, Counted, Filter, Letter, Place};

const LIMIT: usize = 20;
const LIMIT_MAX: usize = 1_000;

/// The filters of `upnext dlq ls`, as parameters.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Asked {
    /// Codes, separated by commas.
    reason: Option<String>,
    stage: Option<String>,
    topic: Option<String>,
    partition: Option<i32>,
    offset: Option<i64>,
    schema_id: Option<String>,
    key: Option<String>,
    producer: Option<String>,
    since_ms: Option<i64>,
    until_ms: Option<i64>,
    attempt: Option<u32>,
    limit: Option<usize>,
    /// The oldest instead of the newest.
    oldest: bool,
    by: By,
}

impl Asked {
    fn filter(&self) -> Result<Filter, Problem> {
        let codes = self.reason.as_deref().unwrap_or_default().split(',');
        let filter = Filter {
            reason: codes.filter(|code| !code.is_empty()).map(str::to_owned).collect(),
            stage: self.stage.clone(),
            topic: self.topic.clone(),
            partition: self.partition,
            offset: self.offset,
            schema_id: self.schema_id.clone(),
            key: self.key.clone(),
            producer: self.producer.clone(),
            since_ms: self.since_ms,
            until_ms: self.until_ms,
            attempt: self.attempt,
        };
        filter.check().map_err(|error| senseless("", &error))?;
        Ok(filter)
    }

    fn limit(&self) -> Result<usize, Problem> {
        match self.limit.unwrap_or(LIMIT) {
            limit @ 1..=LIMIT_MAX => Ok(limit),
            limit => {
                let detail = format!("{limit} dead letters");
                let problem = Problem::bad_request("out_of_range", detail.as_str());
                Err(problem.at("/limit", detail, format!("ask for 1 to {LIMIT_MAX}")))
            }
        }
    }
}

/// A reason or stage that is none; `parent` is where the filter stands in the body.
pub(super) fn senseless(parent: &str, error: &BadFilter) -> Problem {
    let detail = format!("unknown {} `{}`", error.what, error.found);
    let hint = format!("known: {}", error.known);
    let problem = Problem::bad_request("invalid_filter", detail.as_str());
    problem.at(format!("{parent}/{}", error.what), detail, hint)
}

pub(super) async fn list(
    State(admin): State<Arc<Admin>>,
    Params(asked): Params<Asked>,
) -> Result<Json<Value>, Problem> {
    let (filter, limit) = (asked.filter()?, asked.limit()?);
    let found = if asked.oldest {
        dlq::oldest(&admin.from, &filter, limit).await
    } else {
        dlq::newest(&admin.from, &filter, limit).await
    };
    let letters: Vec<Value> = found.map_err(unread)?.iter().map(Letter::json).collect();
    Ok(Json(json!({ "letters": letters })))
}

pub(super) async fn counts(
    State(admin): State<Arc<Admin>>,
    Params(asked): Params<Asked>,
) -> Result<Json<Counted>, Problem> {
    let filter = asked.filter()?;
    dlq::count(&admin.from, &filter, asked.by).await.map(Json).map_err(unread)
}

pub(super) async fn one(
    State(admin): State<Arc<Admin>>,
    Path((partition, offset)): Path<(String, String)>,
) -> Result<Json<Value>, Problem> {
    let place: Place = format!("{partition}/{offset}")
        .parse()
        .map_err(|error: String| Problem::bad_request("invalid_place", error))?;
    match dlq::one(&admin.from, place).await.map_err(unread)? {
        Some(letter) => Ok(Json(dlq::explain(&letter, admin.registry.as_deref()).await)),
        None => Err(Problem::not_found(format!("no dead letter at {partition}/{offset}"))),
    }
}
