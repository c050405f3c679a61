//! `upnext features rebuild` under live traffic, seen from outside: every answer is of one generation, what arrives
//! meanwhile is counted, what was wrong is right afterwards, and what was erased stays so.

#![expect(clippy::unwrap_used, reason = "a test says what went wrong by panicking")]

mod scene;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use serde_json::{Value, json};
use upnext_common::event::{Device, Event, EventBody, EventType, Subject};
use upnext_common::item::ItemHash;
use upnext_state::{ItemState, Position, Signal, UserState, What};
use upnext_store::Keys;

use scene::{BOUND, Up, call, events_of, quoted};
use upnext_testkit::eventually;

/// In the log this user has hidden `new-hidden`; in the state of before, which is poisoned, `old-hidden`.
const READER: &str = "reader";
const OLD_HIDDEN: &str = "old-hidden";
const NEW_HIDDEN: &str = "new-hidden";
/// An item that only the poisoned state of before knows.
const OLD_ITEM: &str = "old-item";
const POPULAR: [&str; 4] = ["a", "b", OLD_HIDDEN, NEW_HIDDEN];

fn event(kind: &str, user: &str, session: &str, item: &str) -> Value {
    json!({"type": kind, "user_id": user, "session_id": session, "item_id": item})
}

/// Everyone looks at everything, and the reader hides one of it.
fn seed(up: &Up) {
    for user in 0..12 {
        let user = format!("u{user}");
        let views: Vec<Value> =
            POPULAR.iter().map(|item| event("ItemViewed", &user, "s1", item)).collect();
        up.send(&views);
    }
    let reads = [
        event("ItemViewed", READER, "s1", "b"),
        event("ItemViewed", READER, "s1", "a"),
        event("ItemHidden", READER, "s1", NEW_HIDDEN),
    ];
    up.send(&reads);
    up.counted(READER, 3);
    up.counted("u11", 4);
    up.said(&["features", "verify"]);
}

/// States that no log leads to, in the generation that serves: told apart from the right ones in every answer.
fn poison(up: &Up) {
    let keys = Keys::new("upnext:");
    let reader = keys.user(Subject::User(READER));
    let stored = UserState::decode(&up.stored(&reader).unwrap()).unwrap();
    let mut poisoned = UserState::new();
    let bodies = [
        EventBody::ItemViewed { item_id: OLD_ITEM.to_owned() },
        EventBody::ItemViewed { item_id: "a".to_owned() },
        EventBody::ItemHidden { item_id: OLD_HIDDEN.to_owned() },
    ];
    let offsets = stored.next_offset() - 3..;
    for (body, offset) in bodies.into_iter().zip(offsets) {
        let happened = happened(body, stored.newest_ms());
        poisoned.apply(&happened, happened.event_time_ms, offset, &mut Vec::new());
    }
    assert_eq!(poisoned.position(), stored.position());
    up.put(&reader, &poisoned.encode());
    let item = ItemHash::of(OLD_ITEM);
    let mut state = ItemState::new();
    for index in 0..50 {
        let (item_id, kind) = (OLD_ITEM.into(), EventType::ItemViewed);
        let what = What::Count { item_id, kind, is_repeat: false, opens_session: true };
        let signal = Signal { item, time_ms: stored.newest_ms(), what };
        state.apply(&signal, Position { next_index: index, ..Position::default() });
    }
    up.put(&keys.item(item), &state.encode());
    let told = format!("XADD {} * i {}", keys.changed_items(0), quoted(&item.0.to_be_bytes()));
    assert!(up.redis(&told).starts_with('$'));
}

fn happened(body: EventBody, event_time_ms: i64) -> Event {
    Event {
        event_id: format!("{body:?}"),
        event_time_ms,
        user_id: Some(READER.to_owned()),
        anonymous_id: None,
        session_id: "s0".to_owned(),
        surface: "home".to_owned(),
        decision_id: None,
        device: Device::Unknown,
        props: std::collections::BTreeMap::new(),
        body,
    }
}

/// Of which generation an answer was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Made {
    Old,
    New,
}

