//! The answering calls over HTTP: recommendations, rank, similar, trending. All answer in the same shape.

use std::sync::Arc;

use serde::Deserialize;
use upnext_http::axum::extract::{Path, State};
use upnext_http::axum::http::HeaderMap;
use upnext_http::axum::response::Response;
use upnext_http::utoipa;
use upnext_http::{JsonBody, Params, Problem, ProblemBody};

use crate::admission::admit;
use crate::answer::Answer;
use crate::app::App;
use crate::ask::{self, RankRequest, RecommendationsRequest, SURFACE_DEFAULT};
use crate::engine::{Question, Want, answer};

/// No query parameters are known.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Nothing {}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct UserPage {
    k: Option<u32>,
    surface: Option<String>,
    anonymous_id: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Page {
    k: Option<u32>,
    surface: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct TrendingPage {
    category: Option<String>,
    k: Option<u32>,
    surface: Option<String>,
}

/// Recommends items to a user, known, anonymous or neither.
#[utoipa::path(
    post, path = "/v1/recommendations", tag = "answers", request_body = RecommendationsRequest,
    params(
        ("X-Upnext-Deadline-Ms" = Option<u64>, Header, description = "Longest time the answer may take"),
        ("X-Upnext-As-Of-Ms" = Option<i64>, Header, description = "Sets now (only with serve.allow_as_of)"),
        ("X-Upnext-Tier" = Option<String>, Header, description = "Forces a rung (only with serve.allow_as_of)"),
    ),
    responses(
        (status = 200, description = "The answer, whatever the state of what it depends on", body = Answer),
        (status = 400, description = "The request breaks a limit", body = ProblemBody, content_type = "application/problem+json"),
        (status = 413, description = "The body is too large", body = ProblemBody, content_type = "application/problem+json"),
        (status = 503, description = "Not ready yet", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn post_recommendations(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    Params(Nothing {}): Params<Nothing>,
    JsonBody(request): JsonBody<RecommendationsRequest>,
) -> Result<Response, Problem> {
    let admission = admit(&headers, app.rules, &app.clock)?;
    ask::check(&request)?;
    Ok(answer(&app, Question { request, want: Want::Recommend, admission }).await)
}

/// Recommends items to a known user.
#[utoipa::path(
    get, path = "/v1/recommendations/{user_id}", tag = "answers",
    params(
        ("user_id" = String, Path, description = "User id"),
        ("k" = Option<u32>, Query, description = "How many items, 1 to 200; 10 without it"),
        ("surface" = Option<String>, Query, description = "Where the answer will be shown"),
        ("anonymous_id" = Option<String>, Query, description = "The same user before signing in"),
    ),
    responses(
        (status = 200, description = "The answer", body = Answer),
        (status = 400, description = "A parameter is wrong", body = ProblemBody, content_type = "application/problem+json"),
        (status = 503, description = "Not ready yet", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn get_recommendations(
    State(app): State<Arc<App>>,
    Path(user_id): Path<String>,
    headers: HeaderMap,
    Params(page): Params<UserPage>,
) -> Result<Response, Problem> {
    let admission = admit(&headers, app.rules, &app.clock)?;
    let request = RecommendationsRequest {
        user_id: Some(user_id),
        anonymous_id: page.anonymous_id,
        ..of_page(page.k, page.surface)
    };
    ask::check(&request)?;
    Ok(answer(&app, Question { request, want: Want::Recommend, admission }).await)
}

/// Ranks the caller's own candidates for a user.
#[utoipa::path(
    post, path = "/v1/rank", tag = "answers", request_body = RankRequest,
    responses(
        (status = 200, description = "The candidates, best first", body = Answer),
        (status = 400, description = "The request breaks a limit", body = ProblemBody, content_type = "application/problem+json"),
        (status = 413, description = "The body is too large", body = ProblemBody, content_type = "application/problem+json"),
        (status = 503, description = "Not ready yet", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn post_rank(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    Params(Nothing {}): Params<Nothing>,
    JsonBody(request): JsonBody<RankRequest>,
) -> Result<Response, Problem> {
    let admission = admit(&headers, app.rules, &app.clock)?;
    let (request, items) = request.split();
    ask::check_rank(&request, &items)?;
    Ok(answer(&app, Question { request, want: Want::Rank(items), admission }).await)
}

/// Items like this one.
#[utoipa::path(
    get, path = "/v1/items/{id}/similar", tag = "answers",
    params(
        ("id" = String, Path, description = "Item id"),
        ("k" = Option<u32>, Query, description = "How many items, 1 to 200; 10 without it"),
        ("surface" = Option<String>, Query, description = "Where the answer will be shown"),
    ),
    responses(
        (status = 200, description = "The answer", body = Answer),
        (status = 400, description = "A parameter is wrong", body = ProblemBody, content_type = "application/problem+json"),
        (status = 404, description = "No such item", body = ProblemBody, content_type = "application/problem+json"),
        (status = 503, description = "Not ready yet", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn get_similar(
    State(app): State<Arc<App>>,
    Path(item_id): Path<String>,
    headers: HeaderMap,
    Params(page): Params<Page>,
) -> Result<Response, Problem> {
    let admission = admit(&headers, app.rules, &app.clock)?;
    let request = of_page(page.k, page.surface);
    ask::check(&request)?;
    if !app.worlds.world().knows(&item_id) {
        let detail = format!("there is no item `{item_id}`");
        return Err(Problem::not_found(detail));
    }
    Ok(answer(&app, Question { request, want: Want::Similar(item_id), admission }).await)
}

/// What many take interest in at this moment.
#[utoipa::path(
    get, path = "/v1/trending", tag = "answers",
    params(
        ("category" = Option<String>, Query, description = "Only items of this category"),
        ("k" = Option<u32>, Query, description = "How many items, 1 to 200; 10 without it"),
        ("surface" = Option<String>, Query, description = "Where the answer will be shown"),
    ),
    responses(
        (status = 200, description = "The answer", body = Answer),
        (status = 400, description = "A parameter is wrong", body = ProblemBody, content_type = "application/problem+json"),
        (status = 503, description = "Not ready yet", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn get_trending(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    Params(page): Params<TrendingPage>,
) -> Result<Response, Problem> {
    let admission = admit(&headers, app.rules, &app.clock)?;
    let mut request = of_page(page.k, page.surface);
    request.filters.category_in = page.category.map(|category| vec![category]);
    ask::check(&request)?;
    Ok(answer(&app, Question { request, want: Want::Trending, admission }).await)
}

fn of_page(k: Option<u32>, surface: Option<String>) -> RecommendationsRequest {
    RecommendationsRequest {
        k,
        surface: surface.unwrap_or_else(|| SURFACE_DEFAULT.to_owned()),
        ..RecommendationsRequest::default()
    }
}
