//! Events and items as JSON: round trips, what is filled in, and what is pointed at.

use serde_json::json;

use super::*;
use crate::records::tests::sample;

const DEFAULTS: Defaults = Defaults { now_ms: 1_790_000_000_000 };

#[test]
fn every_type_comes_back() {
    for kind in EventType::ALL {
        let mut event = sample(kind);
        event.props.insert("k".to_owned(), "v".to_owned());
        event.decision_id = Some("0190a6e1-7f4e-7c3a-9a51-0242ac120002".to_owned());
        assert_eq!(read_event(&write_event(&event), DEFAULTS), Ok(event));
    }
}

#[test]
fn what_is_missing_is_filled_in() {
    let value =
        json!({"type": "ItemClicked", "anonymous_id": "a", "item_id": "sku-1", "user_id": null});
    let event = read_event(&value, DEFAULTS).unwrap();
    assert!(Uuid::try_parse(&event.event_id).is_ok());
    assert_eq!(event.event_time_ms, DEFAULTS.now_ms);
    assert_eq!((event.session_id.as_str(), event.surface.as_str()), ("", "unknown"));
    assert_eq!(event.key(), Some("a"));
    assert_ne!(event.event_id, read_event(&value, DEFAULTS).unwrap().event_id);
}

#[track_caller]
fn check(change: &Value, expected: (Reason, &str)) {
    let mut value = write_event(&sample(EventType::ItemPurchased));
    for (name, new) in change.as_object().unwrap() {
        value[name] = new.clone();
    }
    let rejection = read_event(&value, DEFAULTS).unwrap_err();
    assert_eq!((rejection.reason, rejection.pointer.as_str()), expected, "{rejection}");
}

#[test]
fn what_is_wrong_is_pointed_at() {
    check(&json!({"type": "ItemBought"}), (Reason::Enum, "/type"));
    check(&json!({"type": null}), (Reason::Missing, "/type"));
    check(&json!({"device": "fridge"}), (Reason::Enum, "/device"));
    check(&json!({"item_id": 7}), (Reason::Format, "/item_id"));
    check(&json!({"item_id": null}), (Reason::Missing, "/item_id"));
    check(&json!({"event_time": "yesterday"}), (Reason::Format, "/event_time"));
    check(&json!({"event_time": 1.5}), (Reason::Format, "/event_time"));
    check(&json!({"quantity": 3_000_000_000_u64}), (Reason::Range, "/quantity"));
    check(&json!({"user_id": null}), (Reason::Missing, "/user_id"));
    check(&json!({"props": {"a/b": []}}), (Reason::Format, "/props/a~1b"));
    check(&json!({"props": 1}), (Reason::Format, "/props"));
    check(&json!({"colour": "blue"}), (Reason::Format, "/colour"));
    check(&json!({"query": "of another type"}), (Reason::Format, "/query"));
}

#[test]
fn a_list_of_ids_is_pointed_into() {
    let value = json!({"type": "ItemsShown", "user_id": "u", "item_ids": ["a", 5]});
    assert_eq!(read_event(&value, DEFAULTS).unwrap_err().pointer, "/item_ids/1");
    let value = json!({"type": "ItemsShown", "user_id": "u", "item_ids": "a"});
    assert_eq!(read_event(&value, DEFAULTS).unwrap_err().pointer, "/item_ids");
    assert_eq!(read_event(&json!([]), DEFAULTS).unwrap_err().pointer, "");
}

#[test]
fn items_are_read_with_scalars_as_text() {
    let value = json!({"item_id": "i", "title": "T", "price": 5, "attributes": {"size": 4, "new": true, "none": null}});
    let item = read_item(&value).unwrap();
    assert_eq!(item.price, Some(5.0));
    assert_eq!(item.attributes["size"], "4");
    assert_eq!(item.attributes["new"], "true");
    assert!(!item.attributes.contains_key("none"));
    assert_eq!(read_item(&write_item(&item)), Ok(item));
}

#[test]
fn items_with_a_fault_are_refused() {
    for (value, pointer) in [
        (json!({"title": "T"}), "/item_id"),
        (json!({"item_id": "i", "price": "5"}), "/price"),
        (json!({"item_id": "i", "colour": "blue"}), "/colour"),
        (json!("i"), ""),
    ] {
        assert_eq!(read_item(&value).unwrap_err().pointer, pointer);
    }
}
