//! Headers to deadlines, moments and forced rungs.

use upnext_http::axum::http::{HeaderName, HeaderValue};

use super::*;

const RULES: AdmissionRules =
    AdmissionRules { deadline: Duration::from_millis(150), allow_as_of: true };

fn admit_with(
    headers: &[(&'static str, &str)],
    rules: AdmissionRules,
) -> Result<Admission, Problem> {
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        map.insert(HeaderName::from_static(name), HeaderValue::from_str(value).unwrap());
    }
    admit(&map, rules, &Clock::manual(1_000))
}

#[track_caller]
fn budget(headers: &[(&'static str, &str)], expected: Duration) {
    let admission = admit_with(headers, RULES).expect("good headers");
    assert_eq!(admission.deadline.left(admission.admitted), expected);
}

#[track_caller]
fn refused(headers: &[(&'static str, &str)], rules: AdmissionRules, code: &str) {
    let problem = admit_with(headers, rules).expect_err("bad headers");
    assert_eq!((problem.status.as_u16(), problem.code), (400, code));
}

#[test]
fn the_earliest_deadline_counts_and_none_is_later_than_the_configured_one() {
    let ms = Duration::from_millis;
    budget(&[], ms(150));
    budget(&[("x-upnext-deadline-ms", "40")], ms(40));
    budget(&[("x-upnext-deadline-ms", "9000")], ms(150));
    budget(&[("x-envoy-expected-rq-timeout-ms", "30"), ("x-upnext-deadline-ms", "40")], ms(30));
    budget(&[("grpc-timeout", "20m"), ("x-upnext-deadline-ms", "40")], ms(20));
    budget(&[("x-upnext-deadline-ms", "0")], ms(0));
}

#[test]
fn every_grpc_unit_is_understood() {
    budget(&[("grpc-timeout", "1H")], Duration::from_millis(150));
    budget(&[("grpc-timeout", "1M")], Duration::from_millis(150));
    budget(&[("grpc-timeout", "1S")], Duration::from_millis(150));
    budget(&[("grpc-timeout", "70m")], Duration::from_millis(70));
    budget(&[("grpc-timeout", "700u")], Duration::from_micros(700));
    budget(&[("grpc-timeout", "99999999n")], Duration::from_nanos(99_999_999));
}

#[test]
fn what_is_not_understood_is_refused() {
    for value in ["", "m", "10", "10x", "123456789m", "-1m", "ü"] {
        refused(&[("grpc-timeout", value)], RULES, "invalid_header");
    }
    refused(&[("x-upnext-deadline-ms", "soon")], RULES, "invalid_header");
    refused(&[("x-upnext-as-of-ms", "-5")], RULES, "invalid_header");
    refused(&[("x-upnext-as-of-ms", "now")], RULES, "invalid_header");
    refused(&[("x-upnext-tier", "cached")], RULES, "invalid_header");
    refused(&[("x-upnext-tier", "best")], RULES, "invalid_header");
}

#[test]
fn as_of_and_tier_are_honoured_only_where_allowed() {
    let headers = [("x-upnext-as-of-ms", "77"), ("x-upnext-tier", "session")];
    let admission = admit_with(&headers, RULES).unwrap();
    assert_eq!(admission.now_ms, 77);
    assert_eq!(admission.forced, Some(Tier::Session));
    let strict = AdmissionRules { allow_as_of: false, ..RULES };
    refused(&headers[..1], strict, "as_of_not_allowed");
    refused(&headers[1..], strict, "as_of_not_allowed");
    let plain = admit_with(&[], strict).unwrap();
    assert_eq!((plain.now_ms, plain.forced), (1_000, None));
}
