//! Which path leads where.

use std::sync::Arc;

use upnext_http::axum::Router;
use upnext_http::axum::extract::{Request, State};
use upnext_http::axum::http::StatusCode;
use upnext_http::axum::middleware::{Next, from_fn_with_state};
use upnext_http::axum::response::{IntoResponse, Response};
use upnext_http::axum::routing::{get, post};
use upnext_http::utoipa::OpenApi;
use upnext_http::{Problem, docs, frame};

use crate::app::App;
use crate::{answers, events, items, openapi, users};

/// The public API with its documentation.
pub(crate) fn router(app: Arc<App>) -> Router {
    let metrics = app.metrics.clone();
    let api = Router::new()
        .route("/v1/recommendations", post(answers::post_recommendations))
        .route("/v1/recommendations/{user_id}", get(answers::get_recommendations))
        .route("/v1/rank", post(answers::post_rank))
        .route("/v1/trending", get(answers::get_trending))
        .route("/v1/events", post(events::post_events))
        .route("/v1/items:batch", post(items::post_batch))
        .route(
            "/v1/items/{id}",
            get(items::get_item)
                .put(items::put_item)
                .patch(items::patch_item)
                .delete(items::delete_item)
                .post(items::post_action),
        )
        .route("/v1/items/{id}/similar", get(answers::get_similar))
        .route("/v1/users/{id}/features", get(users::get_features))
        .route("/v1/users/{id}/export", get(users::export::export_user))
        .route("/v1/users/{id}", upnext_http::axum::routing::delete(users::erase::delete_user))
        .layer(from_fn_with_state(Arc::clone(&app), when_ready))
        .with_state(app);
    let description = serde_json::to_value(openapi::Api::openapi()).unwrap_or_default();
    frame::counted(api, &metrics).merge(docs::router(description))
}

/// 503 before the catalogue, the item states and the model have been looked at.
async fn when_ready(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    if app.readiness.is_ready() {
        return next.run(request).await;
    }
    let detail = "starting: the catalogue is still being read";
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, "not_ready", detail).into_response()
}
