//! Every reason a record can be rejected for, through the whole path, with a registry that is a mock.

mod clean;

use serde_json::{Value, json};
use upnext_common::clock::Clock;
use upnext_common::config;
use upnext_common::event::{EventBody, EventType};
use wiremock::matchers::{method, path};
use wiremock::{Mock, MockServer, ResponseTemplate};

use super::*;
use crate::encoder::Encoder;
use crate::framing::frame;
use crate::records::tests::sample;
use crate::schemas;

const NOW_MS: i64 = 1_790_000_000_000;
const OWN_ID: u32 = 7;
const TOPIC: &str = "upnext.events.v1";

/// A contract whose registry knows the given schemas, and our own of `kind` as [`OWN_ID`].
async fn contract(kind: EventType, others: &[(u32, &str)]) -> (MockServer, Contract) {
    let server = MockServer::start().await;
    let own = (OWN_ID, schemas::of_event(kind).text);
    for (id, text) in others.iter().chain([&own]) {
        let answer = ResponseTemplate::new(200).set_body_json(json!({ "schema": text }));
        Mock::given(method("GET"))
            .and(path(format!("/schemas/ids/{id}")))
            .respond_with(answer)
            .mount(&server)
            .await;
    }
    let unknown = json!({ "error_code": 40_403, "message": "Schema not found" });
    let answer = ResponseTemplate::new(404).set_body_json(unknown);
    Mock::given(method("GET")).respond_with(answer).with_priority(9).mount(&server).await;
    let settings = config::Registry { unknown_grace_ms: 0, ..config::Registry::default() };
    let client = RegistryClient::new(&server.uri(), &settings, Clock::system()).unwrap();
    (server, Contract::new(Arc::new(client), Limits::default(), TOPIC))
}

fn raw(value: &[u8]) -> Raw<'_> {
    Raw { key: Some(b"u-17"), value: Some(value), schema_header: None, timestamp_ms: NOW_MS }
}

fn encoded(event: &Event) -> Vec<u8> {
    Encoder::with_ids(|_| OWN_ID).event(event).unwrap().to_vec()
}

#[track_caller]
fn assert_rejected(verdict: &Verdict, reason: Reason, pointer: &str) {
    let rejection = verdict.rejection().unwrap();
    assert_eq!((rejection.reason, rejection.pointer.as_str()), (reason, pointer), "{rejection}");
}

/// The verdict on an event of our own schema.
async fn verdict_on(event: &Event) -> Verdict {
    let (_server, contract) = contract(event.event_type(), &[]).await;
    contract.judge(raw(&encoded(event))).await.unwrap()
}

#[tokio::test]
async fn good_events_are_accepted() {
    for kind in EventType::ALL {
        let event = sample(kind);
        assert_eq!(verdict_on(&event).await, Verdict::Accept(Box::new(event)));
    }
}

#[tokio::test]
async fn frames_that_are_none_are_rejected_without_asking_the_registry() {
    let (server, contract) = contract(EventType::ItemViewed, &[]).await;
    let judge = async |value| contract.judge(value).await.unwrap();
    let none = Raw { key: None, value: None, schema_header: None, timestamp_ms: NOW_MS };
    assert_rejected(&judge(none).await, Reason::Empty, "");
    assert_rejected(&judge(raw(&[])).await, Reason::Empty, "");
    assert_rejected(&judge(raw(&[0, 0, 0, 0, 7])).await, Reason::ShortFrame, "");
    assert_rejected(&judge(raw(b"{\"type\":\"ItemViewed\"}")).await, Reason::BadMagic, "");
    assert_rejected(&judge(raw(&vec![0; (1 << 20) + 1])).await, Reason::Size, "");
    assert_eq!(server.received_requests().await.unwrap().len(), 0);
}

