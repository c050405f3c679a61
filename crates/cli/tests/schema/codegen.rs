//! Generated code compiles, and what it makes is a valid event.

use std::path::Path;
use std::process::Command;

use crate::verb::{err, out, upnext};

/// What `schema codegen --lang rust` writes.
#[allow(dead_code, reason = "an expectation counts what it covers as used, and is then not met")]
#[expect(unreachable_pub, reason = "generated for the crates of producers")]
mod generated {
    include!("upnext_events.rs.txt");
}

#[track_caller]
fn generate(language: &str, directory: &Path) {
    let mut command = upnext(&["schema", "codegen", "--lang", language, "--out"]);
    let output = command.arg(directory).output().unwrap();
    assert!(output.status.success(), "{}", err(&output));
}

/// Runs a program of the machine; `None` where it is not installed.
fn run(program: &str, arguments: &[&str], directory: &Path) -> Option<String> {
    let output = Command::new(program).args(arguments).current_dir(directory).output().ok()?;
    assert!(output.status.success(), "{program}: {}{}", out(&output), err(&output));
    Some(out(&output))
}

fn is_valid(event: &str, directory: &Path) {
    let path = directory.join("event.json");
    std::fs::write(&path, event).unwrap();
    let output = upnext(&["events", "validate"]).arg(&path).output().unwrap();
    assert!(output.status.success(), "{}", out(&output));
}

#[test]
fn rust_is_what_stands_here_and_makes_a_valid_event() {
    let output = upnext(&["schema", "codegen", "--lang", "rust"]).output().unwrap();
    let expected = include_str!("upnext_events.rs.txt");
    assert_eq!(out(&output), expected, "write it again: upnext schema codegen --lang rust");
    let given = serde_json::json!({
        "event_id": "0190a6e1-7f4e-7c3a-9a51-0242ac120002", "event_time": now_ms(),
        "user_id": "u", "item_id": "a",
    });
    let event: generated::ItemClicked = serde_json::from_value(given).unwrap();
    assert_eq!((event.surface.as_str(), &event.device), ("unknown", &generated::Device::Unknown));
    let mut json = serde_json::to_value(&event).unwrap();
    json["type"] = "ItemClicked".into();
    json.as_object_mut().unwrap().retain(|_, value| !value.is_null());
    is_valid(&json.to_string(), tempfile::tempdir().unwrap().path());
}

#[test]
fn python_imports_and_makes_a_valid_event() {
    let directory = tempfile::tempdir().unwrap();
    generate("python", directory.path());
    let program = format!(
        "import json, upnext_events as e\n\
         event = e.ItemPurchased(event_id='0190a6e1-7f4e-7c3a-9a51-0242ac120002', event_time={}, user_id='u',\n\
             device=e.Device.TV, item_id='a', price_minor=100, currency='EUR', quantity=1)\n\
         assert event.to_avro()['anonymous_id'] is None\n\
         print(json.dumps(event.to_json()))",
        now_ms()
    );
    if let Some(said) = run("python3", &["-c", &program], directory.path()) {
        is_valid(&said, directory.path());
    }
}

#[test]
fn java_compiles() {
    let directory = tempfile::tempdir().unwrap();
    generate("java", directory.path());
    assert!(directory.path().join("upnext/events/v1/ItemViewed.java").exists());
    let events = directory.path().join("upnext/events/v1");
    let files: Vec<String> = std::fs::read_dir(events)
        .unwrap()
        .map(|entry| entry.unwrap().path().display().to_string())
        .collect();
    let files: Vec<&str> = files.iter().map(String::as_str).collect();
    run("javac", &[&["-d", "out"], files.as_slice()].concat(), directory.path());
}

#[test]
fn typescript_names_every_event() {
    let output = upnext(&["schema", "codegen", "--lang", "typescript"]).output().unwrap();
    let text = out(&output);
    assert!(text.contains("export type Device = \"unknown\" | \"desktop\""), "{text}");
    assert!(text.contains("  type: \"ItemClicked\";"), "{text}");
    assert!(text.contains("  item_id: string;") && text.contains("  user_id?: string | null;"));
    assert!(text.contains("export type UpnextEvent = "));
}

fn now_ms() -> i64 {
    upnext_common::clock::Clock::system().now_ms()
}
