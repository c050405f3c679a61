//! Dead letters and the producers' bench as their users see them: the command line and the admin calls of an `up`.

use std::collections::BTreeMap;
use std::io::Write;
use std::net::TcpStream;
use std::process::Stdio;

use bytes::Bytes;
use serde_json::{Value, json};
use upnext_common::clock::Clock;
use upnext_common::config;
use upnext_common::event::{Device, Event, EventBody};
use upnext_contract::{Encoder, RegistryClient};
use upnext_kafka::{Outgoing, Producer, ProducerSettings};
use upnext_testkit::eventually;

use crate::running::{BOUND, Up, call, signal, upnext};

/// Dwells of `count` users that the contract refuses (a negative time), and as many good clicks.
async fn write(up: &Up, count: usize) {
    let settings = config::Registry::default();
    let client = RegistryClient::new(up.text("registry"), &settings, Clock::system()).unwrap();
    let encoder = Encoder::register_all(&client, "upnext.").await.unwrap();
    let producer = Producer::new(up.text("kafka"), ProducerSettings::default()).unwrap();
    let now_ms = Clock::system().now_ms();
    for number in 0..count {
        let user = format!("u{number}");
        let item_id = "a".to_owned();
        let bad = EventBody::ItemDwelled { item_id: item_id.clone(), dwell_ms: -5 };
        for body in [bad, EventBody::ItemClicked { item_id }] {
            let event = Event {
                event_id: uuid::Uuid::new_v4().to_string(),
                event_time_ms: now_ms,
                user_id: Some(user.clone()),
                anonymous_id: None,
                session_id: "s".to_owned(),
                surface: "home".to_owned(),
                decision_id: None,
                device: Device::Tv,
                props: BTreeMap::new(),
                body,
            };
            let record = Outgoing {
                topic: "upnext.events.v1".to_owned(),
                key: Some(Bytes::from(user.clone())),
                value: Some(encoder.event(&event).unwrap()),
                headers: vec![("upnext.producer".to_owned(), Some(Bytes::from_static(b"shop")))],
                timestamp_ms: Some(now_ms),
                ..Outgoing::default()
            };
            producer.send_when_room(&record).await.unwrap().await.unwrap();
        }
    }
}

fn written(up: &Up, count: usize) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(write(up, count));
}

fn ask(up: &Up, method: &str, path: &str, body: Option<&Value>) -> (u16, Value) {
    call(up.text("ops"), method, path, body)
}

fn run(up: &Up, data_dir: &std::path::Path, arguments: &[&str]) -> (i32, String) {
    assert!(up.pid("upnext") > 0);
    let mut command = upnext(arguments);
    let output = command.arg("--data-dir").arg(data_dir).current_dir(data_dir).output().unwrap();
    let said =
        [output.stdout, output.stderr].map(|said| String::from_utf8_lossy(&said).into_owned());
    (output.status.code().unwrap(), said.concat())
}

#[test]
fn a_producer_tests_its_events_and_an_operator_looks_and_redrives() {
    let directory = tempfile::tempdir().unwrap();
    let up = Up::start(directory.path(), &[]);
    let (status, since) = ask(&up, "POST", "/admin/events:reset", None);
    assert!(status == 200 && since["since_ms"].is_i64(), "{since}");
    written(&up, 3);
    let counts = || ask(&up, "GET", "/admin/events/counts", None).1;
    eventually(BOUND, || counts()["accepted"] == 3 && counts()["rejected"] == 3);
    let told = counts();
    assert_eq!(told["by_reason"], json!({"range": 3}));
    assert_eq!(told["by_type"], json!({"ItemClicked": 3}));
    let (_, bad) = ask(&up, "GET", "/admin/events/bad?limit=2", None);
    assert_eq!(bad["bad"].as_array().unwrap().len(), 2);
    assert_eq!(bad["bad"][0]["pointer"], "/dwell_ms");
    ask(&up, "POST", "/admin/events:reset", None);
    assert_eq!((&counts()["accepted"], &counts()["rejected"]), (&json!(0), &json!(0)));

    looked_at_by_http(&up);
    looked_at_by_hand(&up, directory.path());
    redriven(&up, directory.path());
    assert!(up.terminate().success());
}

fn looked_at_by_http(up: &Up) {
    let (status, listed) = ask(up, "GET", "/admin/dlq?reason=range,size&limit=2", None);
    assert_eq!((status, listed["letters"].as_array().unwrap().len()), (200, 2));
    let place = |name: &str| listed["letters"][0][name].to_string();
    let path = format!("/admin/dlq/{}/{}", place("partition"), place("offset"));
    let (_, told) = ask(up, "GET", &path, None);
    assert_eq!(told["decoded"]["value"]["dwell_ms"], -5, "{told}");
    assert_eq!(told["producer"], "shop");
    let (_, counted) = ask(up, "GET", "/admin/dlq/counts?by=producer", None);
    assert_eq!(counted, json!({"total": 3, "counts": {"shop": 3}}));
    for (path, code) in [
        ("/admin/dlq?reason=lateness", "invalid_filter"),
        ("/admin/dlq?limit=0", "out_of_range"),
        ("/admin/dlq?unheard=1", "invalid_parameter"),
        ("/admin/dlq/0/999", "not_found"),
        ("/admin/dlq/x/1", "invalid_place"),
        ("/admin/dlq/redrives/none", "not_found"),
    ] {
        let (status, problem) = ask(up, "GET", path, None);
        assert!((400..500).contains(&status), "{path}: {status}");
        assert_eq!(problem["code"], code, "{path}: {problem}");
    }
}

