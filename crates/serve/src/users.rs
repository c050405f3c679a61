//! What is known of a user: windows, recent events, top items and tastes, read at this moment.

pub(crate) mod erase;
pub(crate) mod export;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde::Serialize;
use upnext_common::deadline::Deadline;
use upnext_common::event::{EventType, Subject};
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
use upnext_store::Reader;

use crate::admission;
use crate::answers::Nothing;
use crate::app::App;

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
    let served = app.worlds.served();
    let stored = read_states(&app, &served.reader, &[Subject::User(&user_id)]).await?.remove(0);
    let state = stored.map(|stored| stored.state);
    let columns = served.world.columns();
    Ok(Json(describe(user_id, state.as_ref(), &columns.live, now_ms)).into_response())
}

/// The user, and the anonymous id that was named with it.
fn subjects<'a>(user_id: &'a str, anonymous_id: Option<&'a str>) -> Vec<Subject<'a>> {
    let anonymous = anonymous_id.map(Subject::Anonymous);
    std::iter::once(Subject::User(user_id)).chain(anonymous).collect()
}

/// A state as it is stored.
pub(crate) struct Stored {
    state: UserState,
    /// Bytes that it takes there.
    bytes: usize,
}

/// The stored states of subjects, each as they are; `None` for strangers.
async fn read_states(
    app: &App,
    reader: &Reader,
    subjects: &[Subject<'_>],
) -> Result<Vec<Option<Stored>>, Problem> {
    let deadline = Deadline::after(app.clock.instant(), READ_WITHIN);
    let unavailable = |detail: String| {
        Problem::new(StatusCode::SERVICE_UNAVAILABLE, "features_unavailable", detail)
    };
    let blobs = reader.users(subjects, deadline).await;
    let blobs = blobs.map_err(|error| unavailable(error.to_string()))?;
    let decode =
        |blob: Bytes| UserState::decode(&blob).map(|state| Stored { state, bytes: blob.len() });
    let decoded = blobs.into_iter().map(|blob| blob.map(decode).transpose());
    decoded
        .collect::<Result<_, _>>()
        .map_err(|error| unavailable(format!("a stored state is not understood: {error}")))
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
