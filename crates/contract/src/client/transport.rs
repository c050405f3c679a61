//! The way to the registry: one request, one bounded answer, within its time, from its own origin.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use bytes::Bytes;
use reqwest::header::{ACCEPT, CONTENT_TYPE};
use reqwest::{Client, RequestBuilder, redirect};

use super::RegistryError;

/// Most bytes of an answer that are read.
const ANSWER_BYTES_MAX: usize = 1 << 20;
const REDIRECTS_MAX: usize = 3;
const MEDIA_TYPE: &str = "application/vnd.schemaregistry.v1+json";

/// What came back, whatever its status.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) body: Bytes,
}

/// An answer, or why there is none.
pub(super) type Asked<'a> = Pin<Box<dyn Future<Output = Result<Answer, String>> + Send + 'a>>;

/// Paths begin with a slash and are relative to the registry's base URL.
pub(super) trait Transport: Send + Sync {
    fn get<'a>(&'a self, path: &'a str) -> Asked<'a>;
    fn post<'a>(&'a self, path: &'a str, body: Vec<u8>) -> Asked<'a>;
}

/// HTTP/1.1. The time limit is for the whole exchange, body included.
pub(super) struct Http {
    client: Client,
    url: String,
}

impl Http {
    pub(super) fn new(url: &str, timeout: Duration) -> Result<Self, RegistryError> {
        let url = url.trim_end_matches('/').to_owned();
        let client = Client::builder()
            .timeout(timeout)
            .no_proxy()
            .redirect(redirect::Policy::custom(at_home))
            .build()
            .map_err(|error| RegistryError::Settings {
                url: url.clone(),
                cause: error.to_string(),
            })?;
        Ok(Self { client, url })
    }

    async fn send(&self, request: RequestBuilder) -> Result<Answer, String> {
        let mut answer =
            request.header(ACCEPT, MEDIA_TYPE).send().await.map_err(|error| cause_of(&error))?;
        let status = answer.status().as_u16();
        let mut body = Vec::new();
        while let Some(part) = answer.chunk().await.map_err(|error| cause_of(&error))? {
            if body.len() + part.len() > ANSWER_BYTES_MAX {
                return Err(format!("its answer is larger than {ANSWER_BYTES_MAX} bytes"));
            }
            body.extend_from_slice(&part);
        }
        Ok(Answer { status, body: body.into() })
    }
}

impl Transport for Http {
    fn get<'a>(&'a self, path: &'a str) -> Asked<'a> {
        let request = self.client.get(format!("{}{path}", self.url));
        Box::pin(self.send(request))
    }

    fn post<'a>(&'a self, path: &'a str, body: Vec<u8>) -> Asked<'a> {
        let request = self.client.post(format!("{}{path}", self.url));
        Box::pin(self.send(request.header(CONTENT_TYPE, MEDIA_TYPE).body(body)))
    }
}

/// Follows a redirect within the registry's own origin. Elsewhere nobody said that we may ask, or believe.
fn at_home(attempt: redirect::Attempt<'_>) -> redirect::Action {
    let is_home = attempt.previous().iter().all(|url| url.origin() == attempt.url().origin());
    if !is_home {
        let place = attempt.url().origin().ascii_serialization();
        return attempt.error(format!("it redirects to another origin, {place}"));
    }
    if attempt.previous().len() > REDIRECTS_MAX {
        return attempt.error("it redirects in circles");
    }
    attempt.follow()
}

/// The error and what lies under it, on one line.
fn cause_of(error: &reqwest::Error) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(inner) = cause {
        text = format!("{text}: {inner}");
        cause = inner.source();
    }
    text
}
