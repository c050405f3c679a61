//! What is known of a user: windows, recent events, top items and tastes, read at this moment.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use upnext_common::deadline::Deadline;
use upnext_common::event::{Device, Event, EventBody, EventType, Subject};
use upnext_common::item::ItemHash;
use upnext_http::axum::Json;
use upnext_http::axum::extract::{Path, State};
use upnext_http::axum::http::{HeaderMap, StatusCode};
use upnext_http::axum::response::{IntoResponse, Response};
use upnext_http::utoipa;
use upnext_http::utoipa::ToSchema;
use upnext_http::{Params, Problem, ProblemBody};
use upnext_model::live::LiveItems;
use upnext_state::UserState;
use upnext_state::window::WINDOWS;
use uuid::Uuid;

use crate::admission;
use crate::answers::Nothing;
use crate::app::App;
use crate::ask::Complaints;

/// Longest wait for the store: nobody's page waits for this call.
const READ_WITHIN: Duration = Duration::from_millis(250);

/// What is known of a user.
#[derive(Debug, PartialEq, Serialize, ToSchema)]
pub(crate) struct UserFeatures {
    user_id: String,
    /// Whether the log ever spoke of this user.
    known: bool,
    /// Time of the newest event known.
    features_as_of_ms: Option<i64>,
    /// Counts by event word in the last 5 minutes, hour and day; only those above 0.
    windows: BTreeMap<&'static str, BTreeMap<&'static str, u32>>,
    /// Newest first, at most 64.
    recent: Vec<RecentEvent>,
    /// Heaviest first.
    top_items: Vec<TopItem>,
    /// Share of the top items' weight by category.
    tastes: BTreeMap<String, f64>,
}

#[derive(Debug, PartialEq, Serialize, ToSchema)]
pub(crate) struct RecentEvent {
    /// Null where the event is about no single item, or about one that nothing else speaks of.
    item_id: Option<String>,
    #[serde(rename = "type")]
    kind: &'static str,
    event_time: i64,
}

#[derive(Debug, PartialEq, Serialize, ToSchema)]
pub(crate) struct TopItem {
    item_id: Option<String>,
    /// Interactions, each halved every 30 days.
    weight: f64,
    /// Interactions in all.
    repeats: u32,
    last_ms: i64,
}

