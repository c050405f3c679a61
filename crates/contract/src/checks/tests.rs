//! Identity, warnings, keys.

use upnext_common::event::EventType;

use super::*;
use crate::records::tests::sample;

const NOW_MS: i64 = 1_790_000_000_000;

#[test]
fn a_good_event_is_accepted_unchanged() {
    let checks = Checks::new(Limits::default());
    for kind in EventType::ALL {
        let event = sample(kind);
        assert_eq!(checks.judge_event(&event, NOW_MS), Verdict::Accept(Box::new(event)));
    }
}

#[test]
fn an_event_that_names_nobody_is_missing_its_user() {
    let event = Event { user_id: None, ..sample(EventType::ItemViewed) };
    let verdict = Checks::new(Limits::default()).judge_event(&event, NOW_MS);
    let rejection = verdict.rejection().unwrap();
    assert_eq!((rejection.reason, rejection.pointer.as_str()), (Reason::Missing, "/user_id"));
}

#[test]
fn a_broken_warning_is_counted_and_passes() {
    let checks = Checks::new(Limits::default());
    let event = Event { surface: "Home Page".to_owned(), ..sample(EventType::ItemViewed) };
    assert_eq!(checks.first_objection(&event, NOW_MS), None);
    assert_eq!(checks.first_objection(&event, NOW_MS), None);
    assert_eq!(checks.warnings(), vec![("surface.word", 2)]);
}

#[test]
fn broken_warnings_stand_among_the_metrics() {
    let metrics = Metrics::new();
    let checks = Checks::new(Limits::default()).counting(&metrics);
    assert!(metrics.render().contains("upnext_rule_warnings_total{rule=\"surface.word\"} 0"));
    let event = Event { surface: "Home Page".to_owned(), ..sample(EventType::ItemViewed) };
    assert_eq!(checks.first_objection(&event, NOW_MS), None);
    let text = metrics.render();
    assert!(text.contains("upnext_rule_warnings_total{rule=\"surface.word\"} 1"), "{text}");
    assert!(!text.contains("event_id.uuid"), "rules that reject are counted as rejections");
}

#[test]
fn items_are_held_to_their_rules() {
    let item = Item { item_id: "i".to_owned(), price: Some(-1.0), ..Item::default() };
    let rejection = Checks::new(Limits::default()).check_item(&item).unwrap();
    assert_eq!((rejection.reason, rejection.pointer.as_str()), (Reason::Range, "/price"));
    let nan = Item { price: Some(f64::NAN), ..item };
    assert!(Checks::new(Limits::default()).check_item(&nan).is_some());
}

#[test]
fn the_key_is_the_user_else_the_visitor() {
    let known = sample(EventType::ItemViewed);
    let anonymous = Event { user_id: None, anonymous_id: Some("a-1".to_owned()), ..known.clone() };
    assert_eq!(check_key(&Parts::of(&known), Some(b"u-17")), None);
    assert_eq!(check_key(&Parts::of(&anonymous), Some(b"a-1")), None);
    for (event, key, pointer) in [
        (&known, Some(b"u-18".as_slice()), "/user_id"),
        (&known, None, "/user_id"),
        (&anonymous, Some(b"u-17".as_slice()), "/anonymous_id"),
        (&anonymous, Some(&[0xff]), "/anonymous_id"),
    ] {
        let rejection = check_key(&Parts::of(event), key).unwrap();
        assert_eq!((rejection.reason, rejection.pointer.as_str()), (Reason::KeyMismatch, pointer));
    }
}
