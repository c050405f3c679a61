//! Questions to the registry that the client library does not ask: where a schema stands.

use std::time::Duration;

use reqwest::{Client, StatusCode, redirect};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use uuid::Uuid;

use crate::client::RegistryError;

/// Most bytes of an answer that are read.
const ANSWER_BYTES_MAX: usize = 1 << 20;
/// Most ids of one GUID that are asked about: one registry gives a schema one id per context.
const IDS_MAX: usize = 4;

pub(super) struct Plain {
    http: Client,
    url: String,
}

/// One id of a GUID.
#[derive(Deserialize)]
struct IdOfGuid {
    id: u32,
}

impl Plain {
    pub(super) fn new(url: &str, timeout: Duration) -> Result<Self, RegistryError> {
        let client = Client::builder()
            .timeout(timeout)
            .no_proxy()
            .redirect(redirect::Policy::none())
            .build()
            .map_err(|error| RegistryError::Settings {
                url: url.to_owned(),
                cause: error.to_string(),
            })?;
        Ok(Self { http: client, url: url.to_owned() })
    }

    /// Subjects of an id, soft-deleted ones too: what was written under them is still read.
    pub(super) async fn subjects_of(&self, id: u32) -> Result<Option<Vec<String>>, RegistryError> {
        self.get(&format!("schemas/ids/{id}/subjects?deleted=true")).await
    }

    pub(super) async fn subjects_of_guid(
        &self,
        guid: Uuid,
    ) -> Result<Option<Vec<String>>, RegistryError> {
        let ids: Option<Vec<IdOfGuid>> = self.get(&format!("schemas/guids/{guid}/ids")).await?;
        let Some(ids) = ids else { return Ok(None) };
        let mut all = Vec::new();
        for one in ids.iter().take(IDS_MAX) {
            all.extend(self.subjects_of(one.id).await?.unwrap_or_default());
        }
        Ok(Some(all))
    }

    /// The answer; `None` when there is no such place.
    async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<Option<T>, RegistryError> {
        let unavailable = |cause: String| RegistryError::Unavailable { cause };
        let mut answer = self
            .http
            .get(format!("{}/{path}", self.url))
            .send()
            .await
            .map_err(|error| unavailable(error.to_string()))?;
        let status = answer.status();
        if matches!(status, StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED) {
            return Ok(None);
        }
        if status != StatusCode::OK {
            return Err(unavailable(format!("it answers {status} to {path}")));
        }
        let mut body = Vec::new();
        while let Some(part) =
            answer.chunk().await.map_err(|error| unavailable(error.to_string()))?
        {
            if body.len() + part.len() > ANSWER_BYTES_MAX {
                return Err(unavailable(format!("the answer to {path} is too large")));
            }
            body.extend_from_slice(&part);
        }
        serde_json::from_slice(&body)
            .map(Some)
            .map_err(|error| unavailable(format!("its answer to {path}: {error}")))
    }
}
