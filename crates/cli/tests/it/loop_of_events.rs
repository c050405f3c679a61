//! The whole loop: a click changes the next answer, history is imported, a model is trained, taken into use and
//! served, garbage becomes a dead letter.

use std::collections::HashMap;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};
use upnext_testkit::eventually;

use crate::running::{BOUND, Up, upnext};

const CATEGORIES: [&str; 4] = ["tea", "books", "tents", "lamps"];
const ITEMS_PER_CATEGORY: usize = 15;

fn item_id(category: usize, number: usize) -> String {
    format!("{}-{number:02}", CATEGORIES[category])
}

/// A small shop: sessions stay within one category, so that there is something to learn.
fn write_shop(directory: &Path) {
    let mut items = String::new();
    for (category, name) in CATEGORIES.iter().enumerate() {
        for number in 0..ITEMS_PER_CATEGORY {
            let item = json!({"item_id": item_id(category, number), "category": name, "price": 10});
            items.push_str(&format!("{item}\n"));
        }
    }
    std::fs::write(directory.join("items.jsonl"), items).unwrap();
    let mut events = String::from("ts_ms,user_id,session_id,item_id,event_type\n");
    for session in 0..240_usize {
        for step in 0..6_usize {
            let ts_ms = 1_700_000_000_000 + session * 120_000 + step * 9_000;
            let number = (session / 4 * 5 + step * 4) % ITEMS_PER_CATEGORY;
            let item = item_id(session % 4, number);
            events.push_str(&format!("{ts_ms},u{},s{session},{item},view\n", session % 60));
        }
    }
    std::fs::write(directory.join("events.csv"), events).unwrap();
}

fn run(data_dir: &Path, arguments: &[&str]) -> String {
    let mut command: Command = upnext(arguments);
    let output = command.arg("--data-dir").arg(data_dir).current_dir(data_dir).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    said
}

fn ids(answer: &Value) -> Vec<String> {
    let items = answer["items"].as_array().unwrap();
    items.iter().map(|item| item["item_id"].as_str().unwrap().to_owned()).collect()
}

fn share(answer: &Value, category: &str) -> usize {
    ids(answer).iter().filter(|id| id.starts_with(category)).count()
}

/// Must-show 5: an anonymous user clicks three items of one category by HTTP.
#[test]
fn three_clicks_change_the_next_answer_of_an_anonymous_user() {
    let directory = tempfile::tempdir().unwrap();
    write_shop(directory.path());
    let up = Up::start(directory.path(), &[]);
    let said = run(directory.path(), &["import", "events.csv", "--items", "items.jsonl"]);
    assert!(
        said.contains("items: 60 written") && said.contains("events: 1440 accepted, 0 rejected"),
        "{said}"
    );
    let views = || up.get("/v1/users/u59/features").1["recent"].as_array().map_or(0, Vec::len);
    eventually(BOUND, || views() == 24);

    let said = run(directory.path(), &["train", "--set", "train.seconds_max=60"]);
    assert!(said.contains("announced"), "{said}");
    let ask = json!({"anonymous_id": "visitor", "session_id": "now", "k": 10});
    eventually(BOUND, || !up.post("/v1/recommendations", &ask).1["model"].is_null());

    let (status, before) = up.post("/v1/recommendations", &ask);
    assert_eq!(status, 200);
    for number in [1, 5, 9] {
        let event = json!({"type": "ItemClicked", "anonymous_id": "visitor", "session_id": "now",
            "item_id": item_id(2, number)});
        assert_eq!(up.post("/v1/events", &json!({"events": [event]})).0, 202);
    }
    let mut after = Value::Null;
    eventually(BOUND, || {
        after = up.post("/v1/recommendations", &ask).1;
        let tents = share(&after, "tents");
        tents > share(&before, "tents") && tents * 2 > ids(&after).len()
    });
    assert_eq!(after["tier"], "full", "{after}");
    assert!(share(&after, "tents") * 2 > ids(&after).len(), "{:?}", ids(&after));
    assert!(up.terminate().success());
}

/// The second import of the same file goes on where it stopped: here, it was complete, and starts anew.
#[test]
fn rejected_rows_are_counted_by_reason_and_dead_letters_are_listed() {
    let directory = tempfile::tempdir().unwrap();
    let up = Up::start(directory.path(), &[]);
    let rows = "ts_ms,user_id,session_id,item_id,event_type\n\
        1700000000000,u1,s1,a,view\n1700000001000,u1,s1,,view\nnever,u1,s1,b,view\n";
    std::fs::write(directory.path().join("events.csv"), rows).unwrap();
    let said = run(directory.path(), &["import", "events.csv"]);
    assert!(said.contains("events: 1 accepted, 2 rejected"), "{said}");

    let garbage = directory.path().join("garbage");
    std::fs::write(&garbage, "no event at all").unwrap();
    let produced = Command::new("kcat")
        .args(["-P", "-b", up.text("kafka"), "-t", "upnext.events.v1", "-k", "g"])
        .arg(&garbage)
        .status();
    // Where kcat is not installed, scripts/foreign-clients covers this with it.
    if produced.is_ok_and(|status| status.success()) {
        let listed = || -> HashMap<String, u64> {
            let said = run(directory.path(), &["dlq", "count", "--format", "json"]);
            let listed: Value = serde_json::from_str(&said).unwrap();
            serde_json::from_value(listed["counts"].clone()).unwrap()
        };
        eventually(BOUND, || listed().values().sum::<u64>() == 1);
        let shown = run(directory.path(), &["dlq", "ls"]);
        assert!(shown.contains("no event at all"), "{shown}");
    }
    assert!(up.terminate().success());
}

#[test]
fn events_are_sent_and_visitors_come() {
    let directory = tempfile::tempdir().unwrap();
    let up = Up::start(directory.path(), &[]);
    let events = directory.path().join("events.jsonl");
    let line = json!({"type": "ItemLiked", "user_id": "u9", "session_id": "s", "item_id": "a"});
    std::fs::write(&events, format!("{line}\n")).unwrap();
    let said = run(directory.path(), &["events", "send", "events.jsonl"]);
    assert!(said.contains("1 accepted, 0 rejected"), "{said}");
    eventually(BOUND, || up.get("/v1/users/u9/features").1["known"] == true);

    let crowd = ["--items", "120", "--people", "50", "--rate", "100", "--for", "2s"];
    let said = run(directory.path(), &[&["simulate", "--catalogue"][..], &crowd].concat());
    assert!(said.contains("catalogue: 120 items written") && said.contains(" 0 failed"), "{said}");
    assert!(!said.contains(" 0 events"), "{said}");
    assert!(up.terminate().success());
}
