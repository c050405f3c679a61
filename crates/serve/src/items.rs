//! The catalogue over HTTP: put, patch, withdraw, hide. Written to the items topic, applied here at once.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use upnext_common::item::Item;
use upnext_contract::Rejection;
use upnext_contract::json::{read_item, write_item};
use upnext_http::axum::Json;
use upnext_http::axum::extract::{Path, State};
use upnext_http::axum::http::StatusCode;
use upnext_http::axum::response::{IntoResponse, Response};
use upnext_http::utoipa;
use upnext_http::utoipa::ToSchema;
use upnext_http::{JsonBody, Params, Problem, ProblemBody};

use crate::answers::Nothing;
use crate::app::App;
use crate::ask::Complaints;

pub(crate) const BATCH_ITEMS_MAX: usize = 500;
/// Longest wait for `?wait=indexed`.
const INDEXED_WITHIN: Duration = Duration::from_secs(5);

/// `?wait=indexed`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Waiting {
    wait: Option<Wait>,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Wait {
    Indexed,
}

/// A catalogue item, as it is put and as it is read.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ItemBody {
    item_id: String,
    title: Option<String>,
    category: Option<String>,
    price: Option<f64>,
    /// Any scalar; kept as text.
    #[schema(value_type = std::collections::BTreeMap<String, String>)]
    attributes: Map<String, Value>,
    /// Only when read.
    hidden: bool,
}

/// Body of `POST /v1/items:batch`.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ItemsBatch {
    /// 1 to 500 items, each with its `item_id`.
    #[schema(value_type = Vec<ItemBody>, min_items = 1, max_items = 500)]
    items: Vec<Value>,
}

/// Where the newest record of a write stands on the items topic.
#[derive(Debug, PartialEq, Serialize, ToSchema)]
pub(crate) struct ItemsWritten {
    offset: i64,
}

