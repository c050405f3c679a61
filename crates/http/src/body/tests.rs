//! Bodies that are wrong, and how each is said to be wrong.

use serde::Deserialize;

use super::*;

#[derive(Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Ask {
    user_id: String,
    #[serde(default)]
    k: u32,
    #[serde(default)]
    filters: Filters,
    #[serde(default)]
    events: Vec<Filters>,
}

#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Filters {
    price_max: Option<f64>,
}

#[track_caller]
fn check(body: &str, code: &str, pointers: &[&str], says: &str) {
    let problem = parse::<Ask>(body.as_bytes()).unwrap_err();
    assert_eq!(problem.status, StatusCode::BAD_REQUEST);
    assert_eq!(problem.code, code, "{problem:?}");
    let found = problem.errors.iter().map(|error| error.pointer.as_str()).collect::<Vec<_>>();
    assert_eq!(found, pointers, "{problem:?}");
    let said = format!("{problem:?}");
    assert!(said.contains(says), "{said}");
}

#[test]
fn what_fits_is_read() {
    let ask = parse::<Ask>(br#"{"user_id":"u","k":3,"filters":{"price_max":9.5}}"#).unwrap();
    assert_eq!((ask.user_id.as_str(), ask.k, ask.filters.price_max), ("u", 3, Some(9.5)));
}

#[test]
fn no_json_names_line_and_column() {
    check("{\"user_id\": \"u\",\n oops}", "malformed_json", &[], "line 2 column 2");
    check("", "malformed_json", &[], "line 1 column 0");
    check(r#"{"user_id":"u"} x"#, "malformed_json", &[], "trailing characters");
    check("{\"user_id\":\"\u{1}\"}", "malformed_json", &[], "control character");
}

#[test]
fn deep_nesting_is_refused_and_not_followed() {
    let deep = format!(r#"{{"user_id":"u","x":{}1{}}}"#, "[".repeat(10_000), "]".repeat(10_000));
    let problem = parse::<serde_json::Value>(deep.as_bytes()).unwrap_err();
    assert_eq!(problem.code, "malformed_json");
}

#[test]
fn an_unknown_field_is_pointed_at_with_what_it_may_mean() {
    check(r#"{"usr_id":"u"}"#, "unknown_field", &["/usr_id"], "did you mean `user_id`?");
    check(r#"{"user_id":"u","zzz":1}"#, "unknown_field", &["/zzz"], "known here: user_id, k");
    let inner = r#"{"user_id":"u","filters":{"prize_max":1}}"#;
    check(inner, "unknown_field", &["/filters/prize_max"], "did you mean `price_max`?");
    let in_list = r#"{"user_id":"u","events":[{},{"a/b":1}]}"#;
    check(in_list, "unknown_field", &["/events/1/a~1b"], "known here: price_max");
}

#[test]
fn a_wrong_type_is_pointed_at() {
    check(r#"{"user_id":7}"#, "invalid_field", &["/user_id"], "invalid type: integer `7`");
    check(r#"{"user_id":"u","k":-1}"#, "invalid_field", &["/k"], "invalid value: integer `-1`");
    let in_list = r#"{"user_id":"u","events":[{"price_max":"x"}]}"#;
    check(in_list, "invalid_field", &["/events/0/price_max"], "invalid type: string");
    check("[]", "invalid_field", &[""], "invalid length 0");
}

#[test]
fn a_missing_field_is_pointed_at() {
    check(r#"{"k":1}"#, "missing_field", &["/user_id"], "missing field `user_id`");
}

#[test]
fn other_media_types_are_refused() {
    let refused = |media_type: &str| {
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_TYPE, media_type.parse().unwrap());
        check_media_type(&headers).err().map(|problem| problem.status.as_u16())
    };
    assert_eq!(refused("application/json; charset=utf-8"), None);
    assert_eq!(refused("application/vnd.x+json"), None);
    assert_eq!(refused("application/x-www-form-urlencoded"), Some(415));
    assert!(check_media_type(&HeaderMap::new()).is_ok());
}
