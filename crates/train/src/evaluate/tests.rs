//! The protocol: figures by hand, what a query may see, and the files.

use std::io::Write;
use std::path::Path;

use upnext_common::clock::Clock;
use upnext_common::config::Train;
use upnext_common::tier::Tier;

use super::*;

const DAY_MS: i64 = 86_400_000;

fn query(qid: u64, ts_ms: i64, session: &[&str], target: &str) -> FrozenQuery {
    let strings = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
    FrozenQuery {
        qid,
        split: "test".to_owned(),
        ts_ms,
        user_id: String::new(),
        session_id: format!("s{qid}"),
        session: strings(session),
        seen: Vec::new(),
        targets: strings(&[target]),
        exclude: "last".to_owned(),
        pos: 1,
        kind: "next".to_owned(),
        cohort: "pos1".to_owned(),
    }
}

fn answered(qid: u64, items: &[&str]) -> Answer {
    let items = items.iter().map(|item| (*item).to_owned()).collect();
    Answer { qid, items, source: "session".to_owned(), ms: 1.0 }
}

#[track_caller]
fn check(items: &[&str], targets: &[&str], expected: Measures) {
    let targets = targets.iter().map(|target| (*target).to_owned()).collect::<Vec<_>>();
    let found = measure(items, &targets);
    for (found, expected) in found.iter().zip(expected) {
        assert!((found - expected).abs() < 1e-12, "{found} {expected}");
    }
}

#[test]
fn measures_are_those_of_their_definitions() {
    let half = 1.0 / 3.0_f64.log2();
    check(&["a", "b"], &["a"], [1.0, 1.0, 1.0, 1.0, 1.0]);
    check(&["b", "a"], &["a"], [1.0, 1.0, 0.5, half, 1.0]);
    check(&["b"], &["a"], [0.0; 5]);
    check(&["b", "a"], &["a", "c"], [0.5, 1.0, 0.5, half / (1.0 + half), 1.0]);
    let far = (0..30).map(|at| format!("x{at}")).collect::<Vec<_>>();
    let mut far = far.iter().map(String::as_str).collect::<Vec<_>>();
    far.push("a");
    check(&far, &["a"], [0.0, 0.0, 0.0, 0.0, 1.0]);
}

#[test]
fn a_missing_answer_scores_nothing_and_a_banned_item_counts_as_a_violation() {
    let queries = [query(0, 0, &["x"], "a"), query(1, 0, &["x"], "a")];
    let queries = queries.iter().collect::<Vec<_>>();
    let report = score(&queries, &[answered(0, &["x", "b", "b", "a"])]);
    assert_eq!(report.totals.violations, 2);
    assert_eq!((report.totals.queries, report.totals.answered), (2, 1));
    assert_eq!(report.headline("next", "Recall@20"), Some(0.5));
    assert_eq!(report.headline("next", "MRR@20"), Some(0.25));
    assert_eq!(report.headline("next", "nothing"), None);
    let json = report.to_json();
    assert!(
        json.starts_with("{\n \"next\": {\n  \"headline(with-context)\": {\n   \"n\": 2,"),
        "{json}"
    );
    assert!(json.contains("\"sources\": {\n   \"session\": 1,\n   \"none\": 1\n  }"), "{json}");
}

#[test]
fn a_cohort_without_context_is_outside_the_headline() {
    let mut first = query(0, 0, &[], "a");
    first.cohort = "first-event".to_owned();
    let second = query(1, 0, &["x"], "a");
    let report = score(&[&first, &second], &[answered(1, &["a"])]);
    assert_eq!(report.headline("next", "Recall@20"), Some(1.0));
    let cohorts = report.kinds[0].1.cohorts.iter().map(|(name, of)| (name.as_str(), of.queries));
    assert_eq!(cohorts.collect::<Vec<_>>(), [("first-event", 1), ("pos1", 1)]);
}

#[test]
fn plans_give_a_basket_as_seeds_and_ban_what_the_query_says() {
    let next = query(0, 7, &["a", "b"], "c");
    assert_eq!(next.plan().exclude_items, ["b"]);
    assert!(next.plan().seed_items.is_empty());
    assert_eq!(next.plan().anonymous_id.as_deref(), Some("s0"));
    let basket = FrozenQuery {
        kind: "basket-completion".to_owned(),
        exclude: "session".to_owned(),
        user_id: "u".to_owned(),
        ..next.clone()
    };
    assert_eq!(basket.plan().seed_items, ["a", "b"]);
    assert_eq!(basket.plan().exclude_items, ["a", "b"]);
    assert_eq!((basket.plan().user_id.as_deref(), basket.plan().anonymous_id), (Some("u"), None));
    let open = FrozenQuery { exclude: "none".to_owned(), ..next };
    assert!(open.plan().exclude_items.is_empty());
}

