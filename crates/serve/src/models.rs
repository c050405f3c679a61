//! Artifacts announced on the models topic: loaded and checked off the request path, then taken into use.
//!
//! What is refused (a missing file, a wrong checksum, a foreign feature spec, golden requests that come out
//! different) is counted and logged, and the artifact in use stays. At the start the newest announcement that can be
//! used is taken.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use thiserror::Error;
use tokio::sync::{mpsc, oneshot};
use tracing::{info, warn};
use upnext_common::drain::Drain;
use upnext_common::metrics::Metrics;
use upnext_contract::{ArtifactAnnounced, DecodeError, Decoder};
use upnext_http::Health;
use upnext_kafka::Record;
use upnext_kafka::tail::TailEvent;
use upnext_model::artifact::{Artifact, ArtifactError};
use upnext_model::row;

use crate::app::Readiness;
use crate::worlds::Worlds;

/// Announcements remembered at the start, in case the newest cannot be used.
const REMEMBERED_MAX: usize = 16;
/// Pause after trouble with the registry.
const RETRY: Duration = Duration::from_millis(200);
/// The name of this part in `/readyz?verbose`.
pub(crate) const PART: &str = "models";

/// Takes announced artifacts into use.
pub(crate) struct ModelFollower {
    pub(crate) tail: mpsc::Receiver<TailEvent>,
    pub(crate) decoder: Decoder,
    pub(crate) worlds: Arc<Worlds>,
    pub(crate) readiness: Arc<Readiness>,
    pub(crate) health: Health,
    pub(crate) metrics: Metrics,
}

/// Why an announced artifact is not used.
#[derive(Debug, Error)]
enum Refusal {
    #[error(transparent)]
    Artifact(#[from] ArtifactError),
    #[error("loading it ended without a result")]
    Lost,
}

impl ModelFollower {
    /// Runs until the tail ends, with the drain.
    pub(crate) async fn run(mut self, drain: Drain) {
        let mut waiting: Vec<ArtifactAnnounced> = Vec::new();
        let mut has_caught_up = false;
        while let Some(event) = self.tail.recv().await {
            match event {
                TailEvent::Record(record) => {
                    if let Some(announced) = read(&self.decoder, &record, &drain).await {
                        waiting.push(announced);
                    }
                    if waiting.len() > REMEMBERED_MAX {
                        waiting.remove(0);
                    }
                }
                TailEvent::CaughtUp => has_caught_up = true,
            }
            // Several announcements at once: only the newest is worth loading.
            if has_caught_up && self.tail.is_empty() {
                self.adopt_newest(&mut waiting).await;
                self.readiness.models.store(true, Ordering::Release);
            }
        }
    }

    async fn adopt_newest(&self, waiting: &mut Vec<ArtifactAnnounced>) {
        while let Some(announced) = waiting.pop() {
            match self.adopt(&announced).await {
                Ok(()) => {
                    info!(artifact = announced.artifact_id, "artifact in use");
                    self.metrics.model_swaps.inc();
                    waiting.clear();
                    self.health.set_ready(PART, true, announced.artifact_id);
                    return;
                }
                Err(error) => {
                    warn!(artifact = announced.artifact_id, %error, "artifact refused");
                    self.metrics.model_refusals.inc();
                }
            }
        }
        let in_use = self.worlds.world().model_id();
        self.health.set_ready(PART, true, in_use.unwrap_or_else(|| "none yet".to_owned()));
    }

    /// Loads, checks and takes into use, on a thread of its own.
    async fn adopt(&self, announced: &ArtifactAnnounced) -> Result<(), Refusal> {
        let (sender, receiver) = oneshot::channel();
        let (worlds, announced) = (Arc::clone(&self.worlds), announced.clone());
        let thread = std::thread::Builder::new().name("artifact".to_owned()).spawn(move || {
            let loaded = load(&announced).map(|artifact| worlds.adopt(&Arc::new(artifact)));
            sender.send(loaded).ok();
        });
        if thread.is_err() {
            return Err(Refusal::Lost);
        }
        receiver.await.map_err(|_| Refusal::Lost)?
    }
}

fn load(announced: &ArtifactAnnounced) -> Result<Artifact, Refusal> {
    let path = Path::new(&announced.path);
    Ok(Artifact::load_announced(path, &row::spec_hash(), &announced.manifest_sha256)?)
}

/// The announcement, if it is one. Trouble with the registry is waited for.
async fn read(decoder: &Decoder, record: &Record, drain: &Drain) -> Option<ArtifactAnnounced> {
    let value = record.value.as_ref()?;
    loop {
        match decoder.artifact(value).await {
            Ok(announced) => return Some(announced),
            Err(error @ DecodeError::Refused(_)) => {
                warn!(offset = record.offset, %error, "announcement left out");
                return None;
            }
            Err(error @ DecodeError::Trouble { .. }) => {
                warn!(offset = record.offset, %error, "announcement waits, will retry");
                tokio::select! {
                    () = tokio::time::sleep(RETRY) => {}
                    () = drain.started() => return None,
                }
            }
        }
    }
}
