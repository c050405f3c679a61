//! The registry over its socket, with the clients of `contract`: registration, verdicts, restarts, limits.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use upnext_common::clock::Clock;
use upnext_common::config;
use upnext_common::event::{Device, Event, EventBody, EventType};
use upnext_contract::checks::Limits;
use upnext_contract::framing::guid_header;
use upnext_contract::{
    Contract, Decoder, Encoder, Lookup, Raw, Reason, RegistryClient, Verdict, json, subject_of,
};
use upnext_registry::{Registry, RegistryConfig, StartError};

const NOW_MS: i64 = 1_790_000_000_000;
const TOPIC: &str = "it.events.v1";

fn loopback() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 0))
}

async fn start(data_dir: &Path) -> Registry {
    Registry::start(RegistryConfig { listen: loopback(), data_dir: data_dir.to_owned() })
        .await
        .expect("a free port and a fresh directory")
}

fn client(url: &str) -> Arc<RegistryClient> {
    let settings = config::Registry { unknown_grace_ms: 0, ..config::Registry::default() };
    let client = RegistryClient::new(url, &settings, Clock::system());
    Arc::new(client.expect("a valid URL"))
}

fn viewed() -> Event {
    Event {
        event_id: "0190a6e1-7f4e-7c3a-9a51-0242ac120002".to_owned(),
        event_time_ms: NOW_MS,
        user_id: Some("u-17".to_owned()),
        anonymous_id: None,
        session_id: "s-1".to_owned(),
        surface: "home".to_owned(),
        decision_id: None,
        device: Device::Tv,
        props: BTreeMap::new(),
        body: EventBody::ItemViewed { item_id: "sku-1".to_owned() },
    }
}

/// What an event type has beside the head.
fn fields_of(kind: EventType) -> serde_json::Value {
    match kind {
        EventType::ItemViewed
        | EventType::ItemClicked
        | EventType::ItemLiked
        | EventType::ItemAddedToCart
        | EventType::ItemHidden => serde_json::json!({ "item_id": "i" }),
        EventType::ItemDwelled => serde_json::json!({ "item_id": "i", "dwell_ms": 1 }),
        EventType::ItemPurchased => serde_json::json!({
            "item_id": "i", "price_minor": 1, "currency": "EUR", "quantity": 1
        }),
        EventType::ItemsShown => serde_json::json!({ "item_ids": ["i", "j"] }),
        EventType::Searched => serde_json::json!({ "query": "q" }),
        EventType::UserErased => serde_json::json!({}),
    }
}

fn raw<'a>(key: &'a str, value: &'a [u8]) -> Raw<'a> {
    Raw { key: Some(key.as_bytes()), value: Some(value), schema_header: None, timestamp_ms: NOW_MS }
}

/// One HTTP/1.1 exchange; status line and body as text.
async fn exchange(address: SocketAddr, request: &str) -> String {
    let mut stream = TcpStream::connect(address).await.expect("the registry listens");
    stream.write_all(request.as_bytes()).await.expect("the registry reads");
    let mut answer = Vec::new();
    // A refused body may end with a reset once the answer is out.
    drop(stream.read_to_end(&mut answer).await);
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test]
async fn events_of_every_type_are_registered_judged_and_read_back() {
    let dir = tempfile::tempdir().unwrap();
    let registry = start(dir.path()).await;
    let client = client(&registry.url());
    let encoder = Encoder::register_all(&client, "it.").await.unwrap();
    let contract = Contract::new(Arc::clone(&client), Limits::default(), TOPIC);
    let decoder = Decoder::new(Arc::clone(&client));
    for kind in EventType::ALL {
        let mut form = fields_of(kind);
        form["type"] = kind.name().into();
        form["user_id"] = "u".into();
        let event = json::read_event(&form, json::Defaults { now_ms: NOW_MS }).unwrap();
        let value = encoder.event(&event).unwrap();
        let verdict = contract.judge(raw("u", &value)).await.unwrap();
        assert_eq!(verdict, Verdict::Accept(Box::new(event.clone())));
        assert_eq!(decoder.event(&value).await.unwrap(), event);
    }
    registry.stop().await;
}

#[tokio::test]
async fn ids_stay_the_same_over_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let registry = start(dir.path()).await;
    let before = Encoder::register_all(&client(&registry.url()), "it.").await.unwrap();
    registry.stop().await;
    let registry = start(dir.path()).await;
    let value = before.event(&viewed()).unwrap();
    let fresh = client(&registry.url());
    assert_eq!(Decoder::new(Arc::clone(&fresh)).event(&value).await.unwrap(), viewed());
    let after = Encoder::register_all(&fresh, "it.").await.unwrap();
    assert_eq!(after.event(&viewed()).unwrap(), value);
    registry.stop().await;
}

