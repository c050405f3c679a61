//! Query parameters as a `T`, said to be wrong by name.

use axum::extract::{FromRequestParts, Query};
use axum::http::request::Parts;
use serde::de::DeserializeOwned;

use crate::problem::{Problem, pointer_to};

const AXUM_SAYS: &str = "Failed to deserialize query string: ";

/// The query string as a `T`.
#[derive(Clone, Debug)]
pub struct Params<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Params<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        match Query::<T>::from_request_parts(parts, state).await {
            Ok(Query(params)) => Ok(Self(params)),
            Err(rejection) => Err(misfit(&rejection.body_text())),
        }
    }
}

fn misfit(message: &str) -> Problem {
    let message = message.strip_prefix(AXUM_SAYS).unwrap_or(message);
    let named = message.split('`').nth(1);
    let problem = Problem::bad_request("invalid_parameter", message);
    match (message.split_once(": "), named) {
        (Some((name, detail)), _) if !name.contains(' ') => {
            problem.at(pointer_to("", name), detail, "")
        }
        (_, Some(name)) => problem.at(pointer_to("", name), message, ""),
        (_, None) => problem,
    }
}

#[cfg(test)]
mod tests {
    use axum::http::Request;
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Page {
        k: u32,
        surface: Option<String>,
    }

    async fn read(query: &str) -> Result<Page, Problem> {
        let request = Request::get(format!("/x?{query}")).body(()).unwrap();
        let (mut parts, ()) = request.into_parts();
        Params::from_request_parts(&mut parts, &()).await.map(|Params(page)| page)
    }

    #[tokio::test]
    async fn what_fits_is_read() {
        let page = read("k=3&surface=a%20b").await.unwrap();
        assert_eq!((page.k, page.surface.as_deref()), (3, Some("a b")));
    }

    #[tokio::test]
    async fn what_does_not_fit_is_named() {
        for (query, pointer) in [("k=many", "/k"), ("", "/k"), ("k=1&z=2", "/z")] {
            let problem = read(query).await.unwrap_err();
            assert_eq!(problem.code, "invalid_parameter");
            assert_eq!(problem.errors[0].pointer, pointer, "{query}: {problem:?}");
        }
    }
}
