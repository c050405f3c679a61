//! The API's description and a page to read it, without a single request to anywhere else.

use axum::Router;
use axum::http::{HeaderValue, header};
use axum::middleware::{Next, from_fn};
use utoipa_swagger_ui::{Config, SwaggerUi};

/// Browsers refuse whatever the page might fetch from elsewhere.
const ONLY_OURS: HeaderValue = HeaderValue::from_static(
    "default-src 'self'; style-src 'self' 'unsafe-inline'; script-src 'self' 'unsafe-inline'; img-src 'self' data:",
);

/// `/openapi.json` and `/docs`.
pub fn router(openapi: serde_json::Value) -> Router {
    // Swagger UI would show a badge of an outside validator on every host that is not local.
    let config = Config::new(["/openapi.json"]).validator_url("none");
    let page =
        SwaggerUi::new("/docs").external_url_unchecked("/openapi.json", openapi).config(config);
    Router::from(page).layer(from_fn(|request, next: Next| async move {
        let mut response = next.run(request).await;
        response.headers_mut().insert(header::CONTENT_SECURITY_POLICY, ONLY_OURS);
        response
    }))
}

#[cfg(test)]
mod tests;