/// A data set on disk: sessions `a → b → c` every day, and at the end a query at the very time of its target.
fn gold(directory: &Path) -> Gold {
    let mut events = "ts_ms,user_id,session_id,item_id,event_type\n".to_owned();
    for day in 0..20 {
        for (nth, item) in (0_i64..).zip(["a", "b", "c"]) {
            events.push_str(&format!("{},,d{day},{item},view\n", day * DAY_MS + nth * 1_000));
        }
    }
    let end = 20 * DAY_MS;
    events.push_str(&format!("{end},,q,a,view\n{},,q,secret,view\n", end + 1_000));
    events.push_str(&format!("{},,r,secret,view\n", end + 1_000));
    std::fs::write(directory.join("events.csv"), events).unwrap();
    let mut queries = std::fs::File::create(directory.join("queries.jsonl")).unwrap();
    for (qid, ts_ms, session, target) in
        [(0, end + 1_000, "[\"a\"]", "secret"), (1, end + 1_001, "[\"a\",\"secret\"]", "b")]
    {
        writeln!(
            queries,
            "{{\"qid\":{qid},\"split\":\"test\",\"ts_ms\":{ts_ms},\"user_id\":\"\",\"session_id\":\"q\",\
             \"session\":{session},\"targets\":[\"{target}\"],\"exclude\":\"last\",\"pos\":1,\
             \"kind\":\"next\",\"cohort\":\"pos1\"}}"
        )
        .unwrap();
    }
    let cuts = format!("{{\"valid_from_ms\": {}, \"test_from_ms\": {end}}}", 10 * DAY_MS);
    std::fs::write(directory.join("split.json"), cuts).unwrap();
    Gold::read(directory).unwrap()
}

#[test]
fn events_at_the_query_s_own_time_are_invisible() {
    let directory = tempfile::tempdir().unwrap();
    let gold = gold(directory.path());
    let queries = gold.split("test").unwrap();
    let (train, clock) = (Train::default(), Clock::manual(0));
    let evaluation =
        Offline { gold: &gold, split: "test", tier: Tier::Session, train: &train, clock: &clock };
    let outcome = offline(&evaluation, &queries, &mut |_| {}).unwrap();
    assert_eq!(outcome.answers[0].items, ["b", "c"], "`secret` happens at the query's own time");
    assert!(outcome.answers[1].items.contains(&"b".to_owned()));
    assert!(!outcome.answers[1].items.contains(&"secret".to_owned()), "it is in view by then");
    assert_eq!(outcome.report.totals.violations, 0);
    let every_step = walk(&gold.rows, &queries).collect::<Vec<_>>();
    let Step::Events(first) = every_step[0] else { panic!("{:?}", every_step[0]) };
    assert!(first.iter().all(|row| row.record_ms < queries[0].ts_ms));
    assert_eq!(every_step.len(), 4);
}

#[test]
fn only_what_lies_before_a_split_may_be_fitted_on() {
    let directory = tempfile::tempdir().unwrap();
    let gold = gold(directory.path());
    assert!(gold.before("test").unwrap().iter().all(|row| row.record_ms < 20 * DAY_MS));
    assert_eq!(gold.before("valid").unwrap().len(), 30);
    assert!(matches!(gold.before("train"), Err(EvaluateError::Split { .. })));
    assert!(matches!(gold.split("valid"), Err(EvaluateError::NoQueries { .. })));
}

#[test]
fn what_is_missing_or_broken_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let missing = Gold::read(directory.path()).unwrap_err().to_string();
    assert!(missing.contains("events.csv"), "{missing}");
    std::fs::write(directory.path().join("split.json"), "{}").unwrap();
    assert!(matches!(cuts(directory.path()), Err(EvaluateError::Cuts { .. })));
    std::fs::write(directory.path().join("queries.jsonl"), "{\"qid\":1}\n").unwrap();
    assert!(
        queries(directory.path()).unwrap_err().to_string().starts_with("line 1: missing field")
    );
}

#[test]
fn answers_come_back_from_their_file_and_differences_are_named() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("answers.jsonl");
    let answers = [answered(0, &["a", "b"]), answered(1, &["a"])];
    write_answers(&path, &answers).unwrap();
    assert_eq!(read_answers(&path).unwrap(), answers);
    let other = [answered(0, &["b", "a"]), answered(2, &["a"])];
    assert_eq!(differences(&answers, &other), [0]);
    assert!(differences(&answers, &answers).is_empty());
    let nowhere = directory.path().join("none").join("answers.jsonl");
    assert!(matches!(write_answers(&nowhere, &[]), Err(EvaluateError::Unwritable { .. })));
}

#[test]
fn a_sample_is_the_same_for_the_same_seed() {
    let all = (0..50).map(|qid| query(qid, 0, &[], "a")).collect::<Vec<_>>();
    let all = all.iter().collect::<Vec<_>>();
    let ids = |seed| sample(&all, 10, seed).iter().map(|query| query.qid).collect::<Vec<_>>();
    assert_eq!(ids(1), ids(1));
    assert_ne!(ids(1), ids(2));
    assert_eq!(ids(1).len(), 10);
    assert!(ids(1).is_sorted());
    assert_eq!(sample(&all, 100, 1).len(), 50);
}
