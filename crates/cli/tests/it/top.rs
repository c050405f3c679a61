//! `upnext top` against a running system, and against nobody.

use serde_json::{Value, json};
use upnext_testkit::eventually;

use crate::running::{BOUND, Up, upnext};

fn board(arguments: &[&str]) -> Value {
    let output = upnext(&["top", "--once", "--every", "2s", "--format", "json"])
        .args(arguments)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn what_happens_is_seen_by_data_directory_and_by_address() {
    let directory = tempfile::tempdir().unwrap();
    let up = Up::start(directory.path(), &[]);
    let event = json!({"events": [
        {"type": "ItemClicked", "user_id": "u1", "session_id": "s", "item_id": "a"},
    ]});
    let ops = up.text("ops").to_owned();
    // Whatever falls between two looks is in the rates; what was before is not.
    let mut seen = json!(null);
    eventually(BOUND, || {
        let ops = ops.clone();
        let looking = std::thread::spawn(move || board(&["--ops", &ops]));
        while !looking.is_finished() {
            assert_eq!(up.post("/v1/events", &event).0, 202);
            assert_eq!(up.post("/v1/recommendations", &json!({"user_id": "u1"})).0, 200);
        }
        seen = looking.join().unwrap();
        seen["stages"][0]["records_per_s"].as_f64() > Some(0.0)
            && seen["stages"][1]["records_per_s"].as_f64() > Some(0.0)
    });
    assert!(seen["events_per_s"]["accepted"].as_f64() > Some(0.0), "{seen}");
    let answers = seen["answers"].as_array().unwrap();
    assert!(answers.iter().any(|tier| tier["per_s"].as_f64() > Some(0.0)), "{seen}");
    let fresh = seen["freshness"].as_array().unwrap().iter();
    let fresh: Vec<&str> = fresh.filter_map(|spread| spread["of"].as_str()).collect();
    for of in
        ["store since event", "store since record", "item_store since event", "answer since event"]
    {
        assert!(fresh.contains(&of), "{of}: {seen}");
    }
    assert!(seen["lag"].as_array().is_some_and(|lag| !lag.is_empty()), "{seen}");
    let by_directory =
        upnext(&["top", "--once", "--data-dir"]).arg(directory.path()).output().unwrap();
    let text = String::from_utf8_lossy(&by_directory.stdout).into_owned();
    assert!(by_directory.status.success() && text.contains("store since event"), "{text}");
}

#[test]
fn nobody_there_exits_69_with_a_hint() {
    let output = upnext(&["top", "--once", "--ops", "127.0.0.1:1"]).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(69), "{said}");
    assert!(said.contains("127.0.0.1:1"), "{said}");
}
