//! Everything that is held of a user, as it stands.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use upnext_common::event::{EventType, Subject};
use upnext_common::item::ItemHash;
use upnext_http::axum::Json;
use upnext_http::axum::extract::{Path, State};
use upnext_http::axum::http::HeaderMap;
use upnext_http::axum::response::{IntoResponse, Response};
use upnext_http::utoipa;
use upnext_http::utoipa::ToSchema;
use upnext_http::{Params, Problem, ProblemBody};
use upnext_model::live::LiveItems;

use super::{Stored, UserFeatures, describe, id_of, read_states, subjects, windows};
use crate::admission;
use crate::app::App;
use crate::ask::Complaints;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Exporting {
    anonymous_id: Option<String>,
}

/// Everything that is held of a user.
#[derive(Debug, PartialEq, Serialize, ToSchema)]
pub(crate) struct Export {
    user_id: String,
    /// Whether anything is held, of the user or of the anonymous id that was named.
    known: bool,
    /// What answers are made from: the user's state, merged with that of the anonymous id.
    features: UserFeatures,
    /// The states themselves; only those that hold anything.
    states: Vec<HeldState>,
}

/// One stored state, taken apart.
#[derive(Debug, PartialEq, Serialize, ToSchema)]
pub(crate) struct HeldState {
    /// `user` or `anonymous`.
    subject: &'static str,
    id: String,
    /// Up to where the log is in it.
    position: HeldPosition,
    /// Time of the newest event.
    newest_ms: i64,
    /// Events ever counted, by type.
    counts: BTreeMap<&'static str, u64>,
    /// Sessions with at least one interaction.
    sessions: u64,
    /// Counts by event word in the last 5 minutes, hour and day; only those above 0.
    windows: BTreeMap<&'static str, BTreeMap<&'static str, u32>>,
    /// The last events, newest first.
    recent: Vec<HeldEvent>,
    top_items: Vec<HeldTop>,
    /// Oldest first.
    hidden_items: Vec<HeldItem>,
    /// Hashes of the ids of recent events, by which a repeat is known; oldest first.
    event_ids: Vec<String>,
    /// Bytes that the state takes in the store.
    bytes: usize,
}

#[derive(Debug, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct HeldPosition {
    epoch: u32,
    /// Offset after the last event that changed the state.
    next_offset: i64,
}

/// States speak of items by hash; the id is told where the catalogue or the log knows it.
#[derive(Debug, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct HeldItem {
    item_id: Option<String>,
    item_hash: String,
}

#[derive(Debug, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct HeldEvent {
    #[serde(rename = "type")]
    kind: &'static str,
    event_time: i64,
    /// Hash of the session id.
    session: String,
    item: Option<HeldItem>,
}

#[derive(Debug, PartialEq, Serialize, ToSchema)]
pub(crate) struct HeldTop {
    item: HeldItem,
    weight: f64,
    repeats: u32,
    last_ms: i64,
}

