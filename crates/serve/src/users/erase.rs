//! Erasing a user: an event on the log, applied at its place.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use upnext_common::event::{Device, Event, EventBody, EventType, Subject};
use upnext_http::axum::Json;
use upnext_http::axum::extract::{Path, State};
use upnext_http::axum::http::StatusCode;
use upnext_http::axum::response::{IntoResponse, Response};
use upnext_http::utoipa;
use upnext_http::utoipa::ToSchema;
use upnext_http::{Params, Problem, ProblemBody};
use uuid::Uuid;

use super::{Stored, read_states, subjects};
use crate::app::App;
use crate::ask::Complaints;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Erasing {
    #[serde(default)]
    dry_run: bool,
    anonymous_id: Option<String>,
}

/// What erasing a user has begun, or would.
#[derive(Debug, PartialEq, Serialize, ToSchema)]
pub(crate) struct Erasure {
    user_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    anonymous_id: Option<String>,
    /// Whether anything is held; null where the store does not say.
    known: Option<bool>,
    /// What is held now; null where the store does not say.
    held: Option<Holdings>,
    /// Id of the event that erases the user; null in a dry run.
    event_id: Option<String>,
    /// Id of the event that erases the anonymous id, where one was named.
    #[serde(skip_serializing_if = "Option::is_none")]
    anonymous_event_id: Option<String>,
}

/// How much is held of a user, or of a user and an anonymous id together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct Holdings {
    /// Events counted.
    events: u64,
    sessions: u64,
    /// Different items among the last events, the top items and the hidden ones.
    items: usize,
    hidden_items: usize,
}

impl Holdings {
    fn of(states: &[Option<Stored>]) -> Self {
        let mut found = Self::default();
        let mut items = HashSet::new();
        for Stored { state, .. } in states.iter().flatten() {
            found.events += EventType::ALL.iter().map(|kind| state.lifetime(*kind)).sum::<u64>();
            found.sessions += state.sessions();
            found.hidden_items += state.hidden().len();
            items.extend(state.recent().iter().filter_map(|event| event.item));
            items.extend(state.top_items(state.newest_ms()).iter().map(|top| top.item));
            items.extend(state.hidden());
        }
        found.items = items.len();
        found
    }

    fn is_nothing(self) -> bool {
        self == Self::default()
    }
}

/// Erases what is held of a user: an event on the log, applied at its place.
#[utoipa::path(
    delete, path = "/v1/users/{id}", tag = "users",
    params(
        ("id" = String, Path, description = "User id"),
        ("anonymous_id" = Option<String>, Query, description = "Erase what is held of this anonymous id as well"),
        ("dry_run" = Option<bool>, Query, description = "`true`: say what would go"),
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
    let Erasing { dry_run, anonymous_id } = erasing;
    let mut complaints = Complaints::default();
    complaints.id("/user_id", &user_id);
    if let Some(anonymous_id) = &anonymous_id {
        complaints.id("/anonymous_id", anonymous_id);
    }
    complaints.into_result()?;
    let served = app.worlds.served();
    let subjects = subjects(&user_id, anonymous_id.as_deref());
    let states = read_states(&app, &served.reader, &subjects).await;
    if dry_run {
        let held = Holdings::of(&states?);
        let (event_id, anonymous_event_id) = (None, None);
        let (known, held) = (Some(!held.is_nothing()), Some(held));
        let told = Erasure { user_id, anonymous_id, known, held, event_id, anonymous_event_id };
        return Ok(Json(told).into_response());
    }
    // Erasing does not depend on the store: it is an event, whether or not the state can be read now.
    let held = states.ok().map(|states| Holdings::of(&states));
    let now_ms = app.clock.now_ms();
    let events: Vec<Event> = subjects.into_iter().map(|subject| erasure(subject, now_ms)).collect();
    app.outlet.events(&events, now_ms).await.map_err(|error| error.into_problem())?;
    let mut ids = events.into_iter().map(|event| event.event_id);
    let (event_id, anonymous_event_id) = (ids.next(), ids.next());
    let known = held.map(|held| !held.is_nothing());
    let told = Erasure { user_id, anonymous_id, known, held, event_id, anonymous_event_id };
    Ok((StatusCode::ACCEPTED, Json(told)).into_response())
}

pub(super) fn erasure(subject: Subject<'_>, now_ms: i64) -> Event {
    let (user_id, anonymous_id) = match subject {
        Subject::User(id) => (Some(id.to_owned()), None),
        Subject::Anonymous(id) => (None, Some(id.to_owned())),
    };
    Event {
        event_id: Uuid::now_v7().to_string(),
        event_time_ms: now_ms,
        user_id,
        anonymous_id,
        session_id: "erase".to_owned(),
        surface: "api".to_owned(),
        decision_id: None,
        device: Device::Unknown,
        props: BTreeMap::new(),
        body: EventBody::UserErased,
    }
}
