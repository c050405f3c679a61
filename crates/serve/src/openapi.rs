//! The description of the API by itself, held to be valid by its tests.

use upnext_http::utoipa;
use upnext_http::utoipa::OpenApi;
use upnext_http::{FieldError, ProblemBody};

use crate::{answer, answers, ask, events, items, users};

/// All public calls.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "Upnext",
        description = "The open personalization server: answers on time, explainable, replayable.",
        license(name = "Apache-2.0", identifier = "Apache-2.0"),
    ),
    paths(
        answers::post_recommendations,
        answers::get_recommendations,
        answers::post_rank,
        answers::get_similar,
        answers::get_trending,
        events::post_events,
        items::put_item,
        items::patch_item,
        items::delete_item,
        items::get_item,
        items::post_batch,
        items::post_action,
        items::show_item,
        users::get_features,
        users::export::export_user,
        users::erase::delete_user,
    ),
    components(schemas(
        answer::Answer,
        answer::AnsweredItem,
        ask::RecommendationsRequest,
        ask::RankRequest,
        ask::Context,
        ask::Filters,
        ask::Seen,
        events::EventsRequest,
        events::EventsResponse,
        events::RejectedEvent,
        items::ItemBody,
        items::ItemsBatch,
        items::ItemsWritten,
        users::UserFeatures,
        users::RecentEvent,
        users::TopItem,
        users::erase::Erasure,
        users::erase::Holdings,
        users::export::Export,
        users::export::HeldState,
        users::export::HeldPosition,
        users::export::HeldItem,
        users::export::HeldEvent,
        users::export::HeldTop,
        ProblemBody,
        FieldError,
    )),
    tags(
        (name = "answers", description = "What to show"),
        (name = "events", description = "What happened"),
        (name = "items", description = "What there is"),
        (name = "users", description = "What is known"),
    )
)]
pub(crate) struct Api;

#[cfg(test)]
mod tests;