/// Puts an item: all its facts, replacing those it had. A hidden item stays hidden.
#[utoipa::path(
    put, path = "/v1/items/{id}", tag = "items", request_body = ItemBody,
    params(
        ("id" = String, Path, description = "Item id"),
        ("wait" = Option<String>, Query, description = "`indexed`: answer 200 when it is retrievable"),
    ),
    responses(
        (status = 200, description = "It is retrievable", body = ItemsWritten),
        (status = 202, description = "It is on the log", body = ItemsWritten),
        (status = 400, description = "The item breaks a rule", body = ProblemBody, content_type = "application/problem+json"),
        (status = 503, description = "The log does not answer", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn put_item(
    State(app): State<Arc<App>>,
    Path(item_id): Path<String>,
    Params(waiting): Params<Waiting>,
    JsonBody(body): JsonBody<Map<String, Value>>,
) -> Result<Response, Problem> {
    let hidden = app.worlds.world().record(&item_id).is_some_and(|record| record.hidden);
    let item = Item { hidden, ..understand(&app, "", with_id(body, &item_id)?)? };
    write(&app, vec![item], waiting.wait).await
}

/// Changes some facts of an item (RFC 7396: null removes).
#[utoipa::path(
    patch, path = "/v1/items/{id}", tag = "items", request_body = ItemBody,
    params(
        ("id" = String, Path, description = "Item id"),
        ("wait" = Option<String>, Query, description = "`indexed`: answer 200 when it is retrievable"),
    ),
    responses(
        (status = 200, description = "The change is in use", body = ItemsWritten),
        (status = 202, description = "The change is on the log", body = ItemsWritten),
        (status = 400, description = "The item would break a rule", body = ProblemBody, content_type = "application/problem+json"),
        (status = 404, description = "No such item", body = ProblemBody, content_type = "application/problem+json"),
        (status = 503, description = "The log does not answer", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn patch_item(
    State(app): State<Arc<App>>,
    Path(item_id): Path<String>,
    Params(waiting): Params<Waiting>,
    JsonBody(body): JsonBody<Map<String, Value>>,
) -> Result<Response, Problem> {
    let record = app.worlds.world().record(&item_id).ok_or_else(|| unknown(&item_id))?;
    let mut facts = write_item(&record);
    merge(&mut facts, Value::Object(with_id(body, &item_id)?));
    let Value::Object(facts) = facts else { return Err(unknown(&item_id)) };
    let item = Item { hidden: record.hidden, ..understand(&app, "", facts)? };
    write(&app, vec![item], waiting.wait).await
}

/// Withdraws an item; it is in no answer from now on.
#[utoipa::path(
    delete, path = "/v1/items/{id}", tag = "items",
    params(
        ("id" = String, Path, description = "Item id"),
        ("wait" = Option<String>, Query, description = "`indexed`: answer 200 when it is in use"),
    ),
    responses(
        (status = 200, description = "It is gone from answers", body = ItemsWritten),
        (status = 202, description = "It is on the log", body = ItemsWritten),
        (status = 400, description = "The id is not one", body = ProblemBody, content_type = "application/problem+json"),
        (status = 503, description = "The log does not answer", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn delete_item(
    State(app): State<Arc<App>>,
    Path(item_id): Path<String>,
    Params(waiting): Params<Waiting>,
) -> Result<Response, Problem> {
    check_id(&item_id)?;
    write(&app, vec![Item { item_id, deleted: true, ..Item::default() }], waiting.wait).await
}

/// What the catalogue says of an item.
#[utoipa::path(
    get, path = "/v1/items/{id}", tag = "items",
    params(("id" = String, Path, description = "Item id")),
    responses(
        (status = 200, description = "The item", body = ItemBody),
        (status = 404, description = "No such item", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn get_item(
    State(app): State<Arc<App>>,
    Path(item_id): Path<String>,
    Params(Nothing {}): Params<Nothing>,
) -> Result<Response, Problem> {
    let record = app.worlds.world().record(&item_id).ok_or_else(|| unknown(&item_id))?;
    let mut facts = write_item(&record);
    facts["hidden"] = record.hidden.into();
    Ok(Json(facts).into_response())
}

/// Puts up to 500 items; all of them or, when one breaks a rule, none.
#[utoipa::path(
    post, path = "/v1/items:batch", tag = "items", request_body = ItemsBatch,
    params(("wait" = Option<String>, Query, description = "`indexed`: answer 200 when all are retrievable")),
    responses(
        (status = 200, description = "They are retrievable", body = ItemsWritten),
        (status = 202, description = "They are on the log", body = ItemsWritten),
        (status = 400, description = "An item breaks a rule; nothing was written", body = ProblemBody, content_type = "application/problem+json"),
        (status = 413, description = "The body is too large", body = ProblemBody, content_type = "application/problem+json"),
        (status = 503, description = "The log does not answer", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn post_batch(
    State(app): State<Arc<App>>,
    Params(waiting): Params<Waiting>,
    JsonBody(body): JsonBody<ItemsBatch>,
) -> Result<Response, Problem> {
    if body.items.is_empty() || body.items.len() > BATCH_ITEMS_MAX {
        let detail = format!("{} items", body.items.len());
        let hint = format!("send 1 to {BATCH_ITEMS_MAX} items");
        return Err(
            Problem::bad_request("invalid_request", detail.clone()).at("/items", detail, hint)
        );
    }
    let mut items = Vec::with_capacity(body.items.len());
    for (index, value) in body.items.into_iter().enumerate() {
        let pointer = format!("/items/{index}");
        let item = read_item(&value).map_err(|rejection| refused(&pointer, rejection))?;
        let hidden = app.worlds.world().record(&item.item_id).is_some_and(|record| record.hidden);
        items.push(Item { hidden, ..check_rules(&app, &pointer, item)? });
    }
    write(&app, items, waiting.wait).await
}

/// Hides an item from everybody, until `:show`.
#[utoipa::path(
    post, path = "/v1/items/{id}:hide", tag = "items",
    params(
        ("id" = String, Path, description = "Item id"),
        ("wait" = Option<String>, Query, description = "`indexed`: answer 200 when it is in use"),
    ),
    responses(
        (status = 200, description = "It is in no answer", body = ItemsWritten),
        (status = 202, description = "It is on the log", body = ItemsWritten),
        (status = 404, description = "No such action", body = ProblemBody, content_type = "application/problem+json"),
        (status = 503, description = "The log does not answer", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn post_action(
    State(app): State<Arc<App>>,
    Path(target): Path<String>,
    Params(waiting): Params<Waiting>,
) -> Result<Response, Problem> {
    let action = target.rsplit_once(':');
    let (item_id, hidden) = match action {
        Some((item_id, "hide")) => (item_id, true),
        Some((item_id, "show")) => (item_id, false),
        Some(_) | None => {
            let detail = format!("`{target}`: an item knows the actions :hide and :show");
            return Err(Problem::not_found(detail));
        }
    };
    check_id(item_id)?;
    let known = app.worlds.world().record(item_id).map(|record| Item::clone(&record));
    let facts = known.unwrap_or_else(|| Item { item_id: item_id.to_owned(), ..Item::default() });
    write(&app, vec![Item { hidden, ..facts }], waiting.wait).await
}

/// Shows a hidden item again. Documentation only: [`post_action`] answers both.
#[utoipa::path(
    post, path = "/v1/items/{id}:show", tag = "items",
    params(
        ("id" = String, Path, description = "Item id"),
        ("wait" = Option<String>, Query, description = "`indexed`: answer 200 when it is in use"),
    ),
    responses(
        (status = 200, description = "It may be answered again", body = ItemsWritten),
        (status = 202, description = "It is on the log", body = ItemsWritten),
        (status = 503, description = "The log does not answer", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
#[expect(dead_code, reason = "carries the documentation of the second action")]
pub(crate) fn show_item() {}

async fn write(app: &App, items: Vec<Item>, wait: Option<Wait>) -> Result<Response, Problem> {
    let offsets = app.outlet.items(&items).await.map_err(|error| error.into_problem())?;
    let offset = offsets.iter().copied().max().unwrap_or(-1);
    let records: Vec<(i64, Item)> = offsets.into_iter().zip(items).collect();
    app.worlds.apply_items(&records);
    if wait.is_none() {
        return Ok((StatusCode::ACCEPTED, Json(ItemsWritten { offset })).into_response());
    }
    match tokio::time::timeout(INDEXED_WITHIN, app.worlds.world().indexed()).await {
        Ok(()) => Ok(Json(ItemsWritten { offset }).into_response()),
        Err(_) => {
            let detail = format!("not indexed within {} s", INDEXED_WITHIN.as_secs());
            Err(Problem::new(StatusCode::GATEWAY_TIMEOUT, "not_indexed", detail))
        }
    }
}

fn check_id(item_id: &str) -> Result<(), Problem> {
    let mut complaints = Complaints::default();
    complaints.id("/item_id", item_id);
    complaints.into_result()
}

/// The body with the id of the path, which it may repeat but not contradict.
fn with_id(mut body: Map<String, Value>, item_id: &str) -> Result<Map<String, Value>, Problem> {
    let stands = body.insert("item_id".to_owned(), item_id.into());
    match stands {
        Some(other) if other != item_id => {
            let detail = "item_id in the body is not that of the path";
            let problem = Problem::bad_request("invalid_item", detail);
            Err(problem.at("/item_id", detail, "leave it out"))
        }
        Some(_) | None => Ok(body),
    }
}

fn understand(app: &App, pointer: &str, facts: Map<String, Value>) -> Result<Item, Problem> {
    let item = read_item(&Value::Object(facts)).map_err(|rejection| refused(pointer, rejection))?;
    check_rules(app, pointer, item)
}

fn check_rules(app: &App, pointer: &str, item: Item) -> Result<Item, Problem> {
    match app.checks.check_item(&item) {
        None => Ok(item),
        Some(rejection) => Err(refused(pointer, rejection)),
    }
}

fn refused(pointer: &str, rejection: Rejection) -> Problem {
    let at = format!("{pointer}{}", rejection.pointer);
    Problem::bad_request("invalid_item", rejection.detail.clone()).at(
        at,
        rejection.detail,
        rejection.reason.code(),
    )
}

fn unknown(item_id: &str) -> Problem {
    Problem::not_found(format!("there is no item `{item_id}`"))
}

/// RFC 7396.
fn merge(target: &mut Value, patch: Value) {
    let Value::Object(patch) = patch else {
        *target = patch;
        return;
    };
    if !target.is_object() {
        *target = Value::Object(Map::new());
    }
    let Value::Object(fields) = target else { return };
    for (name, value) in patch {
        if value.is_null() {
            fields.remove(&name);
        } else {
            merge(fields.entry(name).or_insert(Value::Null), value);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[track_caller]
    fn check(mut target: Value, patch: Value, expected: Value) {
        merge(&mut target, patch);
        assert_eq!(target, expected);
    }

    #[test]
    fn a_patch_follows_rfc_7396() {
        check(json!({"a": 1, "b": 2}), json!({"b": null, "c": 3}), json!({"a": 1, "c": 3}));
        check(json!({"a": {"x": 1}}), json!({"a": {"y": 2}}), json!({"a": {"x": 1, "y": 2}}));
        check(json!({"a": [1]}), json!({"a": [2, 3]}), json!({"a": [2, 3]}));
        check(json!({"a": "text"}), json!({"a": {"b": null}}), json!({"a": {}}));
    }

    #[test]
    fn the_body_may_repeat_the_id_but_not_contradict_it() {
        let body = |id: &str| json!({"item_id": id}).as_object().cloned().unwrap();
        assert_eq!(with_id(Map::new(), "a").unwrap()["item_id"], "a");
        assert!(with_id(body("a"), "a").is_ok());
        assert_eq!(with_id(body("b"), "a").unwrap_err().errors[0].pointer, "/item_id");
    }
}
