//! Errors over HTTP: one shape, RFC 9457 `application/problem+json`, naming what is wrong by JSON pointer.

use std::borrow::Cow;

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

pub const MEDIA_TYPE: &str = "application/problem+json";

/// Why a request was not answered. Becomes a response; the request id is filled in on the way out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    pub status: StatusCode,
    /// Stable word that programs may switch on.
    pub code: &'static str,
    pub detail: String,
    pub errors: Vec<FieldError>,
}

/// One thing that is wrong with the request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FieldError {
    /// RFC 6901 pointer into the body; for a query parameter, its name after a slash.
    pub pointer: String,
    pub detail: String,
    /// What to do about it; may be empty.
    pub hint: String,
}

/// A problem as it stands on the wire.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ProblemBody {
    /// `urn:upnext:problem:` and the code.
    #[serde(rename = "type")]
    pub kind: String,
    /// The status in words.
    pub title: String,
    pub status: u16,
    pub detail: String,
    /// Stable word that programs may switch on.
    pub code: String,
    /// Also the response header `x-request-id`.
    pub request_id: String,
    pub errors: Vec<FieldError>,
}

impl Problem {
    #[must_use]
    pub fn new(status: StatusCode, code: &'static str, detail: impl Into<String>) -> Self {
        Self { status, code, detail: detail.into(), errors: Vec::new() }
    }

    #[must_use]
    pub fn bad_request(code: &'static str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code, detail)
    }

    #[must_use]
    pub fn not_found(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", detail)
    }

    #[must_use]
    pub fn too_large(bytes_max: usize) -> Self {
        let detail = format!("the body is larger than {bytes_max} bytes");
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", detail)
    }

    #[must_use]
    pub fn unprocessable(code: &'static str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, code, detail)
    }

    #[must_use]
    pub fn unavailable(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", detail)
    }

    /// Our own fault. `detail` is shown to the caller: say nothing in it that is not for them.
    #[must_use]
    pub fn internal(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", detail)
    }

    /// Names one thing that is wrong; may be called more than once.
    #[must_use]
    pub fn at(
        mut self,
        pointer: impl Into<String>,
        detail: impl Into<String>,
        hint: impl Into<String>,
    ) -> Self {
        let (pointer, detail, hint) = (pointer.into(), detail.into(), hint.into());
        self.errors.push(FieldError { pointer, detail, hint });
        self
    }

    /// What a foreign error response (a rejection of axum's, say) becomes.
    pub(crate) fn of_status(status: StatusCode, detail: String) -> Self {
        let code = match status {
            StatusCode::NOT_FOUND => "not_found",
            StatusCode::METHOD_NOT_ALLOWED => "method_not_allowed",
            StatusCode::PAYLOAD_TOO_LARGE => "body_too_large",
            StatusCode::UNSUPPORTED_MEDIA_TYPE => "unsupported_media_type",
            StatusCode::REQUEST_TIMEOUT => "request_timeout",
            status if status.is_server_error() => "internal",
            _ => "bad_request",
        };
        let detail = if detail.is_empty() { title(status).to_ascii_lowercase() } else { detail };
        Self::new(status, code, detail)
    }

    pub(crate) fn body(&self, request_id: &str) -> ProblemBody {
        ProblemBody {
            kind: format!("urn:upnext:problem:{}", self.code),
            title: title(self.status).into_owned(),
            status: self.status.as_u16(),
            detail: self.detail.clone(),
            code: self.code.to_owned(),
            request_id: request_id.to_owned(),
            errors: self.errors.clone(),
        }
    }

    pub(crate) fn response(&self, request_id: &str) -> Response {
        let mut response = (self.status, Json(self.body(request_id))).into_response();
        let media_type = HeaderValue::from_static(MEDIA_TYPE);
        response.headers_mut().insert(header::CONTENT_TYPE, media_type);
        response
    }
}

impl IntoResponse for Problem {
    /// The body is written again, with the request id, by [`crate::frame`].
    fn into_response(self) -> Response {
        let mut response = self.response("");
        response.extensions_mut().insert(self);
        response
    }
}

/// A pointer to `name` below `parent`, with RFC 6901 escapes.
#[must_use]
pub fn pointer_to(parent: &str, name: &str) -> String {
    format!("{parent}/{}", name.replace('~', "~0").replace('/', "~1"))
}

fn title(status: StatusCode) -> Cow<'static, str> {
    status.canonical_reason().map_or_else(|| Cow::from(status.as_str().to_owned()), Cow::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_reads_as_the_surface_says() {
        let problem = Problem::bad_request("out_of_range", "k is out of range").at(
            "/k",
            "must be 1 to 200",
            "ask for fewer",
        );
        let written = serde_json::to_value(problem.body("r-1")).unwrap();
        let expected = serde_json::json!({
            "type": "urn:upnext:problem:out_of_range",
            "title": "Bad Request",
            "status": 400,
            "detail": "k is out of range",
            "code": "out_of_range",
            "request_id": "r-1",
            "errors": [{"pointer": "/k", "detail": "must be 1 to 200", "hint": "ask for fewer"}],
        });
        assert_eq!(written, expected);
    }

    #[test]
    fn pointers_are_escaped() {
        assert_eq!(pointer_to("/a", "b/c~d"), "/a/b~1c~0d");
    }

    #[test]
    fn every_constructor_has_its_status() {
        let status_of = |problem: Problem| problem.status.as_u16();
        assert_eq!(status_of(Problem::not_found("x")), 404);
        assert_eq!(status_of(Problem::too_large(1)), 413);
        assert_eq!(status_of(Problem::unprocessable("x", "y")), 422);
        assert_eq!(status_of(Problem::internal("x")), 500);
        assert_eq!(status_of(Problem::unavailable("x")), 503);
    }
}
