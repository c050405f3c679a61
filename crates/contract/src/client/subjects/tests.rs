//! A schema under another topic's subject: refused, asked for again, and never refused because of an outage.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use upnext_common::clock::Clock;
use upnext_common::config;
use upnext_common::event::{Event, EventType};
use wiremock::matchers::{method, path};
use wiremock::{Mock, MockServer, ResponseTemplate};

use super::*;
use crate::checks::Limits;
use crate::encoder::Encoder;
use crate::judge::{Contract, Raw, Trouble};
use crate::records::tests::sample;
use crate::schemas;
use crate::verdict::{Reason, Verdict};

const NOW_MS: i64 = 1_790_000_000_000;
const TOPIC: &str = "upnext.events.v1";
const OTHER: &str = "staging.events.v1-upnext.events.v1.ItemViewed";
const OWN: &str = "upnext.events.v1-upnext.events.v1.ItemViewed";
const TTL: Duration = Duration::from_millis(5_000);

/// A registry that has the schema of a viewed item as 7, and a clock.
struct Scene {
    server: MockServer,
    clock: Clock,
}

impl Scene {
    async fn new() -> Self {
        // Not a pooled server, so that it is gone when it is dropped.
        let server = MockServer::builder().start().await;
        Self { server, clock: Clock::manual(0) }
    }

    fn client(&self) -> RegistryClient {
        let settings = config::Registry { timeout_ms: 200, ..config::Registry::default() };
        RegistryClient::new(&self.server.uri(), &settings, self.clock.clone()).unwrap()
    }

    /// The schema stands under these subjects; `None`: the registry fails when it is asked for them.
    async fn stands_under(&self, subjects: Option<&[&str]>) {
        self.server.reset().await;
        let text = schemas::of_event(EventType::ItemViewed).text;
        let found = ResponseTemplate::new(200).set_body_json(json!({ "schema": text }));
        let told = match subjects {
            Some(subjects) => ResponseTemplate::new(200).set_body_json(json!(subjects)),
            None => ResponseTemplate::new(500),
        };
        for (place, answer) in [("/schemas/ids/7", found), ("/schemas/ids/7/subjects", told)] {
            let mock = Mock::given(method("GET")).and(path(place)).respond_with(answer);
            mock.mount(&self.server).await;
        }
    }

    async fn calls(&self) -> usize {
        self.server.received_requests().await.unwrap().len()
    }
}

fn contract(client: RegistryClient) -> Contract {
    Contract::new(Arc::new(client), Limits::default(), TOPIC)
}

/// The verdict on a viewed item.
async fn judged(contract: &Contract, need: Option<Need>) -> Result<Verdict, Trouble> {
    let event: Event = sample(EventType::ItemViewed);
    let value = Encoder::with_ids(|_| 7).event(&event).unwrap();
    let raw =
        Raw { key: Some(b"u-17"), value: Some(&value), schema_header: None, timestamp_ms: NOW_MS };
    contract.judge_for(raw, need).await
}

#[track_caller]
fn assert_misfiled(verdict: Result<Verdict, Trouble>) {
    let verdict = verdict.unwrap();
    assert_eq!(verdict.rejection().unwrap().reason, Reason::SubjectNotAllowed);
}

#[tokio::test]
async fn a_schema_under_another_prefix_is_asked_for_again_after_a_while() {
    let scene = Scene::new().await;
    scene.stands_under(Some(&[OTHER])).await;
    let contract = contract(scene.client());
    for _ in 0..100 {
        assert_misfiled(judged(&contract, None).await);
    }
    assert_eq!(scene.calls().await, 2, "the schema and its subjects, once");
    scene.stands_under(Some(&[OTHER, OWN])).await;
    scene.clock.advance(TTL - Duration::from_millis(1));
    assert_misfiled(judged(&contract, None).await);
    scene.clock.advance(Duration::from_millis(1));
    for _ in 0..100 {
        assert!(matches!(judged(&contract, None).await, Ok(Verdict::Accept(_))));
        scene.clock.advance(TTL);
    }
    assert_eq!(scene.calls().await, 1, "its subjects; that it stands here is final");
}