#[tokio::test]
async fn an_older_and_a_newer_producer_are_both_understood() {
    let dir = tempfile::tempdir().unwrap();
    let registry = start(dir.path()).await;
    let client = client(&registry.url());
    let contract = Contract::new(Arc::clone(&client), Limits::default(), TOPIC);
    let ours: serde_json::Value =
        serde_json::from_str(upnext_contract::schemas::of_event(EventType::ItemViewed).text)
            .unwrap();
    // Newer: a field we do not know, at the end. Older: without `props`, `device` and `decision_id`.
    let mut newer = ours.clone();
    newer["fields"].as_array_mut().unwrap().push(serde_json::json!({
        "name": "zoom", "type": { "type": "array", "items": "int" }, "default": []
    }));
    let mut older = ours;
    let is_old = |field: &serde_json::Value| {
        !["props", "device", "decision_id"].contains(&field["name"].as_str().unwrap())
    };
    older["fields"].as_array_mut().unwrap().retain(is_old);
    let subject = subject_of(TOPIC, "upnext.events.v1.ItemViewed");
    let older_id = client.register(&subject, &older.to_string()).await.unwrap();
    let newer_id = client.register(&subject, &newer.to_string()).await.unwrap();

    let own = Encoder::with_ids(|_| newer_id).event(&viewed()).unwrap();
    let value = [&own[..], &[4, 2, 4, 0]].concat();
    let verdict = contract.judge(raw("u-17", &value)).await.unwrap();
    assert_eq!(verdict, Verdict::Accept(Box::new(viewed())));

    let mut value = upnext_contract::framing::frame(older_id, &[72]).to_vec();
    value.extend_from_slice(viewed().event_id.as_bytes());
    value.extend_from_slice(&[0x80, 0xb0, 0x83, 0xc5, 0x98, 0x68]);
    value.extend_from_slice(b"\x02\x08u-17\x00\x06s-1\x08home\x0asku-1");
    let verdict = contract.judge(raw("u-17", &value)).await.unwrap();
    let expected = Event { device: Device::Unknown, ..viewed() };
    assert_eq!(verdict, Verdict::Accept(Box::new(expected)));
    registry.stop().await;
}

#[tokio::test]
async fn a_schema_named_by_its_guid_in_the_header_is_found() {
    let dir = tempfile::tempdir().unwrap();
    let registry = start(dir.path()).await;
    let client = client(&registry.url());
    let encoder = Encoder::register_all(&client, "it.").await.unwrap();
    let contract = Contract::new(Arc::clone(&client), Limits::default(), TOPIC);
    let framed = encoder.event(&viewed()).unwrap();
    let (id, content) = upnext_contract::unframe(&framed).unwrap();
    let get = format!("GET /schemas/ids/{id} HTTP/1.1\r\nhost: r\r\nconnection: close\r\n\r\n");
    let answer = exchange(registry.address(), &get).await;
    let (_, body) = answer.split_once("\r\n\r\n").unwrap();
    let told: serde_json::Value = serde_json::from_str(body).unwrap();
    let guid: uuid::Uuid = told["guid"].as_str().unwrap().parse().unwrap();

    let header = guid_header(guid);
    let named = Raw { schema_header: Some(&header), ..raw("u-17", content) };
    assert_eq!(contract.judge(named).await.unwrap(), Verdict::Accept(Box::new(viewed())));
    let header = guid_header(uuid::Uuid::nil());
    let named = Raw { schema_header: Some(&header), ..raw("u-17", content) };
    let verdict = contract.judge(named).await.unwrap();
    let rejection = verdict.rejection().unwrap();
    assert_eq!(rejection.reason, Reason::UnknownSchemaId);
    assert_eq!(rejection.schema_id, Some(uuid::Uuid::nil().into()));
    registry.stop().await;
}

#[tokio::test]
async fn a_schema_of_another_subject_is_not_for_this_topic() {
    let dir = tempfile::tempdir().unwrap();
    let registry = start(dir.path()).await;
    let client = client(&registry.url());
    let ours = upnext_contract::schemas::of_event(EventType::ItemViewed).text;
    let id = client.register("it.events.v1-value", ours).await.unwrap();
    let value = Encoder::with_ids(|_| id).event(&viewed()).unwrap();
    let judged = async || {
        let contract = Contract::new(self::client(&registry.url()), Limits::default(), TOPIC);
        contract.judge(raw("u-17", &value)).await.unwrap()
    };
    let verdict = judged().await;
    let rejection = verdict.rejection().unwrap();
    assert_eq!(rejection.reason, Reason::SubjectNotAllowed);
    let detail = "the schema's subject must be it.events.v1-upnext.events.v1.ItemViewed, it is it.events.v1-value";
    assert_eq!(rejection.detail, detail);
    // The same schema under its subject has the same id, and is for this topic.
    let subject = subject_of(TOPIC, "upnext.events.v1.ItemViewed");
    assert_eq!(client.register(&subject, ours).await.unwrap(), id);
    assert_eq!(judged().await, Verdict::Accept(Box::new(viewed())));
    // What was written under it stays readable once it is deleted softly.
    let delete =
        format!("DELETE /subjects/{subject} HTTP/1.1\r\nhost: r\r\nconnection: close\r\n\r\n");
    assert!(exchange(registry.address(), &delete).await.starts_with("HTTP/1.1 200"));
    assert_eq!(judged().await, Verdict::Accept(Box::new(viewed())));
    registry.stop().await;
}

