//! What each answer of a registry means, what is remembered and for how long, and that waits end.

use serde_json::{Value, json};
use wiremock::matchers::{method, path, query_param};
use wiremock::{Mock, MockServer, ResponseTemplate};

use upnext_common::drain::Drain;
use upnext_common::event::EventType;

use super::*;
use crate::encoder::Encoder;

const SCHEMA: &str = r#"{"type":"record","name":"R","fields":[{"name":"a","type":"int"}]}"#;

async fn answering(status: u16, body: Value) -> MockServer {
    let server = MockServer::start().await;
    let answer = ResponseTemplate::new(status).set_body_json(body);
    Mock::given(method("GET")).respond_with(answer).mount(&server).await;
    server
}

fn client(server: &MockServer, clock: &Clock) -> RegistryClient {
    RegistryClient::new(&server.uri(), &settings(0), clock.clone()).unwrap()
}

fn settings(unknown_grace_ms: u64) -> config::Registry {
    config::Registry {
        timeout_ms: 200,
        cached_schemas_max: 2,
        unknown_grace_ms,
        ..config::Registry::default()
    }
}

async fn calls(server: &MockServer) -> usize {
    server.received_requests().await.unwrap().len()
}

#[tokio::test]
async fn a_schema_is_asked_for_once() {
    let server = answering(200, json!({ "schema": SCHEMA })).await;
    let client = client(&server, &Clock::manual(0));
    for _ in 0..3 {
        assert_eq!(client.schema(1).await.unwrap().full_name(), "R");
    }
    assert_eq!(calls(&server).await, 1);
}

#[tokio::test]
async fn askers_at_the_same_time_wait_for_one_call() {
    let server = answering(200, json!({ "schema": SCHEMA })).await;
    let client = client(&server, &Clock::manual(0));
    let (a, b, c) = tokio::join!(client.schema(1), client.schema(1), client.schema(1));
    assert!(a.is_ok() && b.is_ok() && c.is_ok());
    assert_eq!(calls(&server).await, 1);
}

#[tokio::test]
async fn the_oldest_schema_is_forgotten_when_too_many_are_known() {
    let server = answering(200, json!({ "schema": SCHEMA })).await;
    let client = client(&server, &Clock::manual(0));
    for id in [1, 2, 3, 2, 3, 1] {
        assert!(client.schema(id).await.is_ok());
    }
    assert_eq!(calls(&server).await, 4);
}

#[tokio::test]
async fn an_unknown_id_is_remembered_for_a_while() {
    let server =
        answering(404, json!({ "error_code": 40_403, "message": "Schema not found" })).await;
    let clock = Clock::manual(0);
    let client = client(&server, &clock);
    assert_eq!(client.schema(1).await.unwrap_err(), Lookup::Unknown);
    clock.advance(Duration::from_millis(4_999));
    assert_eq!(client.schema(1).await.unwrap_err(), Lookup::Unknown);
    assert_eq!(calls(&server).await, 1);
    clock.advance(Duration::from_millis(1));
    assert_eq!(client.schema(1).await.unwrap_err(), Lookup::Unknown);
    assert_eq!(calls(&server).await, 2);
}

#[tokio::test]
async fn every_other_failure_is_trouble_and_soon_forgotten() {
    let plain = json!("an error page");
    for (status, body) in [
        (404, plain.clone()),
        (404, json!({ "error_code": 404, "message": "no such place" })),
        (500, json!({ "error_code": 40_403, "message": "Schema not found" })),
        (200, json!({ "error_code": 40_403, "message": "Schema not found" })),
        (401, json!({ "error_code": 401, "message": "who are you" })),
        (408, plain.clone()),
        (429, json!({ "error_code": 429, "message": "slow down" })),
        (500, json!({ "error_code": 50_001, "message": "store" })),
        (503, plain.clone()),
        (504, plain.clone()),
        (200, plain),
        (200, json!({ "subject": "no schema in it" })),
    ] {
        let server = answering(status, body).await;
        let clock = Clock::manual(0);
        let client = client(&server, &clock);
        let lookup = client.schema(1).await.unwrap_err();
        assert!(
            matches!(&lookup, Lookup::Trouble(error) if error.fault().may_retry()),
            "{lookup:?}"
        );
        assert_eq!(client.schema(1).await.unwrap_err(), lookup);
        assert_eq!(calls(&server).await, 1, "{status}");
        clock.advance(TROUBLE_TTL);
        assert!(client.schema(1).await.is_err());
        assert_eq!(calls(&server).await, 2, "{status}");
    }
}

