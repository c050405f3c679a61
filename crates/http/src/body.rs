//! Request bodies: read within limits of size and time, and said to be wrong where they are wrong.

use std::time::Duration;

use axum::extract::{FromRequest, Request};
use axum::http::{HeaderMap, StatusCode, header};
use bytes::Bytes;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde::de::DeserializeOwned;
use serde_json::error::Category;
use serde_path_to_error::{Path, Segment};

use crate::closest::closest;
use crate::frame::BodyBytesMax;
use crate::problem::{Problem, pointer_to};

/// Longest time in which a body must have arrived.
const BODY_READ_TIMEOUT: Duration = Duration::from_secs(10);

/// The whole body, at most as large as the listener allows.
#[derive(Clone, Debug)]
pub struct RawBody(pub Bytes);

impl<S: Send + Sync> FromRequest<S> for RawBody {
    type Rejection = Problem;

    async fn from_request(request: Request, _state: &S) -> Result<Self, Problem> {
        let BodyBytesMax(bytes_max) =
            request.extensions().get().copied().unwrap_or(BodyBytesMax::DEFAULT);
        let body = Limited::new(request.into_body(), bytes_max);
        match tokio::time::timeout(BODY_READ_TIMEOUT, body.collect()).await {
            Ok(Ok(collected)) => Ok(Self(collected.to_bytes())),
            Ok(Err(cause)) if cause.is::<LengthLimitError>() => Err(Problem::too_large(bytes_max)),
            Ok(Err(cause)) => Err(Problem::bad_request("unreadable_body", cause.to_string())),
            Err(_) => {
                let detail = "the body did not arrive in time";
                Err(Problem::new(StatusCode::REQUEST_TIMEOUT, "request_timeout", detail))
            }
        }
    }
}

/// A JSON body as a `T`.
#[derive(Clone, Debug)]
pub struct JsonBody<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for JsonBody<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        check_media_type(request.headers())?;
        let RawBody(bytes) = RawBody::from_request(request, state).await?;
        parse(&bytes).map(Self)
    }
}

/// Reads JSON, saying by line and column where it is no JSON, and by pointer where it is not a `T`.
///
/// # Errors
/// A 400 problem with code `malformed_json`, `unknown_field`, `missing_field` or `invalid_field`.
pub fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    let value = serde_path_to_error::deserialize(&mut reader).map_err(|error| {
        let path = error.path().clone();
        let cause = error.into_inner();
        match cause.classify() {
            Category::Data => misfit(&path, &without_place(&cause)),
            Category::Syntax | Category::Eof | Category::Io => malformed(&cause),
        }
    })?;
    reader.end().map_err(|cause| malformed(&cause))?;
    Ok(value)
}

/// A missing content type is taken as JSON.
fn check_media_type(headers: &HeaderMap) -> Result<(), Problem> {
    let Some(value) = headers.get(header::CONTENT_TYPE) else { return Ok(()) };
    let media_type = value.to_str().unwrap_or_default().split(';').next().unwrap_or_default();
    let media_type = media_type.trim().to_ascii_lowercase();
    if media_type == "application/json" || media_type.ends_with("+json") {
        return Ok(());
    }
    let detail =
        format!("the body is sent as `{media_type}`; send `content-type: application/json`");
    Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", detail))
}

fn malformed(cause: &serde_json::Error) -> Problem {
    Problem::bad_request("malformed_json", format!("the body is not JSON: {cause}"))
}

/// Well-formed JSON that is not what is asked for.
fn misfit(path: &Path, message: &str) -> Problem {
    let parent = pointer(path);
    let names = backticked(message);
    if message.starts_with("unknown field")
        && let Some((field, known)) = names.split_first()
    {
        let hint = match closest(field, known) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("known here: {}", known.join(", ")),
        };
        let detail = format!("unknown field `{field}`");
        return Problem::bad_request("unknown_field", detail.as_str()).at(
            below(&parent, field),
            detail,
            hint,
        );
    }
    if message.starts_with("missing field")
        && let Some(field) = names.first()
    {
        let detail = format!("missing field `{field}`");
        return Problem::bad_request("missing_field", detail.as_str()).at(
            below(&parent, field),
            detail,
            "",
        );
    }
    Problem::bad_request("invalid_field", message).at(parent, message, "")
}

/// The field below its parent, whether or not the path holds it already.
fn below(parent: &str, field: &str) -> String {
    let own = pointer_to("", field);
    if parent.ends_with(&own) { parent.to_owned() } else { format!("{parent}{own}") }
}

fn pointer(path: &Path) -> String {
    path.iter().fold(String::new(), |pointer, segment| match segment {
        Segment::Seq { index } => pointer_to(&pointer, &index.to_string()),
        Segment::Map { key } => pointer_to(&pointer, key),
        Segment::Enum { variant } => pointer_to(&pointer, variant),
        Segment::Unknown => pointer,
    })
}

fn backticked(message: &str) -> Vec<&str> {
    message.split('`').skip(1).step_by(2).collect()
}

/// The message without serde's ` at line 1 column 2`.
fn without_place(cause: &serde_json::Error) -> String {
    let text = cause.to_string();
    match text.rfind(" at line ") {
        Some(at) => text[..at].to_owned(),
        None => text,
    }
}

#[cfg(test)]
mod tests;
