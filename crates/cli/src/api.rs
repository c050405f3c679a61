//! A client of the public HTTP API.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::{Method, Request, StatusCode};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::Value;
use tokio::time::timeout;

use crate::failure::Failure;

const REPLY_BOUND: Duration = Duration::from_secs(30);

/// One system's API; clones share connections.
#[derive(Clone, Debug)]
pub(crate) struct Api {
    base: String,
    client: Client<HttpConnector, Full<Bytes>>,
}

/// What came back: a status and JSON ([`Value::Null`] for an empty body).
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) body: Value,
}

impl Api {
    pub(crate) fn new(base: &str) -> Self {
        let client = Client::builder(TokioExecutor::new()).build_http();
        Self { base: base.trim_end_matches('/').to_owned(), client }
    }

    pub(crate) async fn get(&self, path: &str) -> Result<Reply, Failure> {
        self.call(Method::GET, path, None, &[]).await
    }

    /// What is not JSON.
    ///
    /// # Errors
    /// [`Failure::Unavailable`] when nobody answers, or not with it.
    pub(crate) async fn text(&self, path: &str) -> Result<String, Failure> {
        let fetch = async {
            let response = self.client.get(format!("{}{path}", self.base).parse()?).await?;
            let status = response.status();
            anyhow::ensure!(status.is_success(), "{path}: {status}");
            let bytes = response.into_body().collect().await?.to_bytes();
            Ok(String::from_utf8(bytes.to_vec())?)
        };
        match timeout(REPLY_BOUND, fetch).await {
            Ok(text) => text.map_err(|error: anyhow::Error| self.silent(&error)),
            Err(_) => Err(self.silent(&anyhow::anyhow!("no reply within {REPLY_BOUND:?}"))),
        }
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> Result<Reply, Failure> {
        self.call(Method::POST, path, Some(body), &[]).await
    }

    pub(crate) async fn put(&self, path: &str, body: &Value) -> Result<Reply, Failure> {
        self.call(Method::PUT, path, Some(body), &[]).await
    }

    /// With further headers, by their lowercase names.
    ///
    /// # Errors
    /// [`Failure::Unavailable`] when nobody answers; an answer with an error status is a [`Reply`].
    pub(crate) async fn post_with(
        &self,
        path: &str,
        body: &Value,
        headers: &[(&'static str, String)],
    ) -> Result<Reply, Failure> {
        self.call(Method::POST, path, Some(body), headers).await
    }

    async fn call(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
        headers: &[(&'static str, String)],
    ) -> Result<Reply, Failure> {
        let text = body.map(Value::to_string).unwrap_or_default();
        let mut request = Request::builder().method(method).uri(format!("{}{path}", self.base));
        for (name, value) in headers {
            request = request.header(*name, value);
        }
        let mut request = request
            .body(Full::from(Bytes::from(text)))
            .map_err(|error| Failure::usage(format!("{path}: {error}"), "check the address"))?;
        request.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        match timeout(REPLY_BOUND, self.exchange(request)).await {
            Ok(Ok(reply)) => Ok(reply),
            Ok(Err(error)) => Err(self.silent(&error)),
            Err(_) => Err(self.silent(&anyhow::anyhow!("no reply within {REPLY_BOUND:?}"))),
        }
    }

    async fn exchange(&self, request: Request<Full<Bytes>>) -> anyhow::Result<Reply> {
        let response = self.client.request(request).await?;
        let status = response.status();
        let bytes = response.into_body().collect().await?.to_bytes();
        let body = if bytes.is_empty() { Value::Null } else { serde_json::from_slice(&bytes)? };
        Ok(Reply { status, body })
    }

    fn silent(&self, error: &anyhow::Error) -> Failure {
        Failure::unavailable(
            format!("no answer from {}: {error:#}", self.base),
            "start the system by `upnext up`, or name another by --url",
        )
    }
}

impl Reply {
    /// The body of a successful reply.
    ///
    /// # Errors
    /// What the problem says.
    pub(crate) fn ok(self) -> Result<Value, Failure> {
        if self.status.is_success() {
            return Ok(self.body);
        }
        let detail = self.body["detail"].as_str().unwrap_or("no detail");
        Err(Failure::Other(anyhow::anyhow!("{}: {detail}", self.status)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_silent_address_is_named_with_what_to_do() {
        let api = Api::new("http://127.0.0.1:1/");
        let failure = api.get("/v1/trending").await.unwrap_err();
        let Failure::Unavailable { what, hint } = failure else { panic!("{failure}") };
        assert!(what.starts_with("no answer from http://127.0.0.1:1: "), "{what}");
        assert!(hint.contains("upnext up"), "{hint}");
    }

    #[test]
    fn a_problem_is_told_by_its_detail() {
        let body = serde_json::json!({"detail": "k must be 1..=200"});
        let reply = Reply { status: StatusCode::BAD_REQUEST, body };
        let text = reply.ok().unwrap_err().to_string();
        assert_eq!(text, "400 Bad Request: k must be 1..=200");
    }
}
