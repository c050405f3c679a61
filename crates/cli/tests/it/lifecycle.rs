//! `up` from start to stop: ready line, drain, what survives a kill, what happens to its Redis.

use serde_json::json;
use upnext_testkit::eventually;

use crate::running::{BOUND, Up, call, gone, is_running, signal};

#[test]
fn it_says_ready_and_stops_after_its_time_with_exit_0() {
    let directory = tempfile::tempdir().unwrap();
    let up = Up::start(directory.path(), &["--for", "1s"]);
    assert_eq!(up.ready["ready"], true);
    assert_eq!(call(up.text("ops"), "GET", "/readyz", None).0, 200);
    assert_eq!(up.get("/openapi.json").0, 200);
    assert_eq!(call(up.text("registry"), "GET", "/subjects", None).0, 200);
    let redis = up.pid("redis");
    assert!(up.wait().success());
    gone(redis);
}

#[test]
fn what_was_acknowledged_survives_a_kill_and_the_orphan_is_ended() {
    let directory = tempfile::tempdir().unwrap();
    let up = Up::start(directory.path(), &[]);
    let items = json!({"items": [{"item_id": "kept", "category": "tea"}]});
    assert_eq!(up.post("/v1/items:batch?wait=indexed", &items).0, 200);
    let event = json!({"events": [
        {"type": "ItemClicked", "user_id": "u1", "session_id": "s", "item_id": "kept"},
    ]});
    assert_eq!(up.post("/v1/events", &event).0, 202);
    eventually(BOUND, || up.get("/v1/users/u1/features").1["known"] == true);
    let orphan = up.pid("redis");
    up.kill();
    assert!(is_running(orphan));

    let up = Up::start(directory.path(), &[]);
    gone(orphan);
    assert_ne!(up.pid("redis"), orphan);
    assert_eq!(up.get("/v1/items/kept").0, 200);
    // A busy machine may be too late for one look: it is looked at until it answers.
    eventually(BOUND, || up.get("/v1/users/u1/features").1["windows"]["24h"]["click"] == 1);
    assert!(up.terminate().success());
}

#[test]
fn answers_go_on_without_redis_and_it_comes_back() {
    let directory = tempfile::tempdir().unwrap();
    let up = Up::start(directory.path(), &[]);
    let items = json!({"items": [{"item_id": "a", "category": "tea"}]});
    assert_eq!(up.post("/v1/items:batch?wait=indexed", &items).0, 200);
    let first = up.pid("redis");
    signal(first, "KILL");
    let ask = json!({"user_id": "u1", "k": 5});
    assert_eq!(up.post("/v1/recommendations", &ask).0, 200);
    gone(first);
    let event = json!({"events": [
        {"type": "ItemClicked", "user_id": "u1", "session_id": "s", "item_id": "a"},
    ]});
    assert_eq!(up.post("/v1/events", &event).0, 202);
    eventually(BOUND, || up.get("/v1/users/u1/features").1["known"] == true);
    assert!(up.terminate().success());
}
