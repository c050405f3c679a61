//! Judging events as they come over HTTP.

use serde_json::json;
use upnext_contract::Limits;

use super::*;

const NOW: i64 = 1_760_000_000_000;

fn judged(lines: Vec<Line>) -> Judged {
    judge(&Checks::new(Limits::default()), lines, NOW)
}

fn click(item_id: &str) -> Value {
    json!({"type": "ItemClicked", "user_id": "u", "item_id": item_id})
}

#[test]
fn what_is_missing_is_filled_in() {
    let judged = judged(vec![Ok(click("a"))]);
    assert_eq!(judged.accepted[0].event_time_ms, NOW);
    assert!(!judged.accepted[0].event_id.is_empty());
    assert!(judged.rejected.is_empty());
}

#[test]
fn a_bad_event_is_rejected_alone_with_its_place_and_id() {
    let id = "0190b6d0-0000-7000-8000-000000000001";
    let nobody = json!({"type": "ItemClicked", "item_id": "a", "event_id": id});
    let old = json!({"type": "ItemClicked", "user_id": "u", "item_id": "a", "event_time": 1_000});
    let judged = judged(vec![Ok(click("a")), Ok(nobody), Ok(old), Ok(click("b"))]);
    assert_eq!(judged.accepted.len(), 2);
    let places: Vec<_> = judged.rejected.iter().map(|event| event.index).collect();
    assert_eq!(places, [1, 2]);
    assert_eq!(judged.rejected[0].event_id.as_deref(), Some(id));
    assert_eq!(
        (judged.rejected[0].reason, judged.rejected[0].pointer.as_str()),
        ("missing", "/user_id")
    );
    assert_eq!(judged.rejected[1].pointer, "/event_time");
}

#[test]
fn a_line_that_is_not_json_is_rejected_alone_and_blank_lines_are_none() {
    let text = format!("{}\n\n{{oops\r\n{}\n", click("a"), click("b"));
    let judged = judged(split_lines(text.as_bytes()));
    assert_eq!(judged.accepted.len(), 2);
    assert_eq!((judged.rejected[0].index, judged.rejected[0].reason), (1, "format"));
}

#[test]
fn the_content_type_is_read_without_its_parameters() {
    let mut headers = HeaderMap::new();
    assert_eq!(content_type(&headers), None);
    headers.insert(header::CONTENT_TYPE, "application/json; charset=utf-8".parse().unwrap());
    assert_eq!(content_type(&headers), Some("application/json"));
}
