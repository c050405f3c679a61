//! The artifact that a running system was last told to use.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;
use upnext_common::clock::Clock;
use upnext_common::config::Config;
use upnext_common::drain::Drain;
use upnext_common::topic::Topic;
use upnext_contract::{ArtifactAnnounced, Decoder, RegistryClient};
use upnext_kafka::tail::{self, TailEvent};

use super::lineage::{self, Model};
use crate::endpoints::Target;

const SILENCE_MAX: Duration = Duration::from_secs(5);

/// `None` where nothing runs, nothing was announced, or the artifact is not on this machine.
pub(super) async fn newest(config: &Config) -> Option<Model> {
    let target = Target::find(config);
    let (brokers, registry) = (target.brokers().ok()?, target.registry().ok()?);
    let client = RegistryClient::new(&registry, &config.registry, Clock::system()).ok()?;
    let client = Arc::new(client);
    // A broker that does not answer is waited for; a registry that does not is known at once.
    if !client.is_reachable().await {
        return None;
    }
    let topic = Topic::Models.name(&config.kafka.topic_prefix);
    let drain = Drain::new();
    let mut records = tail::follow(&brokers, &topic, true, drain.clone()).ok()?;
    let decoder = Decoder::new(client);
    let mut newest: Option<ArtifactAnnounced> = None;
    // A topic that is away would be waited for without end.
    while let Ok(Some(TailEvent::Record(record))) = timeout(SILENCE_MAX, records.recv()).await {
        let Some(value) = record.value.as_ref() else { continue };
        let announced = decoder.artifact(value).await.ok()?;
        let is_newer =
            newest.as_ref().is_none_or(|known| known.created_at_ms <= announced.created_at_ms);
        if is_newer {
            newest = Some(announced);
        }
    }
    drain.start();
    lineage::at(Path::new(&newest?.path))
}
