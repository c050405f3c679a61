//! Evaluation and training from files: the lists over HTTP are those in process, the figures come with answers.

use std::path::Path;
use std::process::Output;

use serde_json::{Value, json};

use crate::running::upnext;

const START_MS: u64 = 1_700_000_000_000;
const SESSIONS: u64 = 120;
/// Sessions from this one on are the test split.
const TEST_FROM: u64 = 100;

/// Sessions that walk over neighbouring items; a query before the last step of each test session.
fn write_data_set(directory: &Path) {
    let mut events = String::from("ts_ms,user_id,session_id,item_id,event_type\n");
    let mut queries = String::new();
    let mut items = String::new();
    for number in 0..40 {
        let category = ["tea", "books"][number / 20];
        items.push_str(&format!(
            "{}\n",
            json!({"item_id": format!("i{number}"), "category": category})
        ));
    }
    for session in 0..SESSIONS {
        let walk: Vec<String> =
            (0..5).map(|step| format!("i{}", (session * 7 + step) % 40)).collect();
        for (step, item) in (0..).zip(&walk) {
            let ts_ms = START_MS + session * 100_000 + step * 1_000;
            events.push_str(&format!("{ts_ms},,s{session},{item},view\n"));
        }
        let query = json!({
            "qid": session, "split": if session < TEST_FROM { "valid" } else { "test" },
            "ts_ms": START_MS + session * 100_000 + 4_000, "user_id": "", "session_id": format!("s{session}"),
            "session": walk[..4], "targets": [walk[4]], "exclude": "last", "pos": 4,
            "kind": "next", "cohort": "pos2-4",
        });
        queries.push_str(&format!("{query}\n"));
    }
    let split = json!({
        "valid_from_ms": START_MS + 50 * 100_000, "test_from_ms": START_MS + TEST_FROM * 100_000,
    });
    for (name, text) in [
        ("events.csv", events),
        ("items.jsonl", items),
        ("queries.jsonl", queries),
        ("split.json", split.to_string()),
    ] {
        std::fs::write(directory.join(name), text).unwrap();
    }
}

fn run(directory: &Path, arguments: &[&str]) -> Output {
    let mut command = upnext(arguments);
    command.args(["--data-dir", "data"]).current_dir(directory).output().unwrap()
}

fn said(output: &Output) -> (String, String) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (text(&output.stdout), text(&output.stderr))
}

#[test]
fn lists_over_http_are_those_in_process() {
    let directory = tempfile::tempdir().unwrap();
    write_data_set(directory.path());
    let evaluate = ["evaluate", "--dataset", ".", "--tier", "session", "--queries", "12"];
    let via = |via, answers| {
        let more = ["--via", via, "--answers", answers];
        let output = run(directory.path(), &[&evaluate[..], &more].concat());
        let (report, notes) = said(&output);
        assert!(output.status.success(), "{notes}");
        (serde_json::from_str::<Value>(&report).unwrap(), notes)
    };
    let (offline, _) = via("offline", "offline.jsonl");
    let (http, notes) = via("http", "http.jsonl");
    assert!(notes.contains("http equals offline on 12 of 12 queries"), "{notes}");
    assert_eq!(offline["next"], http["next"]);
    let found = http["next"]["headline(with-context)"]["Recall@20"].as_f64().unwrap();
    assert!(found > 0.5, "{found}");
    let answers = std::fs::read_to_string(directory.path().join("http.jsonl")).unwrap();
    assert_eq!(answers.lines().count(), 12);
}

#[test]
fn a_model_is_trained_from_a_file_without_a_system() {
    let directory = tempfile::tempdir().unwrap();
    write_data_set(directory.path());
    let train = ["train", "--from", "events.csv", "--items", "items.jsonl", "--no-announce"];
    let budget = ["--set", "train.seconds_max=5"];
    let output = run(directory.path(), &[&train[..], &budget].concat());
    let (report, notes) = said(&output);
    assert!(output.status.success(), "{notes}");
    assert!(report.starts_with("artifact ") && !report.contains("announced"), "{report}");
    let artifacts = std::fs::read_dir(directory.path().join("data/artifacts")).unwrap();
    let manifests = artifacts.filter(|found| {
        found.as_ref().is_ok_and(|found| found.path().join("manifest.json").exists())
    });
    assert_eq!(manifests.count(), 1);
}

#[test]
fn a_directory_that_is_no_data_set_exits_64() {
    let directory = tempfile::tempdir().unwrap();
    let output = run(directory.path(), &["evaluate", "--dataset", ".", "--via", "offline"]);
    assert_eq!(output.status.code(), Some(64), "{}", said(&output).1);
}

#[test]
fn a_history_without_events_exits_64() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(
        directory.path().join("events.csv"),
        "ts_ms,user_id,session_id,item_id,event_type\n",
    )
    .unwrap();
    let output = run(directory.path(), &["train", "--from", "events.csv", "--no-announce"]);
    let (_, notes) = said(&output);
    assert_eq!(output.status.code(), Some(64), "{notes}");
    assert!(notes.contains("there are no events to learn from"), "{notes}");
}
