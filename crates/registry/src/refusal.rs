//! Refusals, with the error codes that clients of schema registries know.

use std::fmt::Display;

use serde_json::{Value, json};
use upnext_http::axum::http::{StatusCode, header};
use upnext_http::axum::response::{IntoResponse, Response};

const CONTENT_TYPE: &str = "application/vnd.schemaregistry.v1+json";

/// What is answered instead of what was asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    /// An HTTP status, or one followed by two more digits.
    pub(crate) code: u32,
    pub(crate) message: String,
}

impl Refusal {
    pub(crate) fn new(code: u32, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }

    pub(crate) fn subject_not_found(subject: &str) -> Self {
        Self::new(40_401, format!("Subject '{subject}' not found."))
    }

    pub(crate) fn version_not_found(version: u32) -> Self {
        Self::new(40_402, format!("Version {version} not found."))
    }

    pub(crate) fn schema_not_found(id: u32) -> Self {
        Self::new(40_403, format!("Schema {id} not found"))
    }

    pub(crate) fn invalid_schema(detail: impl Display) -> Self {
        Self::new(42_201, format!("Invalid schema: {detail}"))
    }

    pub(crate) fn invalid_version(version: &str) -> Self {
        let allowed = "Allowed values are between [1, 2^31-1] and the string \"latest\"";
        let message =
            format!("The specified version '{version}' is not a valid version id. {allowed}");
        Self::new(42_202, message)
    }

    pub(crate) fn store(error: impl Display) -> Self {
        Self::new(50_001, format!("Error in the backend data store: {error}"))
    }

    fn status(&self) -> StatusCode {
        let status = if self.code > 999 { self.code / 100 } else { self.code };
        let known = u16::try_from(status).ok().and_then(|status| StatusCode::from_u16(status).ok());
        known.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let body = json!({ "error_code": self.code, "message": self.message });
        answer(self.status(), &body)
    }
}

/// A JSON answer in the registry's own content type.
pub(crate) fn answer(status: StatusCode, body: &Value) -> Response {
    (status, [(header::CONTENT_TYPE, CONTENT_TYPE)], body.to_string()).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_status_is_the_front_of_the_code() {
        for (code, status) in [(40_401, 404), (42_201, 422), (409, 409), (50_001, 500), (7, 500)] {
            let response = Refusal::new(code, "m").into_response();
            assert_eq!(response.status().as_u16(), status, "{code}");
            assert_eq!(response.headers()[header::CONTENT_TYPE], CONTENT_TYPE);
        }
    }
}
