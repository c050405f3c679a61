//! Artifacts: announced, taken into use without a restart, refused when anything is wrong with them.

use std::path::{Path, PathBuf};

use bytes::Bytes;
use serde_json::json;
use upnext_common::clock::Clock;
use upnext_common::config;
use upnext_contract::{ArtifactAnnounced, Encoder, RegistryClient};
use upnext_kafka::{Outgoing, Producer, ProducerSettings};
use upnext_model::artifact::{About, Artifact, AttributeVocabulary};
use upnext_model::ranker::{RankerConfig, Slates, fit};
use upnext_model::row;
use upnext_testkit::eventually_async;

use crate::client::Client;
use crate::stack::{BOUND, Stack};

/// A small artifact whose ranker learned from made-up slates; what it learned does not matter here.
fn artifact(id: &str) -> Artifact {
    let mut slates = Slates::new(row::WIDTH);
    for n in 0..40_usize {
        let cell = |at: usize| ((n * 7 + at * 13) % 11) as f32 / 11.0;
        let rows: Vec<f32> = (0..row::WIDTH * 3).map(cell).collect();
        slates.push(&rows, vec![u32::try_from(n % 3).unwrap()]);
    }
    let config = RankerConfig { epochs: 1, ..RankerConfig::default() };
    let ranker = fit(&slates, &config, &Clock::system(), &mut |_| {}).unwrap();
    Artifact {
        about: About {
            artifact_id: id.to_owned(),
            created_at_ms: 1,
            feature_spec_hash: row::spec_hash(),
            ..About::default()
        },
        tower: None,
        ranker: Some(ranker),
        item_ids: Vec::new(),
        attributes: AttributeVocabulary::default(),
        static_list: vec!["i2".to_owned(), "i1".to_owned()],
    }
}

/// Saves an artifact; answers where, and the checksum of its manifest.
fn save(artifact: &Artifact, directory: &Path) -> (PathBuf, String) {
    let saved = artifact.save(&directory.join(&artifact.about.artifact_id)).unwrap();
    (saved.path, saved.manifest_sha256)
}

struct Announcer {
    producer: Producer,
    encoder: Encoder,
}

impl Announcer {
    async fn new(stack: &Stack) -> Self {
        let registry =
            RegistryClient::new(&stack.registry_url, &config::Registry::default(), Clock::system());
        let encoder = Encoder::register_all(&registry.unwrap(), "upnext.").await.unwrap();
        let producer = Producer::new(&stack.brokers, ProducerSettings::default()).unwrap();
        Self { producer, encoder }
    }

    async fn announce(&self, id: &str, path: &Path, manifest_sha256: &str) {
        let announced = ArtifactAnnounced {
            artifact_id: id.to_owned(),
            path: path.to_str().unwrap().to_owned(),
            manifest_sha256: manifest_sha256.to_owned(),
            created_at_ms: 1,
        };
        self.write(self.encoder.artifact(&announced).unwrap()).await;
    }

    async fn write(&self, value: Bytes) {
        let record = Outgoing {
            topic: "upnext.models.v1".to_owned(),
            key: Some(Bytes::from_static(b"k")),
            value: Some(value),
            ..Outgoing::default()
        };
        self.producer.send(&record).unwrap().await.unwrap();
    }
}

async fn put_items(client: &Client) {
    let items: Vec<_> = (0..4).map(|n| json!({"item_id": format!("i{n}")})).collect();
    let reply = client.post("/v1/items:batch?wait=indexed", &json!({"items": items})).await;
    assert_eq!(reply.status, 200, "{reply:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_announced_artifact_is_taken_into_use_and_a_bad_one_is_not() {
    let stack = Stack::start().await;
    let served = stack.serve(stack.config()).await;
    put_items(&served.client).await;
    let announcer = Announcer::new(&stack).await;
    let (path, checksum) = save(&artifact("first"), stack.directory.path());
    announcer.announce("first", &path, &checksum).await;
    let metrics = served.metrics.clone();
    eventually_async(BOUND, async || metrics.model_swaps.get() == 1).await;
    let full = served.client.ask(&json!({"user_id": "new", "explain": true}), &[]).await;
    assert_eq!((full.tier(), full.reasons().len()), ("full", 0), "{full:?}");
    assert_eq!((&full.body["degraded"], &full.body["model"]), (&json!(false), &json!("first")));
    let explained = full.body["items"][0]["explain"].as_object().unwrap();
    assert_eq!(explained.len(), row::WIDTH, "a full answer explains every column");
    let fixed = served.client.ask(&json!({"k": 2}), &[("x-upnext-tier", "static")]).await;
    assert_eq!(fixed.ids(), ["i2", "i1"], "static is the artifact's own list");

    announcer.write(Bytes::from_static(b"no announcement")).await;
    announcer.announce("forged", &path, &"0".repeat(64)).await;
    eventually_async(BOUND, async || metrics.model_refusals.get() == 1).await;
    let (path, checksum) = save(&artifact("second"), stack.directory.path());
    let foreign = Artifact {
        about: About { feature_spec_hash: "other".to_owned(), ..artifact("foreign").about },
        ..artifact("foreign")
    };
    let (foreign_path, foreign_checksum) = save(&foreign, stack.directory.path());
    announcer.announce("foreign", &foreign_path, &foreign_checksum).await;
    eventually_async(BOUND, async || metrics.model_refusals.get() == 2).await;
    let still = served.client.ask(&json!({}), &[]).await;
    assert_eq!((still.tier(), &still.body["model"]), ("full", &json!("first")));

    announcer.announce("second", &path, &checksum).await;
    eventually_async(BOUND, async || metrics.model_swaps.get() == 2).await;
    announcer.announce("gone", &path.join("gone"), &checksum).await;
    served.stop().await;

    // A new process skips the newest announcement, which cannot be used, and takes the one before.
    let again = stack.serve(stack.config()).await;
    let answer = again.client.ask(&json!({}), &[]).await;
    assert_eq!((answer.tier(), &answer.body["model"]), ("full", &json!("second")), "{answer:?}");
    again.stop().await;
    stack.stop().await;
}