#[tokio::test]
async fn a_registry_that_hangs_is_trouble_within_the_timeout() {
    let server = MockServer::start().await;
    let answer = ResponseTemplate::new(200)
        .set_body_json(json!({ "schema": SCHEMA }))
        .set_delay(Duration::from_secs(60));
    Mock::given(method("GET")).respond_with(answer).mount(&server).await;
    let client = client(&server, &Clock::manual(0));
    let waited = tokio::time::timeout(Duration::from_secs(20), client.schema(1)).await;
    assert!(matches!(waited, Ok(Err(Lookup::Trouble(RegistryError::Unavailable { .. })))));
}

#[tokio::test]
async fn what_is_known_is_had_without_the_registry() {
    // Not a pooled server, so that it is gone when it is dropped.
    let server = MockServer::builder().start().await;
    let answer = ResponseTemplate::new(200).set_body_json(json!({ "schema": SCHEMA }));
    Mock::given(method("GET")).respond_with(answer).mount(&server).await;
    let client = client(&server, &Clock::manual(0));
    assert!(client.schema(1).await.is_ok());
    drop(server);
    assert!(client.schema(1).await.is_ok());
    assert!(!client.is_reachable().await);
    assert!(matches!(client.schema(2).await, Err(Lookup::Trouble(_))));
}