/// Everything that is held of a user.
#[utoipa::path(
    get, path = "/v1/users/{id}/export", tag = "users",
    params(
        ("id" = String, Path, description = "User id"),
        ("anonymous_id" = Option<String>, Query, description = "Export what is held of this anonymous id as well"),
    ),
    responses(
        (status = 200, description = "What is held; `known` is false and `states` empty for a stranger", body = Export),
        (status = 400, description = "The id is not one", body = ProblemBody, content_type = "application/problem+json"),
        (status = 503, description = "The online store does not answer", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn export_user(
    State(app): State<Arc<App>>,
    Path(user_id): Path<String>,
    Params(Exporting { anonymous_id }): Params<Exporting>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let now_ms = admission::as_of(&headers, app.rules)?.unwrap_or_else(|| app.clock.now_ms());
    let mut complaints = Complaints::default();
    complaints.id("/user_id", &user_id);
    if let Some(anonymous_id) = &anonymous_id {
        complaints.id("/anonymous_id", anonymous_id);
    }
    complaints.into_result()?;
    let served = app.worlds.served();
    let subjects = subjects(&user_id, anonymous_id.as_deref());
    let states = read_states(&app, &served.reader, &subjects).await?;
    let columns = served.world.columns();
    let found =
        || subjects.iter().zip(&states).filter_map(|(who, stored)| Some((*who, stored.as_ref()?)));
    let known = found().filter(|(_, stored)| !stored.state.is_empty());
    let held: Vec<HeldState> =
        known.map(|(subject, stored)| held(subject, stored, &columns.live, now_ms)).collect();
    let merged = found().map(|(_, stored)| stored.state.clone());
    let merged = merged.reduce(|all, state| all.merge(&state));
    let features = describe(user_id.clone(), merged.as_ref(), &columns.live, now_ms);
    Ok(Json(Export { user_id, known: !held.is_empty(), features, states: held }).into_response())
}

fn held(subject: Subject<'_>, stored: &Stored, live: &LiveItems, now_ms: i64) -> HeldState {
    let Stored { state, bytes } = stored;
    let item = |hash: ItemHash| HeldItem {
        item_id: id_of(live, hash),
        item_hash: format!("{:016x}", hash.0),
    };
    let counts = EventType::ALL.iter().map(|kind| (kind.word(), state.lifetime(*kind)));
    let position = state.position();
    HeldState {
        subject: match subject {
            Subject::User(_) => "user",
            Subject::Anonymous(_) => "anonymous",
        },
        id: subject.id().to_owned(),
        position: HeldPosition { epoch: position.epoch, next_offset: position.next_offset },
        newest_ms: state.newest_ms(),
        counts: counts.filter(|(_, count)| *count > 0).collect(),
        sessions: state.sessions(),
        windows: windows(state, now_ms),
        recent: state
            .recent()
            .iter()
            .rev()
            .map(|event| HeldEvent {
                kind: event.kind.name(),
                event_time: event.time_ms,
                session: format!("{:016x}", event.session),
                item: event.item.map(item),
            })
            .collect(),
        top_items: state
            .top_items(now_ms)
            .into_iter()
            .map(|top| HeldTop {
                item: item(top.item),
                weight: top.weight,
                repeats: top.repeats,
                last_ms: top.last_ms,
            })
            .collect(),
        hidden_items: state.hidden().iter().copied().map(item).collect(),
        event_ids: state.event_ids().iter().map(|hash| format!("{hash:08x}")).collect(),
        bytes: *bytes,
    }
}

#[cfg(test)]
mod tests {
    use upnext_state::UserState;

    use super::*;

    #[test]
    fn a_state_is_told_whole() {
        let event = crate::users::click("u", "a", 1_760_000_000_000);
        let mut state = UserState::new();
        state.apply(&event, event.event_time_ms, 41, &mut Vec::new());
        // As another version of the encoding has stored it.
        let stored = Stored { bytes: state.encode().len() + 7, state: state.clone() };
        let held = held(Subject::User("u"), &stored, &LiveItems::new(), event.event_time_ms);
        assert_eq!((held.subject, held.id.as_str(), held.sessions), ("user", "u", 1));
        assert_eq!(held.position, HeldPosition { epoch: 0, next_offset: 42 });
        assert_eq!(held.counts, BTreeMap::from([("click", 1)]));
        let item_hash = format!("{:016x}", ItemHash::of("a").0);
        let item = HeldItem { item_id: None, item_hash };
        assert_eq!(held.recent[0].item.as_ref(), Some(&item));
        assert_eq!(held.top_items[0].item, item);
        assert_eq!(held.windows["5m"], BTreeMap::from([("click", 1)]));
        assert_eq!(held.event_ids, [format!("{:08x}", state.event_ids()[0])]);
        assert_eq!(held.bytes, state.encode().len() + 7);
    }
}