#[tokio::test]
async fn schemas_that_are_not_for_us_are_rejected() {
    let recursive = r#"{"type":"record","name":"ItemViewed","namespace":"upnext.events.v1","fields":[{"name":"a","type":["null","ItemViewed"]}]}"#;
    let others = [
        (1, r#"{"type":"record","name":"Click","namespace":"up","fields":[]}"#),
        (2, recursive),
        (3, "syntax = \"proto3\";"),
        (4, "\"string\""),
    ];
    let (_server, contract) = contract(EventType::ItemViewed, &others).await;
    for (id, reason) in [
        (1, Reason::SubjectNotAllowed),
        (2, Reason::SchemaLint),
        (3, Reason::NotAvro),
        (4, Reason::SubjectNotAllowed),
        (5, Reason::UnknownSchemaId),
    ] {
        let verdict = contract.judge(raw(&frame(id, &[0]))).await.unwrap();
        assert_rejected(&verdict, reason, "");
        assert_eq!(verdict.rejection().unwrap().schema_id, Some(id.into()));
    }
}

#[tokio::test]
async fn bytes_that_are_not_the_value_are_rejected() {
    let (_server, contract) = contract(EventType::ItemViewed, &[]).await;
    let good = encoded(&sample(EventType::ItemViewed));
    let mut with_tail = good.clone();
    with_tail.extend_from_slice(b"junk");
    let mut huge = frame(OWN_ID, &[]).to_vec();
    huge.extend_from_slice(&[0x80, 0x80, 0x80, 0x80, 0x80, 0x01]);
    let mut garbled = good.clone();
    garbled[6] = 0xff;
    for (value, reason) in [
        (&good[..good.len() - 1], Reason::AvroTruncated),
        (&with_tail, Reason::TrailingBytes),
        (&huge, Reason::LimitExceeded),
        (&garbled, Reason::AvroMalformed),
    ] {
        assert_rejected(&contract.judge(raw(value)).await.unwrap(), reason, "");
    }
}

#[tokio::test]
async fn events_that_break_the_contract_are_pointed_into() {
    let viewed = || sample(EventType::ItemViewed);
    let shown = |item_ids| Event {
        body: EventBody::ItemsShown { item_ids },
        ..sample(EventType::ItemsShown)
    };
    let bought = |currency: &str, quantity| Event {
        body: EventBody::ItemPurchased {
            item_id: "i".to_owned(),
            price_minor: 5,
            currency: currency.to_owned(),
            quantity,
        },
        ..sample(EventType::ItemPurchased)
    };
    let at = |event_time_ms| Event { event_time_ms, ..viewed() };
    for (event, reason, pointer) in [
        (Event { event_id: "1".to_owned(), ..viewed() }, Reason::Format, "/event_id"),
        (Event { surface: String::new(), ..viewed() }, Reason::Length, "/surface"),
        (shown(vec![String::new()]), Reason::Length, "/item_ids/0"),
        (shown(Vec::new()), Reason::Length, "/item_ids"),
        (bought("euro", 1), Reason::Format, "/currency"),
        (bought("EUR", 0), Reason::Range, "/quantity"),
        (Event { user_id: Some("other".to_owned()), ..viewed() }, Reason::KeyMismatch, "/user_id"),
        (Event { user_id: None, ..viewed() }, Reason::Missing, "/user_id"),
        (at(NOW_MS + 300_001), Reason::TsFuture, "/event_time"),
        (at(NOW_MS - 86_400_001), Reason::TsTooOld, "/event_time"),
        (at(NOW_MS / 1_000), Reason::TsUnitSuspectS, "/event_time"),
        (at(NOW_MS * 1_000), Reason::TsUnitSuspectUs, "/event_time"),
        (at(NOW_MS * 1_000_000), Reason::TsUnitSuspectNs, "/event_time"),
    ] {
        assert_rejected(&verdict_on(&event).await, reason, pointer);
    }
}

/// Our schema of a viewed item with one field's type replaced.
fn with_type(field: &str, kind: &Value) -> String {
    let mut schema: Value =
        serde_json::from_str(schemas::of_event(EventType::ItemViewed).text).unwrap();
    for entry in schema["fields"].as_array_mut().unwrap() {
        if entry["name"] == field {
            entry["type"] = kind.clone();
            entry.as_object_mut().unwrap().remove("default");
        }
    }
    schema.to_string()
}

#[tokio::test]
async fn a_declared_unit_is_believed_whatever_the_number() {
    for (unit, reason) in [
        ("timestamp-micros", Reason::TsUnitSuspectUs),
        ("timestamp-nanos", Reason::TsUnitSuspectNs),
    ] {
        let text = with_type("event_time", &json!({ "type": "long", "logicalType": unit }));
        let (_server, contract) = contract(EventType::Searched, &[(1, &text)]).await;
        let mut value = encoded(&sample(EventType::ItemViewed));
        value[4] = 1;
        assert_rejected(&contract.judge(raw(&value)).await.unwrap(), reason, "/event_time");
    }
}

#[tokio::test]
async fn a_writer_schema_that_does_not_resolve_is_pointed_into() {
    let event = sample(EventType::ItemViewed);
    let long = with_type("item_id", &json!("long"));
    let gone = schemas::of_event(EventType::ItemViewed).text.replace("\"item_id\"", "\"sku\"");
    let plain_time = with_type("event_time", &json!("long"));
    let others = [(1, long.as_str()), (2, &gone), (3, &plain_time)];
    let (_server, contract) = contract(EventType::Searched, &others).await;
    let mut value = encoded(&event);
    value[4] = 2;
    assert_rejected(&contract.judge(raw(&value)).await.unwrap(), Reason::Missing, "/item_id");
    value[4] = 3;
    let verdict = contract.judge(raw(&value)).await.unwrap();
    assert_rejected(&verdict, Reason::SchemaLint, "/event_time");
    assert!(verdict.rejection().unwrap().detail.contains("looks like milliseconds"));
    // The text "sku-1" read as a long: five bytes are left; a single byte is a long.
    value[4] = 1;
    value.truncate(value.len() - 5);
    assert_rejected(&contract.judge(raw(&value)).await.unwrap(), Reason::SchemaLint, "/item_id");
}

#[tokio::test]
async fn trouble_is_no_verdict_and_passes() {
    let server = MockServer::start().await;
    let failing = Mock::given(method("GET")).respond_with(ResponseTemplate::new(500));
    let failing = failing.mount_as_scoped(&server).await;
    let clock = Clock::manual(0);
    let settings = config::Registry::default();
    let client = RegistryClient::new(&server.uri(), &settings, clock.clone()).unwrap();
    let contract = Contract::new(Arc::new(client), Limits::default(), TOPIC);
    let event = sample(EventType::ItemViewed);
    let value = encoded(&event);
    let trouble = contract.judge(raw(&value)).await.unwrap_err();
    assert!(trouble.fault().may_retry());
    assert_eq!(trouble.schema_id, OWN_ID.into());
    drop(failing);
    let own = json!({ "schema": schemas::of_event(EventType::ItemViewed).text });
    let answer = ResponseTemplate::new(200).set_body_json(own);
    let place = Mock::given(method("GET")).and(path(format!("/schemas/ids/{OWN_ID}")));
    place.respond_with(answer).mount(&server).await;
    let failing = Mock::given(method("GET")).respond_with(ResponseTemplate::new(500));
    let failing = failing.with_priority(9).mount_as_scoped(&server).await;
    clock.advance(std::time::Duration::from_millis(250));
    let trouble = contract.judge(raw(&value)).await.unwrap_err();
    assert!(trouble.to_string().contains("subjects"), "{trouble}");
    drop(failing);
    let subject = subject_of(TOPIC, schemas::of_event(EventType::ItemViewed).full_name);
    let answer = ResponseTemplate::new(200).set_body_json(json!([subject]));
    Mock::given(method("GET")).respond_with(answer).with_priority(9).mount(&server).await;
    clock.advance(std::time::Duration::from_millis(250));
    assert_eq!(contract.judge(raw(&value)).await.unwrap(), Verdict::Accept(Box::new(event)));
}
