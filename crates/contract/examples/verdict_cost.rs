//! What a verdict costs: nanoseconds of processor time per event of about 300 bytes, all types mixed, schemas cached.
//! Linux only, since it is the kernel that tells them.
//!
//! `cargo run --release -p upnext-contract --example verdict_cost -- [EVENTS]`. Three lines: our own schemas (the
//! bar is 3,000 ns), schemas of producers that are a field behind, and garbage.

#![expect(clippy::print_stdout, clippy::unwrap_used, reason = "a tool for people")]

use std::sync::Arc;

use serde_json::{Value, json};
use upnext_common::clock::Clock;
use upnext_common::config;
use upnext_common::event::{Event, EventType};
use upnext_contract::framing::frame;
use upnext_contract::json::{Defaults, read_event};
use upnext_contract::{Contract, Encoder, Limits, Raw, RegistryClient, schemas, subject_of};
use wiremock::matchers::{method, path};
use wiremock::{Mock, MockServer, ResponseTemplate};

const NOW_MS: i64 = 1_790_000_000_000;
const TOPIC: &str = "upnext.events.v1";
/// Ids of producers' schemas that lack a field of ours stand this much above ours.
const OLDER: u32 = 100;

fn main() {
    let events = std::env::args().nth(1).map_or(1_000_000, |text| text.parse().unwrap());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let (_server, contract) = contract().await;
        let own: Vec<Vec<u8>> = EventType::ALL.into_iter().map(|kind| value(kind, 0)).collect();
        let older: Vec<Vec<u8>> =
            EventType::ALL.into_iter().map(|kind| value(kind, OLDER)).collect();
        let garbage = vec![b"{\"type\":\"ItemViewed\"}".to_vec()];
        let bytes = own.iter().map(Vec::len).sum::<usize>() / own.len();
        println!("events of {bytes} bytes on average");
        measure(&contract, "own schemas", &own, events).await;
        measure(&contract, "older schemas", &older, events / 4).await;
        measure(&contract, "garbage", &garbage, events).await;
    });
}

async fn measure(contract: &Contract, name: &str, values: &[Vec<u8>], events: u64) {
    let mut accepted = 0_u64;
    for value in values {
        judge(contract, value).await;
    }
    let start = on_processor_ns();
    for value in values.iter().cycle().take(usize::try_from(events).unwrap()) {
        accepted += u64::from(judge(contract, value).await);
    }
    let each = (on_processor_ns() - start) / events;
    println!("{name}: {each} ns per event, {accepted} of {events} accepted");
}

/// Time this thread has had a processor for: what else runs on the machine does not count.
fn on_processor_ns() -> u64 {
    let told = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    told.split_whitespace().next().unwrap().parse().unwrap()
}

async fn judge(contract: &Contract, value: &[u8]) -> bool {
    let raw =
        Raw { key: Some(b"u-17"), value: Some(value), schema_header: None, timestamp_ms: NOW_MS };
    contract.judge(raw).await.unwrap().rejection().is_none()
}

fn id_of(kind: EventType) -> u32 {
    u32::from(kind.code()) + 1
}

/// A registry with our schemas, and with each as it would be without `session_id`.
async fn contract() -> (MockServer, Contract) {
    let server = MockServer::start().await;
    for kind in EventType::ALL {
        let own = schemas::of_event(kind);
        let mut older: Value = serde_json::from_str(own.text).unwrap();
        older["fields"].as_array_mut().unwrap().retain(|field| field["name"] != "session_id");
        let subjects = json!([subject_of(TOPIC, own.full_name)]);
        for (id, text) in [(id_of(kind), own.text), (id_of(kind) + OLDER, &older.to_string())] {
            let at = format!("/schemas/ids/{id}");
            answer(&server, &at, json!({ "schema": text })).await;
            answer(&server, &format!("{at}/subjects"), subjects.clone()).await;
        }
    }
    let registry = config::Registry::default();
    let client = RegistryClient::new(&server.uri(), &registry, Clock::system()).unwrap();
    (server, Contract::new(Arc::new(client), Limits::default(), TOPIC))
}

async fn answer(server: &MockServer, at: &str, body: Value) {
    let answer = ResponseTemplate::new(200).set_body_json(body);
    Mock::given(method("GET")).and(path(at)).respond_with(answer).mount(server).await;
}

/// A framed event; above [`OLDER`] without its session.
fn value(kind: EventType, above: u32) -> Vec<u8> {
    let event = event(kind);
    let own = Encoder::with_ids(|_| 1).event(&event).unwrap();
    let mut content = own[5..].to_vec();
    if above > 0 {
        let session = [&[36_u8][..], event.session_id.as_bytes()].concat();
        let start = content.windows(session.len()).position(|part| part == session).unwrap();
        content.drain(start..start + session.len());
    }
    frame(id_of(kind) + above, &content).to_vec()
}

fn event(kind: EventType) -> Event {
    let mut form = json!({
        "type": kind.name(), "event_id": "0190a6e1-7f4e-7c3a-9a51-0242ac120002", "user_id": "u-17",
        "anonymous_id": "cookie-5f3a9d0e4b7c41d6", "session_id": "session-0190a6e1-7", "surface": "search",
        "decision_id": "0190a6e1-7f4e-7c3a-9a51-0242ac120003", "device": "mobile",
        "props": { "campaign": "autumn-2026", "page": "3", "referrer": "newsletter", "variant": "b",
            "experiment": "ranking-2026-09", "locale": "de-AT", "app_version": "7.41.0", "network": "wifi" },
    });
    let body = match kind {
        EventType::ItemViewed
        | EventType::ItemClicked
        | EventType::ItemLiked
        | EventType::ItemAddedToCart
        | EventType::ItemHidden => json!({ "item_id": "sku-100234-blue-42" }),
        EventType::ItemDwelled => json!({ "item_id": "sku-100234-blue-42", "dwell_ms": 5_400 }),
        EventType::ItemPurchased => json!({
            "item_id": "sku-100234-blue-42", "price_minor": 1_999, "currency": "EUR", "quantity": 2
        }),
        EventType::ItemsShown => {
            json!({ "item_ids": (0..10).map(|n| format!("sku-{n:06}")).collect::<Vec<_>>() })
        }
        EventType::Searched => json!({ "query": "blue running shoes size 42" }),
        EventType::UserErased => json!({}),
    };
    form.as_object_mut().unwrap().append(&mut body.as_object().unwrap().clone());
    read_event(&form, Defaults { now_ms: NOW_MS }).unwrap()
}