#[tokio::test]
async fn other_schema_types_and_flawed_schemas_are_not_decoded_with() {
    let proto = json!({ "schema": "syntax", "schemaType": "PROTOBUF" });
    let bomb = json!({ "schema": r#"{"type":"array","items":"null"}"# });
    for (body, word) in [(proto, "NotAvro"), (bomb, "ZeroWidth")] {
        let server = answering(200, body).await;
        let lookup = client(&server, &Clock::manual(0)).schema(1).await.unwrap_err();
        assert!(format!("{lookup:?}").contains(word), "{lookup:?}");
    }
}

/// A registry in which `/schemas/ids/1` refers to `a`, and each subject to the ones given.
async fn referring(edges: &[(&str, &str, &[&str])]) -> MockServer {
    let server = MockServer::start().await;
    let references = |names: &[&str]| -> Value {
        names.iter().map(|name| json!({ "name": name, "subject": name, "version": 1 })).collect()
    };
    for (subject, text, names) in edges {
        let body = json!({
            "subject": subject, "version": 1, "id": 9, "schema": text, "references": references(names)
        });
        let place = if *subject == "root" {
            "/schemas/ids/1".to_owned()
        } else {
            format!("/subjects/{subject}/versions/1")
        };
        let answer = ResponseTemplate::new(200).set_body_json(body);
        Mock::given(method("GET")).and(path(place)).respond_with(answer).mount(&server).await;
    }
    server
}

#[tokio::test]
async fn references_are_fetched_deepest_first() {
    let record = |name: &str, kind: &str| {
        format!(r#"{{"type":"record","name":"{name}","fields":[{{"name":"x","type":"{kind}"}}]}}"#)
    };
    let root = r#"{"type":"record","name":"Root","fields":[{"name":"c","type":"C"},{"name":"b","type":"B"}]}"#;
    let (b, c, d) = (record("B", "C"), record("C", "D"), record("D", "int"));
    let server = referring(&[
        ("root", root, &["C", "B"]),
        ("B", &b, &["C"]),
        ("C", &c, &["D"]),
        ("D", &d, &[]),
    ])
    .await;
    let schema = client(&server, &Clock::system()).schema(1).await.unwrap();
    assert!(schema.decode(&[2, 4]).is_ok());
}

#[tokio::test]
async fn references_in_a_circle_are_given_up() {
    let server =
        referring(&[("root", SCHEMA, &["B"]), ("B", SCHEMA, &["C"]), ("C", SCHEMA, &["B"])]).await;
    let lookup = client(&server, &Clock::system()).schema(1).await.unwrap_err();
    let expected = RegistryError::TooManyReferences { max: 16 };
    assert_eq!(lookup, Lookup::Trouble(expected));
    assert!(calls(&server).await <= 18);
}

#[tokio::test]
async fn soft_deleted_schemas_are_asked_for_too() {
    let server = MockServer::start().await;
    let answer = ResponseTemplate::new(200).set_body_json(json!({ "schema": SCHEMA }));
    let deleted = query_param("deleted", "true");
    Mock::given(deleted).respond_with(answer).mount(&server).await;
    assert!(client(&server, &Clock::manual(0)).schema(1).await.is_ok());
}

#[tokio::test]
async fn a_refused_registration_is_the_callers_fault() {
    let server = MockServer::start().await;
    for (code, may_retry) in [(409, false), (40_901, false), (42_201, false), (50_001, true)] {
        let body = json!({ "error_code": code, "message": "no" });
        let status = if code > 999 { u16::try_from(code / 100).unwrap() } else { 409 };
        let answer = ResponseTemplate::new(status).set_body_json(body);
        let mock = Mock::given(method("POST")).respond_with(answer).mount_as_scoped(&server).await;
        let error = client(&server, &Clock::manual(0)).register("s", SCHEMA).await.unwrap_err();
        assert_eq!(error.fault().may_retry(), may_retry, "{error}");
        drop(mock);
    }
}

#[tokio::test]
async fn a_url_that_is_none_is_trouble_when_it_is_used() {
    let client =
        RegistryClient::new("nowhere", &config::Registry::default(), Clock::manual(0)).unwrap();
    assert!(matches!(client.schema(1).await, Err(Lookup::Trouble(_))));
}

#[tokio::test]
async fn an_absent_id_is_trouble_until_its_grace_is_over() {
    let server =
        answering(404, json!({ "error_code": 40_403, "message": "Schema not found" })).await;
    let clock = Clock::manual(0);
    let client = RegistryClient::new(&server.uri(), &settings(30_000), clock.clone()).unwrap();
    for _ in 0..15 {
        assert_eq!(client.schema(1).await.unwrap_err(), not_yet());
        assert_eq!(client.schema(1).await.unwrap_err(), not_yet());
        clock.advance(Duration::from_secs(2));
    }
    assert_eq!(client.schema(1).await.unwrap_err(), Lookup::Unknown);
    assert_eq!(calls(&server).await, 16);
    // It is registered after all.
    server.reset().await;
    let answer = ResponseTemplate::new(200).set_body_json(json!({ "schema": SCHEMA }));
    Mock::given(method("GET")).respond_with(answer).mount(&server).await;
    assert_eq!(client.schema(1).await.unwrap_err(), Lookup::Unknown);
    let redriven = Need { since: clock.instant() + Duration::from_millis(1), is_redriven: true };
    clock.advance(Duration::from_millis(2));
    assert_eq!(client.schema_for(1, redriven).await.unwrap().full_name(), "R");
}

#[tokio::test]
async fn an_answer_that_is_too_large_or_elsewhere_is_trouble() {
    let elsewhere = answering(200, json!({ "schema": SCHEMA })).await;
    let large = ResponseTemplate::new(200).set_body_string("x".repeat((1 << 20) + 1));
    let away = ResponseTemplate::new(302)
        .insert_header("location", format!("{}/schemas/ids/1", elsewhere.uri()));
    let circle = ResponseTemplate::new(302).insert_header("location", "/schemas/ids/1");
    for (answer, word) in [(large, "larger than"), (away, "another origin"), (circle, "in circles")]
    {
        let server = MockServer::start().await;
        Mock::given(method("GET")).respond_with(answer).mount(&server).await;
        let lookup = client(&server, &Clock::manual(0)).schema(1).await.unwrap_err();
        assert!(matches!(&lookup, Lookup::Trouble(_)));
        assert!(format!("{lookup:?}").contains(word), "{lookup:?}");
    }
    assert_eq!(calls(&elsewhere).await, 0);
}

#[tokio::test]
async fn a_redirect_within_the_registry_is_followed() {
    let server = MockServer::start().await;
    let moved = ResponseTemplate::new(307).insert_header("location", "/moved");
    Mock::given(path("/schemas/ids/1")).respond_with(moved).mount(&server).await;
    let answer = ResponseTemplate::new(200).set_body_json(json!({ "schema": SCHEMA }));
    Mock::given(path("/moved")).respond_with(answer).mount(&server).await;
    assert!(client(&server, &Clock::manual(0)).schema(1).await.is_ok());
}

#[tokio::test]
async fn what_was_known_once_serves_a_start_without_the_registry() {
    let directory = tempfile::tempdir().unwrap();
    let server = MockServer::builder().start().await;
    let answer = ResponseTemplate::new(200).set_body_json(json!({ "schema": SCHEMA, "id": 1 }));
    Mock::given(path("/schemas/ids/1")).respond_with(answer.clone()).mount(&server).await;
    Mock::given(method("POST")).respond_with(answer).mount(&server).await;
    let subjects = ResponseTemplate::new(200).set_body_json(json!(["s"]));
    Mock::given(path("/schemas/ids/1/subjects")).respond_with(subjects).mount(&server).await;
    let fresh = || client(&server, &Clock::manual(0)).with_files(directory.path());
    let before = fresh();
    assert_eq!(before.register("s", SCHEMA).await, Ok(1));
    let schema = before.schema(1).await.unwrap();
    before.find_subjects(&schema, "t", None).await.unwrap();

    let after = fresh();
    drop(server);
    assert_eq!(after.register("s", SCHEMA).await, Ok(1));
    let schema = after.schema(1).await.unwrap();
    assert_eq!(schema.subjects(), Some(Some(vec!["s".to_owned()])));
    assert!(matches!(after.schema(2).await, Err(Lookup::Trouble(_))));
    assert!(after.register("s", "\"int\"").await.is_err(), "what was never registered");
}

/// A registry of two ids that counts what it is asked; it can list them, or cannot.
struct Scripted {
    asked: Arc<std::sync::atomic::AtomicU64>,
    listed: &'static str,
}

impl transport::Transport for Scripted {
    fn get<'a>(&'a self, path: &'a str) -> transport::Asked<'a> {
        self.asked.fetch_add(1, std::sync::atomic::Ordering::AcqRel);
        let (status, body) = match path {
            "/schemas/ids/1?deleted=true" => (200, json!({ "schema": SCHEMA }).to_string()),
            list if list.starts_with("/schemas?") => (200, self.listed.to_owned()),
            _ => (404, json!({ "error_code": 40_403, "message": "no" }).to_string()),
        };
        Box::pin(async move { Ok(transport::Answer { status, body: body.into() }) })
    }

    fn post<'a>(&'a self, path: &'a str, _body: Vec<u8>) -> transport::Asked<'a> {
        self.get(path)
    }
}

/// A hundred thousand made-up ids, in records that stood in their log for long: calls made, ids called unknown.
async fn flooded(listed: &'static str, records: u32) -> (u64, u32) {
    let asked = Arc::new(std::sync::atomic::AtomicU64::new(0));
    let scripted = Scripted { asked: Arc::clone(&asked), listed };
    let clock = Clock::manual(0);
    let call = Call::over(Box::new(scripted), clock.clone());
    let client = RegistryClient::over(call, "http://r", &settings(30_000), clock.clone());
    assert!(client.schema(1).await.is_ok());
    let need = Need { since: clock.instant(), is_redriven: false };
    clock.advance(Duration::from_secs(31));
    let mut unknown = 0;
    for id in 0..records {
        // A budget's worth of time wherever a call is made.
        let before = asked.load(std::sync::atomic::Ordering::Acquire);
        match client.schema_for(1_000 + id, need).await {
            Err(Lookup::Unknown) => unknown += 1,
            other => panic!("{other:?}"),
        }
        if asked.load(std::sync::atomic::Ordering::Acquire) > before {
            clock.advance(Duration::from_millis(500));
        }
    }
    (asked.load(std::sync::atomic::Ordering::Acquire), unknown)
}

#[tokio::test]
async fn made_up_ids_cost_few_calls_where_the_registry_lists_its_own() {
    let (asked, unknown) = flooded(r#"[{"id":1},{"id":2}]"#, 100_000).await;
    assert_eq!(unknown, 100_000);
    assert!(asked < 25, "{asked} calls");
}

#[tokio::test]
async fn a_listing_without_ids_or_without_what_is_known_is_not_believed() {
    for listed in [r#"[{"schema":"x"}]"#, r#"[{"id":2}]"#, "[]"] {
        let (asked, unknown) = flooded(listed, 100).await;
        assert_eq!(unknown, 100);
        assert!(asked > 100, "{asked} calls: each id is asked for");
    }
}

async fn registering(server: &MockServer, status: u16, times: u64) {
    let answer = ResponseTemplate::new(status).set_body_json(json!({ "id": 7 }));
    let mock = Mock::given(method("POST")).respond_with(answer);
    mock.up_to_n_times(times).mount(server).await;
}

#[tokio::test]
async fn whoever_registers_waits_for_a_registry_that_is_away() {
    let server = MockServer::start().await;
    registering(&server, 503, 1).await;
    registering(&server, 200, 99).await;
    let client = client(&server, &Clock::system());
    let encoder = Encoder::register_patiently(&client, "t.", &Drain::new()).await.unwrap();
    assert_eq!(encoder.unwrap().event_schema_id(EventType::ItemViewed), 7);
}

#[tokio::test]
async fn whoever_waits_for_the_registry_ends_with_the_drain_and_a_refusal_ends_it() {
    let server = MockServer::start().await;
    registering(&server, 503, 99).await;
    let drain = Drain::new();
    drain.start();
    let client = client(&server, &Clock::system());
    assert!(Encoder::register_patiently(&client, "t.", &drain).await.unwrap().is_none());
    server.reset().await;
    let refusal = json!({ "error_code": 409, "message": "incompatible" });
    let answer = ResponseTemplate::new(409).set_body_json(refusal);
    Mock::given(method("POST")).respond_with(answer).mount(&server).await;
    let refused = Encoder::register_patiently(&client, "t.", &Drain::new()).await;
    assert!(matches!(refused, Err(RegistryError::Refused { code: 409, .. })), "{refused:?}");
}