fn looked_at_by_hand(up: &Up, data_dir: &std::path::Path) {
    let (code, said) = run(up, data_dir, &["dlq", "ls", "--reason", "range", "--key", "u1"]);
    assert!(code == 0 && said.contains(" range at ") && said.contains("key=u1"), "{said}");
    let place = said.split(' ').next().unwrap().to_owned();
    let (code, said) = run(up, data_dir, &["dlq", "show", &place]);
    for expected in ["meaning   a number is out of its range", "\"dwell_ms\": -5", "0000  00 00 "] {
        assert!(code == 0 && said.contains(expected), "{expected}: {said}");
    }
    let (code, said) = run(up, data_dir, &["dlq", "show", "0/99999"]);
    assert!(code == 1 && said.contains("no dead letter at 0/99999"), "{said}");
    let (code, said) = run(up, data_dir, &["dlq", "count", "--by", "producer"]);
    assert!(code == 0 && said.contains("3  shop"), "{said}");
    let (code, said) = run(up, data_dir, &["dlq", "ls", "--reason", "lateness"]);
    assert!(code == 64 && said.contains("unknown reason"), "{said}");
}

fn redriven(up: &Up, data_dir: &std::path::Path) {
    let (code, said) = run(up, data_dir, &["dlq", "redrive"]);
    assert!(code == 64 && said.contains("pass --yes"), "{said}");
    let (code, said) = run(up, data_dir, &["dlq", "redrive", "--dry-run", "--key", "u1"]);
    assert!(code == 0 && said.contains("1 would be redriven"), "{said}");

    let wanted = json!({"filters": {"reason": ["range"]}, "max": 2, "rate": 100});
    let (status, job) = ask(up, "POST", "/admin/dlq:redrive", Some(&wanted));
    assert_eq!((status, &job["status"]), (202, &json!("running")));
    let path = format!("/admin/dlq/redrives/{}", job["id"].as_str().unwrap());
    let told = || ask(up, "GET", &path, None).1;
    eventually(BOUND, || told()["status"] == "done");
    assert_eq!(told()["report"]["redriven"], 2);
    // Nothing was mended: each fails again, and says so.
    let (code, said) = run(up, data_dir, &["dlq", "redrive", "--yes", "--attempt", "1"]);
    assert!(
        code == 0 && said.contains("1 redriven") && said.contains("2  left: already"),
        "{said}"
    );
    let again = || ask(up, "GET", "/admin/dlq?attempt=2", None).1;
    eventually(BOUND, || again()["letters"].as_array().unwrap().len() == 3);

    let slow = json!({"rate": 1});
    assert_eq!(ask(up, "POST", "/admin/dlq:redrive", Some(&slow)).0, 202);
    let (status, problem) = ask(up, "POST", "/admin/dlq:redrive", Some(&slow));
    assert_eq!((status, &problem["code"]), (409, &json!("redrive_running")), "{problem}");
    for (body, code) in [
        (json!({"filters": {"reason": ["lateness"]}}), "invalid_filter"),
        (json!({"unheard": 1}), "unknown_field"),
        (json!({"rate": 0}), "out_of_range"),
    ] {
        let (status, problem) = ask(up, "POST", "/admin/dlq:redrive", Some(&body));
        assert_eq!((status, &problem["code"]), (400, &json!(code)), "{problem}");
    }
    assert_eq!(asked_by_a_page(up), "HTTP/1.1 403 Forbidden");
}

/// The first line of the answer to a browser.
fn asked_by_a_page(up: &Up) -> String {
    use std::io::Read;
    let host = up.text("ops").trim_start_matches("http://");
    let mut stream = TcpStream::connect(host).unwrap();
    let head =
        format!("GET /admin/dlq HTTP/1.1\r\nhost: {host}\r\norigin: http://evil.example\r\n");
    stream.write_all(format!("{head}connection: close\r\n\r\n").as_bytes()).unwrap();
    let mut said = String::new();
    stream.set_read_timeout(Some(BOUND)).unwrap();
    stream.read_to_string(&mut said).unwrap();
    said.lines().next().unwrap_or_default().to_owned()
}

#[test]
fn a_tap_shows_what_comes_and_ends_when_it_is_told() {
    let directory = tempfile::tempdir().unwrap();
    let up = Up::start(directory.path(), &[]);
    let mut command = upnext(&["tap", "--format", "json", "--user", "u1", "--data-dir"]);
    command.arg(directory.path()).current_dir(directory.path());
    let out = directory.path().join("tapped");
    let file = std::fs::File::create(&out).unwrap();
    let mut tap = command.stdout(file).stderr(Stdio::null()).spawn().unwrap();
    let seen = || std::fs::read_to_string(&out).unwrap();
    // It shows what comes after it has begun; when that is, only what it shows can tell.
    eventually(BOUND, || {
        written(&up, 2);
        let seen = seen();
        seen.contains("\"verdict\":\"accepted\"") && seen.contains("\"verdict\":\"rejected\"")
    });
    assert!(!seen().contains("\"u0\""), "{}", seen());
    signal(tap.id(), "TERM");
    assert!(tap.wait().unwrap().success());
    let (code, said) = run(&up, directory.path(), &["tap", "--bad", "--for", "1s"]);
    assert!(code == 0 && said.contains("shown"), "{said}");
    assert!(up.terminate().success());
}
