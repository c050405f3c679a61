//! The repository's own cases, and what is said about files that are none.

use std::collections::BTreeSet;

use upnext_common::event::EventType;

use super::*;
use crate::verdict::{Reason, Stage};

fn own() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../schemas/tests")
}

/// The report on one file of these cases.
fn report(text: &str) -> Result<Report, CasesError> {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("a.yaml"), text).unwrap();
    run(directory.path())
}

const BASE: &str =
    "base: { type: ItemViewed, user_id: u, item_id: i, event_time: 1790000000000 }\n";

#[test]
fn our_own_cases_pass() {
    let report = run(&own()).unwrap();
    let failures: Vec<_> = report.failures().collect();
    assert!(failures.is_empty(), "{failures:#?}");
    assert!(report.outcomes.len() > 50);
}

/// Every type is accepted somewhere, and every reason of the contract is met.
#[test]
fn our_own_cases_leave_nothing_out() {
    let accepted = std::fs::read_to_string(own().join("accepted.yaml")).unwrap();
    for kind in EventType::ALL {
        assert!(accepted.contains(&format!("type: {}", kind.name())), "{kind:?}");
    }
    let met: BTreeSet<String> = run(&own())
        .unwrap()
        .outcomes
        .into_iter()
        .map(|outcome| outcome.found.split(' ').next().unwrap_or_default().to_owned())
        .collect();
    for reason in Reason::ALL.into_iter().filter(|reason| reason.stage() == Stage::Contract) {
        assert!(met.contains(reason.code()), "{reason:?}");
    }
}

#[test]
fn a_case_that_differs_is_reported_with_its_place() {
    let text = format!(
        "{BASE}cases:\n  - name: one\n    expect: accept\n  - name: two\n    expect: {{ reason: length, pointer: /item_id }}\n  - name: three\n    event: {{ item_id: '' }}\n    expect: accept\n"
    );
    let report = report(&text).unwrap();
    assert!(!report.has_passed());
    let told: Vec<_> = report
        .failures()
        .map(|one| (one.name.as_str(), one.line, one.expected.as_str(), one.found.as_str()))
        .collect();
    let empty = "length at `/item_id`: has 0 bytes, allowed are 1 to 256 (rule item_id.length)";
    assert_eq!(told, [("two", 5, "length at `/item_id`", "accept"), ("three", 7, "accept", empty)]);
}

#[test]
fn reason_pointer_and_detail_must_all_be_right() {
    let run = |expect: &str| {
        let case = "cases:\n  - name: one\n    event: { item_id: '' }\n    expect: ";
        report(&format!("{BASE}{case}{{ {expect} }}\n")).unwrap().has_passed()
    };
    assert!(run("reason: length"));
    assert!(run("reason: length, pointer: /item_id, detail: 1 to 256"));
    assert!(!run("reason: format"));
    assert!(!run("reason: length, pointer: /query"));
    assert!(!run("reason: length, detail: 1 to 255"));
}

#[test]
fn a_case_that_makes_no_record_fails_and_says_why() {
    let told = |case: &str| {
        let report =
            report(&format!("{BASE}cases:\n  - name: one\n    {case}\n    expect: accept\n"));
        let outcome = report.unwrap().outcomes.remove(0);
        assert!(!outcome.has_passed);
        outcome.found
    };
    assert!(told("value: 0 1 2").contains("pairs of hex digits"));
    assert!(told("writer: { item_id: uint64 }").contains("not an Avro type"));
    assert!(told("event: { type: Sneezed }\n    writer: { a: int }").contains("not an event type"));
    assert!(told("writer: { item_id: long }").contains("cannot be tried"));
}

#[test]
fn files_that_are_no_cases_are_named_with_the_place() {
    #[track_caller]
    fn check(text: &str, line: u64, part: &str) {
        match report(text) {
            Err(CasesError::NotCases { line: found, cause, .. }) => {
                assert_eq!(found, line, "{cause}");
                assert!(cause.contains(part), "{cause}");
            }
            other => panic!("{other:?}"),
        }
    }
    check("cases:\n  - name: a\n    expects: accept\n", 3, "expects");
    check("cases:\n  - name: a\n    expect: reject\n", 2, "`reject`");
    check("cases:\n  - name: a\n    expect: { reason: lateness }\n", 2, "known are empty");
    check(
        "cases:\n  - name: a\n    value: 00\n    event: { a: 1 }\n    expect: accept\n",
        2,
        "takes one",
    );
    assert!(matches!(report("cases: [\n"), Err(CasesError::NotCases { .. })));
    assert!(matches!(report("cases: []\n"), Err(CasesError::None { .. })));
    assert!(matches!(run(Path::new("no such place")), Err(CasesError::Unreadable { .. })));
}