#[tokio::test]
async fn a_redriven_record_wants_a_no_that_was_said_after_it_came() {
    let scene = Scene::new().await;
    scene.stands_under(Some(&[OTHER])).await;
    let contract = contract(scene.client());
    assert_misfiled(judged(&contract, None).await);
    scene.stands_under(Some(&[OWN])).await;
    scene.clock.advance(Duration::from_millis(1));
    let came = Need { since: scene.clock.instant(), is_redriven: false };
    assert_misfiled(judged(&contract, Some(came)).await);
    let redriven = Need { is_redriven: true, ..came };
    assert!(matches!(judged(&contract, Some(redriven)).await, Ok(Verdict::Accept(_))));
}

#[tokio::test]
async fn an_outage_makes_no_verdict_of_an_old_no() {
    let scene = Scene::new().await;
    scene.stands_under(Some(&[OTHER])).await;
    let contract = contract(scene.client());
    assert_misfiled(judged(&contract, None).await);
    scene.stands_under(None).await;
    scene.clock.advance(TTL);
    for _ in 0..100 {
        assert!(judged(&contract, None).await.is_err());
    }
    assert_eq!(scene.calls().await, 1, "trouble is remembered for a moment");
    scene.stands_under(Some(&[OWN])).await;
    scene.clock.advance(TROUBLE_TTL);
    assert!(matches!(judged(&contract, None).await, Ok(Verdict::Accept(_))));
}

/// As something before a registry answers that has lost it for a moment, or a registry that does not know the question.
async fn has_no_answer(scene: &Scene) {
    scene.stands_under(None).await;
    let nothing = ResponseTemplate::new(404).set_body_string("default backend - 404");
    let mock = Mock::given(method("GET")).and(path("/schemas/ids/7/subjects"));
    mock.respond_with(nothing).with_priority(1).mount(&scene.server).await;
}

#[tokio::test]
async fn a_registry_without_an_answer_is_asked_again_after_a_while() {
    let scene = Scene::new().await;
    has_no_answer(&scene).await;
    let contract = contract(scene.client());
    for _ in 0..100 {
        assert!(matches!(judged(&contract, None).await, Ok(Verdict::Accept(_))));
    }
    assert_eq!(scene.calls().await, 2, "the schema and its subjects, once");
    scene.stands_under(Some(&[OTHER])).await;
    scene.clock.advance(UNTOLD_TTL);
    assert_misfiled(judged(&contract, None).await);
}

#[tokio::test]
async fn what_flowed_without_an_answer_flows_through_an_outage() {
    let scene = Scene::new().await;
    has_no_answer(&scene).await;
    let contract = contract(scene.client());
    assert!(matches!(judged(&contract, None).await, Ok(Verdict::Accept(_))));
    scene.stands_under(None).await;
    for _ in 0..2 {
        scene.clock.advance(UNTOLD_TTL);
        for _ in 0..100 {
            assert!(matches!(judged(&contract, None).await, Ok(Verdict::Accept(_))));
        }
    }
    assert_eq!(scene.calls().await, 2, "once in a while");
}

/// What a daemon with this directory makes of the record while the registry is gone, after one that met it with the
/// schema under `subjects`.
async fn after_a_restart(subjects: &[&str], directory: &Path) -> Result<Verdict, Trouble> {
    let scene = Scene::new().await;
    scene.stands_under(Some(subjects)).await;
    let _verdict = judged(&contract(scene.client().with_files(directory)), None).await;
    let restarted = contract(scene.client().with_files(directory));
    drop(scene);
    judged(&restarted, None).await
}

#[tokio::test]
async fn a_no_that_was_kept_on_disk_is_not_believed_and_a_yes_is() {
    let directory = tempfile::tempdir().unwrap();
    let trouble = after_a_restart(&[OTHER], directory.path()).await.unwrap_err();
    assert!(trouble.fault().may_retry());
    let directory = tempfile::tempdir().unwrap();
    let verdict = after_a_restart(&[OTHER, OWN], directory.path()).await;
    assert!(matches!(verdict, Ok(Verdict::Accept(_))));
}