/// The generation of the user and that of the items, as an answer shows them.
fn made(answer: &Value) -> (Made, Made) {
    let items: BTreeSet<&str> = answer["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|item| item["item_id"].as_str().unwrap())
        .collect();
    let user = match (items.contains(OLD_HIDDEN), items.contains(NEW_HIDDEN)) {
        (false, true) => Made::Old,
        (true, false) => Made::New,
        _ => panic!("neither state of the user leads to {answer}"),
    };
    (user, if items.contains(OLD_ITEM) { Made::Old } else { Made::New })
}

/// The same for the user's features: the item of the poisoned state has a name in the columns of before alone.
fn made_features(features: &Value) -> (Made, Made) {
    let recent = features["recent"].as_array().unwrap();
    let named = |item: &str| recent.iter().any(|event| event["item_id"] == item);
    if named(NEW_HIDDEN) {
        // A state that only the log leads to says nothing about the columns: both know its items.
        return (Made::New, Made::New);
    }
    assert!(named(OLD_HIDDEN), "{features}");
    (Made::Old, if named(OLD_ITEM) { Made::Old } else { Made::New })
}

/// Asks without a pause until it is over; every answer, once of each kind and generation.
fn ask(http: &str, is_over: &AtomicBool) -> (u64, BTreeSet<(Made, Made)>) {
    let (mut count, mut seen) = (0, BTreeSet::new());
    while !is_over.load(Ordering::Acquire) {
        let answer = recommended(http);
        seen.insert(made(&answer));
        let (status, features) = call(http, ("GET", "/v1/users/reader/features"), None);
        assert_eq!(status, 200, "{features}");
        seen.insert(made_features(&features));
        count += 2;
    }
    (count, seen)
}

fn recommended(http: &str) -> Value {
    let question = json!({"user_id": READER, "k": 50});
    let (status, answer) = call(http, ("POST", "/v1/recommendations"), Some(&question));
    assert_eq!(status, 200, "{answer}");
    answer
}

#[test]
fn no_answer_under_a_rebuild_mixes_generations() {
    let up = Arc::new(Up::start());
    seed(&up);
    poison(&up);
    eventually(BOUND, || made(&recommended(&up.http())) == (Made::Old, Made::Old));
    let output = up.run(&["features", "verify"]);
    assert_eq!(output.status.code(), Some(1));
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("1 mismatch") && text.contains("1 extra"), "{text}");
    let foretold = up.said(&["features", "rebuild", "--dry-run"]);
    assert!(foretold.contains("would make generation 1 from 51 events"), "{foretold}");

    let (is_over, written) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let askers: Vec<_> = (0..2)
        .map(|_| {
            let (http, is_over) = (up.http(), Arc::clone(&is_over));
            std::thread::spawn(move || ask(&http, &is_over))
        })
        .collect();
    let writer = {
        let (up, is_over, written) = (Arc::clone(&up), Arc::clone(&is_over), Arc::clone(&written));
        std::thread::spawn(move || {
            while !is_over.load(Ordering::Acquire) {
                let session = format!("s{}", written.load(Ordering::Acquire));
                up.send(&[event("ItemViewed", "writer", &session, "a")]);
                written.fetch_add(1, Ordering::AcqRel);
            }
        })
    };
    let said = up.said(&["features", "rebuild"]);
    assert!(said.contains("generation 1 serves instead of 0"), "{said}");
    eventually(BOUND, || made(&recommended(&up.http())) == (Made::New, Made::New));
    is_over.store(true, Ordering::Release);
    writer.join().unwrap();
    let mut seen = BTreeSet::new();
    let mut count = 0;
    for asker in askers {
        let (asked, saw) = asker.join().unwrap();
        count += asked;
        seen.extend(saw);
    }
    let written = written.load(Ordering::Acquire);
    eprintln!("{count} answers and {written} events under a rebuild: {said}");
    assert_eq!(seen, BTreeSet::from([(Made::Old, Made::Old), (Made::New, Made::New)]));
    assert!(count > 10 && written > 10, "{count} {written}");
    up.counted("writer", written);
    let clean = up.said(&["features", "verify", "--format", "json"]);
    let report: Value = serde_json::from_str(&clean).unwrap();
    assert_eq!(report["users"]["states"]["checked"], 14, "{report}");
    assert!(report["signals"]["checked"].as_u64().unwrap() > written, "{report}");
    // Nothing of the old generation is left.
    assert!(up.stored(&Keys::new("upnext:").user(Subject::User(READER))).is_none());
    assert!(up.said(&["features", "drop-old"]).contains("0 old states removed"));
}

#[test]
fn what_was_erased_is_not_in_the_state_made_anew() {
    let up = Up::start();
    let anonymous = json!({
        "type": "ItemViewed", "anonymous_id": "before", "session_id": "s0", "item_id": "b"
    });
    up.send(&[
        event("ItemViewed", "gone", "s1", "a"),
        event("ItemHidden", "gone", "s1", "b"),
        event("ItemViewed", "stays", "s1", "a"),
        anonymous,
    ]);
    let both = "/v1/users/gone/export?anonymous_id=before";
    // Items have their names as soon as serving's columns have them.
    eventually(BOUND, || {
        let export = up.get(both);
        let hidden = &export["states"][0]["hidden_items"][0]["item_id"];
        events_of(&export) == 3 && hidden == "b" && export["states"][1]["subject"] == "anonymous"
    });
    up.counted("stays", 1);

    let erase = "/v1/users/gone?anonymous_id=before";
    let (status, dry) = call(&up.http(), ("DELETE", &format!("{erase}&dry_run=true")), None);
    assert_eq!((status, &dry["held"]["events"]), (200, &json!(3)), "{dry}");
    assert_eq!((&dry["held"]["items"], &dry["event_id"]), (&json!(2), &Value::Null), "{dry}");
    let (status, erased) = call(&up.http(), ("DELETE", erase), None);
    assert_eq!(status, 202, "{erased}");
    assert!(erased["event_id"].is_string() && erased["anonymous_event_id"].is_string());
    let is_empty = || {
        let export = up.get(both);
        let features = up.get("/v1/users/gone/features");
        export["known"] == false
            && export["states"] == json!([])
            && export["features"]["recent"] == json!([])
            && features["known"] == false
    };
    eventually(BOUND, is_empty);

    assert!(up.said(&["features", "rebuild"]).contains("generation 1 serves"));
    eventually(BOUND, || {
        up.stored("upnext:1:u:gone").is_some() && up.stored("upnext:u:gone").is_none()
    });
    assert!(is_empty());
    up.counted("stays", 1);
    up.said(&["features", "verify"]);
    // What comes after the erasure counts.
    up.send(&[event("ItemViewed", "gone", "s2", "a")]);
    up.counted("gone", 1);
}
