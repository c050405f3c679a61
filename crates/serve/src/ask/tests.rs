//! Limits of a request, one by one.

use serde_json::{Value, json};

use super::*;

#[track_caller]
fn refused(body: Value, pointer: &str) {
    let request: RecommendationsRequest = serde_json::from_value(body).unwrap();
    let problem = check(&request).expect_err("it breaks a limit");
    let pointers: Vec<_> = problem.errors.iter().map(|error| error.pointer.as_str()).collect();
    assert_eq!(pointers, [pointer]);
}

#[test]
fn an_empty_request_is_good_and_has_its_defaults() {
    let request: RecommendationsRequest = serde_json::from_value(json!({})).unwrap();
    assert_eq!(request, RecommendationsRequest::default());
    assert_eq!(request.surface, "home");
    assert!(check(&request).is_ok());
}

#[test]
fn every_limit_names_its_field() {
    refused(json!({"k": 0}), "/k");
    refused(json!({"k": 201}), "/k");
    refused(json!({"user_id": ""}), "/user_id");
    refused(json!({"anonymous_id": "a".repeat(257)}), "/anonymous_id");
    refused(json!({"surface": ""}), "/surface");
    refused(json!({"context": {"locale": ""}}), "/context/locale");
    refused(json!({"seed_items": vec!["a"; 101]}), "/seed_items");
    refused(json!({"seed_items": ["a", ""]}), "/seed_items/1");
    refused(json!({"exclude_items": vec!["a"; 10_001]}), "/exclude_items");
    refused(json!({"fields": vec!["a"; 33]}), "/fields");
    refused(json!({"filters": {"price_min": 2.0, "price_max": 1.0}}), "/filters/price_min");
    refused(json!({"filters": {"category_in": vec!["a"; 101]}}), "/filters/category_in");
    let attributes: BTreeMap<String, &str> = (0..21).map(|n| (format!("a{n}"), "x")).collect();
    refused(json!({"filters": {"attributes": attributes}}), "/filters/attributes");
}

#[test]
fn the_limits_themselves_are_good() {
    let body = json!({"k": 200, "seed_items": vec!["a"; 100], "exclude_items": vec!["a"; 10_000]});
    let request: RecommendationsRequest = serde_json::from_value(body).unwrap();
    assert!(check(&request).is_ok());
}

#[test]
fn several_faults_are_told_at_once() {
    let request = RecommendationsRequest {
        k: Some(0),
        surface: String::new(),
        ..RecommendationsRequest::default()
    };
    assert_eq!(check(&request).unwrap_err().errors.len(), 2);
}

#[test]
fn rank_needs_one_to_a_thousand_items() {
    let (common, items) =
        serde_json::from_value::<RankRequest>(json!({"k": 2, "items": ["a"]})).unwrap().split();
    assert!(check_rank(&common, &items).is_ok());
    assert_eq!(check_rank(&common, &[]).unwrap_err().errors[0].pointer, "/items");
    let many = vec!["a".to_owned(); 1_001];
    assert_eq!(check_rank(&common, &many).unwrap_err().errors[0].pointer, "/items");
}