#[tokio::test]
async fn an_unknown_id_is_a_verdict_and_a_silent_registry_is_not() {
    let dir = tempfile::tempdir().unwrap();
    let registry = start(dir.path()).await;
    let client = client(&registry.url());
    assert!(client.is_reachable().await);
    let contract = Contract::new(Arc::clone(&client), Limits::default(), TOPIC);
    let verdict = contract.judge(raw("u", &[0, 0, 0, 3, 231, 1])).await.unwrap();
    assert_eq!(verdict.rejection().unwrap().reason, Reason::UnknownSchemaId);
    assert_eq!(client.schema(999).await.unwrap_err(), Lookup::Unknown);
    registry.stop().await;
    assert!(!client.is_reachable().await);
    let trouble = contract.judge(raw("u", &[0, 0, 0, 3, 232, 1])).await.unwrap_err();
    assert_eq!(trouble.schema_id, 1_000.into());
    assert!(trouble.fault().may_retry());
}

#[tokio::test]
async fn what_is_incompatible_is_refused_with_the_reason() {
    let dir = tempfile::tempdir().unwrap();
    let registry = start(dir.path()).await;
    let client = client(&registry.url());
    client.register("s", r#"{"type":"record","name":"R","fields":[]}"#).await.unwrap();
    let text = r#"{"type":"record","name":"R","fields":[{"name":"a","type":"int"}]}"#;
    let error = client.register("s", text).await.unwrap_err();
    assert!(error.to_string().contains("READER_FIELD_MISSING_DEFAULT_VALUE"), "{error}");
    assert!(!error.fault().may_retry());
    registry.stop().await;
}

#[tokio::test]
async fn only_loopback_is_listened_on() {
    let dir = tempfile::tempdir().unwrap();
    let listen = SocketAddr::from(([0, 0, 0, 0], 0));
    let config = RegistryConfig { listen, data_dir: dir.path().to_owned() };
    let error = Registry::start(config).await.unwrap_err();
    assert!(matches!(error, StartError::NotLoopback { .. }), "{error}");
}

#[tokio::test]
async fn a_taken_port_and_a_taken_directory_are_said_so() {
    let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let registry = start(one.path()).await;
    let config = RegistryConfig { listen: registry.address(), data_dir: other.path().to_owned() };
    let error = Registry::start(config).await.unwrap_err();
    assert!(matches!(error, StartError::Bind(_)), "{error}");
    let config = RegistryConfig { listen: loopback(), data_dir: one.path().to_owned() };
    let error = Registry::start(config).await.unwrap_err();
    assert!(matches!(error, StartError::Journal(_)), "{error}");
    registry.stop().await;
}

#[tokio::test]
async fn strange_requests_are_refused_in_the_registrys_own_words() {
    let dir = tempfile::tempdir().unwrap();
    let registry = start(dir.path()).await;
    let get =
        "GET /associations/resources/-/events HTTP/1.1\r\nhost: r\r\nconnection: close\r\n\r\n";
    let answer = exchange(registry.address(), get).await;
    assert!(answer.starts_with("HTTP/1.1 404"), "{answer}");
    assert!(answer.contains("\"error_code\":404"), "{answer}");
    assert!(answer.contains("application/vnd.schemaregistry.v1+json"), "{answer}");
    let length = upnext_registry::BODY_BYTES_MAX + 1;
    let head = format!(
        "POST /subjects/s/versions HTTP/1.1\r\nhost: r\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n"
    );
    let answer = exchange(registry.address(), &format!("{head}{}", "x".repeat(length))).await;
    assert!(answer.starts_with("HTTP/1.1 413"), "{}", answer.lines().next().unwrap_or_default());
    registry.stop().await;
}

#[tokio::test]
async fn a_schema_that_is_registered_under_its_subject_later_is_taken_then() {
    let directory = tempfile::tempdir().expect("a directory");
    let registry = start(directory.path()).await;
    let settings = config::Registry { negative_ttl_ms: 0, ..config::Registry::default() };
    let client = RegistryClient::new(&registry.url(), &settings, Clock::system());
    let client = Arc::new(client.expect("a valid URL"));
    let text = upnext_contract::schemas::of_event(EventType::ItemViewed).text;
    let id = client
        .register("staging.events.v1-upnext.events.v1.ItemViewed", text)
        .await
        .expect("it is new");
    let value = Encoder::with_ids(|_| id).event(&viewed()).expect("a small event");
    let contract = Contract::new(Arc::clone(&client), Limits::default(), TOPIC);
    let verdict = contract.judge(raw("u-17", &value)).await.expect("the registry answers");
    assert!(
        matches!(&verdict, Verdict::Reject(found) if found.reason == Reason::SubjectNotAllowed),
        "{verdict:?}"
    );
    let subject = format!("{TOPIC}-upnext.events.v1.ItemViewed");
    assert_eq!(client.register(&subject, text).await.expect("it is the same"), id);
    let verdict = contract.judge(raw("u-17", &value)).await.expect("the registry answers");
    assert!(matches!(verdict, Verdict::Accept(_)), "{verdict:?}");
    registry.stop().await;
}