/// What is known of a user, at this moment.
#[utoipa::path(
    get, path = "/v1/users/{id}/features", tag = "users",
    params(("id" = String, Path, description = "User id")),
    responses(
        (status = 200, description = "What is known; `known` is false for a stranger", body = UserFeatures),
        (status = 503, description = "The online store does not answer", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn get_features(
    State(app): State<Arc<App>>,
    Path(user_id): Path<String>,
    Params(Nothing {}): Params<Nothing>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let now_ms = admission::as_of(&headers, app.rules)?.unwrap_or_else(|| app.clock.now_ms());
    let state = read_state(&app, &user_id).await?;
    let columns = app.world.columns();
    Ok(Json(describe(user_id, state.as_ref(), &columns.live, now_ms)).into_response())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Erasing {
    #[serde(default)]
    dry_run: bool,
}

/// What erasing a user has begun, or would.
#[derive(Debug, PartialEq, Serialize, ToSchema)]
pub(crate) struct Erasure {
    user_id: String,
    known: bool,
    /// Id of the erasing event; null in a dry run.
    event_id: Option<String>,
}

/// Erases what is held of a user: an event on the log, applied at its place.
#[utoipa::path(
    delete, path = "/v1/users/{id}", tag = "users",
    params(
        ("id" = String, Path, description = "User id"),
        ("dry_run" = Option<bool>, Query, description = "`true`: say what would happen"),
    ),
    responses(
        (status = 200, description = "The dry run", body = Erasure),
        (status = 202, description = "The erasure is on the log", body = Erasure),
        (status = 400, description = "The id is not one", body = ProblemBody, content_type = "application/problem+json"),
        (status = 503, description = "Store or log does not answer", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn delete_user(
    State(app): State<Arc<App>>,
    Path(user_id): Path<String>,
    Params(erasing): Params<Erasing>,
) -> Result<Response, Problem> {
    let mut complaints = Complaints::default();
    complaints.id("/user_id", &user_id);
    complaints.into_result()?;
    if erasing.dry_run {
        let known = read_state(&app, &user_id).await?.is_some_and(|state| !state.is_empty());
        return Ok(Json(Erasure { user_id, known, event_id: None }).into_response());
    }
    // Erasing does not depend on the store: it is an event, whether or not the state can be read now.
    let known = read_state(&app, &user_id).await.is_ok_and(|s| s.is_some_and(|s| !s.is_empty()));
    let now_ms = app.clock.now_ms();
    let event = erasure(user_id.clone(), now_ms);
    let event_id = Some(event.event_id.clone());
    app.outlet.events(&[event], now_ms).await.map_err(|error| error.into_problem())?;
    Ok((StatusCode::ACCEPTED, Json(Erasure { user_id, known, event_id })).into_response())
}

fn erasure(user_id: String, now_ms: i64) -> Event {
    Event {
        event_id: Uuid::now_v7().to_string(),
        event_time_ms: now_ms,
        user_id: Some(user_id),
        anonymous_id: None,
        session_id: "erase".to_owned(),
        surface: "api".to_owned(),
        decision_id: None,
        device: Device::Unknown,
        props: BTreeMap::new(),
        body: EventBody::UserErased,
    }
}

async fn read_state(app: &App, user_id: &str) -> Result<Option<UserState>, Problem> {
    let deadline = Deadline::after(app.clock.instant(), READ_WITHIN);
    let unavailable = |detail: String| {
        Problem::new(StatusCode::SERVICE_UNAVAILABLE, "features_unavailable", detail)
    };
    let blobs = app
        .hydrator
        .reader()
        .users(&[Subject::User(user_id)], deadline)
        .await
        .map_err(|error| unavailable(error.to_string()))?;
    match blobs.into_iter().next().flatten() {
        None => Ok(None),
        Some(blob) => match UserState::decode(&blob) {
            Ok(state) => Ok(Some(state)),
            Err(error) => Err(unavailable(format!("the stored state is not understood: {error}"))),
        },
    }
}

fn describe(
    user_id: String,
    state: Option<&UserState>,
    live: &LiveItems,
    now_ms: i64,
) -> UserFeatures {
    let Some(state) = state.filter(|state| !state.is_empty()) else {
        return UserFeatures {
            user_id,
            known: false,
            features_as_of_ms: None,
            windows: WINDOWS.iter().map(|window| (window.name, BTreeMap::new())).collect(),
            recent: Vec::new(),
            top_items: Vec::new(),
            tastes: BTreeMap::new(),
        };
    };
    UserFeatures {
        user_id,
        known: true,
        features_as_of_ms: Some(state.newest_ms()),
        windows: windows(state, now_ms),
        recent: recent(state, live),
        top_items: top_items(state, live, now_ms),
        tastes: tastes(state, live, now_ms),
    }
}

fn windows(state: &UserState, now_ms: i64) -> BTreeMap<&'static str, BTreeMap<&'static str, u32>> {
    let counts = state.windows(now_ms);
    let named = WINDOWS.iter().zip(counts).map(|(window, counts)| {
        let by_word = EventType::ALL.iter().zip(counts).filter(|(_, count)| *count > 0);
        (window.name, by_word.map(|(kind, count)| (kind.word(), count)).collect())
    });
    named.collect()
}

fn recent(state: &UserState, live: &LiveItems) -> Vec<RecentEvent> {
    let newest_first = state.recent().iter().rev();
    newest_first
        .map(|event| RecentEvent {
            item_id: event.item.and_then(|item| id_of(live, item)),
            kind: event.kind.name(),
            event_time: event.time_ms,
        })
        .collect()
}

fn top_items(state: &UserState, live: &LiveItems, now_ms: i64) -> Vec<TopItem> {
    let top = state.top_items(now_ms).into_iter();
    top.map(|top| TopItem {
        item_id: id_of(live, top.item),
        weight: top.weight,
        repeats: top.repeats,
        last_ms: top.last_ms,
    })
    .collect()
}

fn tastes(state: &UserState, live: &LiveItems, now_ms: i64) -> BTreeMap<String, f64> {
    let mut weights: BTreeMap<String, f64> = BTreeMap::new();
    let mut total = 0.0;
    for top in state.top_items(now_ms) {
        let Some(index) = live.index_of(top.item) else { continue };
        let record = live.item(index).record();
        if let Some(category) = record.and_then(|record| record.category.clone()) {
            *weights.entry(category).or_default() += top.weight;
            total += top.weight;
        }
    }
    if total > 0.0 {
        weights.values_mut().for_each(|weight| *weight /= total);
    }
    weights
}

fn id_of(live: &LiveItems, item: ItemHash) -> Option<String> {
    live.index_of(item).map(|index| live.id(index).to_owned())
}

#[cfg(test)]
mod tests;
#[cfg(test)]
pub(crate) use tests::click_at as click;
