//! What is sent back, what is not, and what the record looks like that is.

use upnext_contract::letter::said;

use super::super::letter::tests::letter;
use super::*;

const SOURCE: [(&str, &str); 3] = [("topic", "t.events.v1"), ("partition", "1"), ("offset", "41")];

fn redrive(reason: &[&str]) -> Redrive {
    let reason = reason.iter().map(|code| (*code).to_owned()).collect();
    Redrive {
        from: DeadLetters { brokers: String::new(), topic_prefix: "t.".to_owned() },
        filter: Filter { reason, ..Filter::default() },
        dry_run: false,
        include_parked: false,
        rate_max: None,
        records_max: None,
        clock: Clock::system(),
    }
}

#[track_caller]
fn check(redrive: &Redrive, said: &[(&str, &str)], expected: Outlook) {
    let letter = letter(1, &[&SOURCE[..], said].concat());
    let found = redrive.outlook(&letter, &Ledger::default(), "t.events.v1", 2);
    assert_eq!(found, expected, "{said:?}");
}

#[test]
fn what_cannot_help_is_done_only_by_name() {
    check(&redrive(&[]), &[("reason", "range")], Outlook::Send);
    for reason in ["late", "process_abort", "bad_magic", "of tomorrow"] {
        check(&redrive(&[]), &[("reason", reason)], Outlook::Skip(Skipped::CannotHelp));
        check(&redrive(&[reason]), &[("reason", reason)], Outlook::Send);
    }
}

#[test]
fn the_fifth_failure_parks() {
    let fifth = [("reason", "range"), ("attempt", "5")];
    check(&redrive(&[]), &fifth, Outlook::Skip(Skipped::Parked));
    check(&redrive(&["range"]), &fifth, Outlook::Skip(Skipped::Parked));
    check(&redrive(&[]), &[("reason", "range"), ("attempt", "4")], Outlook::Send);
    check(&Redrive { include_parked: true, ..redrive(&[]) }, &fifth, Outlook::Send);
}

#[test]
fn what_came_from_elsewhere_or_has_no_value_stays() {
    let foreign = Outlook::Skip(Skipped::Foreign);
    check(&redrive(&[]), &[("reason", "range"), ("topic", "else")], foreign);
    check(&redrive(&[]), &[("reason", "range"), ("partition", "2")], foreign);
    let mut bare = letter(1, &[&SOURCE[..], &[("reason", "range")]].concat());
    bare.record.value = None;
    let found = redrive(&[]).outlook(&bare, &Ledger::default(), "t.events.v1", 2);
    assert_eq!(found, Outlook::Skip(Skipped::NoValue));
}

#[test]
fn what_stands_in_the_ledger_is_done() {
    let letter = letter(1, &[&SOURCE[..], &[("reason", "range")]].concat());
    let mut ledger = Ledger::default();
    assert!(ledger.insert(letter.source.as_ref().unwrap()));
    let found = redrive(&[]).outlook(&letter, &ledger, "t.events.v1", 2);
    assert_eq!(found, Outlook::Skip(Skipped::AlreadyRedriven));
}

#[test]
fn the_record_goes_back_as_it_came_with_its_history() {
    let more = [("reason", "range"), ("attempt", "2"), ("first_failed_at", "99"), ("a.own", "x")];
    let letter = letter(7, &[&SOURCE[..], &more].concat());
    let source = letter.source.clone().unwrap();
    let mut batch = Batch::default();
    batch.push(&redrive(&[]).from, letter.clone(), source, 1_000);
    let records = batch.records();
    let (record, entry) = (&records[0], &records[1]);
    assert_eq!((record.topic.as_str(), record.partition), ("t.events.v1", Some(1)));
    assert_eq!((&record.key, &record.value), (&letter.record.key, &letter.record.value));
    assert_eq!(record.timestamp_ms, Some(letter.record.timestamp_ms));
    assert_eq!(record.headers.len(), 4, "{:?}", record.headers);
    assert_eq!(said(&record.headers, "attempt"), Some("2"));
    assert_eq!(said(&record.headers, "first_failed_at"), Some("99"));
    assert_eq!(record.headers[0].0, "a.own");
    assert_eq!(entry.topic, "t.dlq.redriven.v1");
    assert_eq!(entry.key.as_deref(), Some(&b"t.events.v1/1/41"[..]));
}

#[test]
fn a_batch_is_a_part_of_a_second() {
    let mut batch = Batch::default();
    let letter = letter(7, &[&SOURCE[..], &[("reason", "range")]].concat());
    for _ in 0..5 {
        batch.push(&redrive(&[]).from, letter.clone(), letter.source.clone().unwrap(), 0);
    }
    assert!(batch.is_full(Some(20)) && batch.is_full(Some(1)) && !batch.is_full(Some(40)));
    assert!(!batch.is_full(None));
    let (first, second) = batch.halves().unwrap();
    assert_eq!((first.len(), second.len()), (2, 3));
    assert!(first.halves().unwrap().0.halves().is_none());
}

#[test]
fn a_batch_is_as_large_as_its_keys_and_headers_too() {
    let large = "x".repeat(300_000);
    let more = [("reason", "range"), ("a.own", large.as_str())];
    let mut letter = letter(7, &[&SOURCE[..], &more].concat());
    letter.record.key = Some(large.clone().into());
    let mut batch = Batch::default();
    while !batch.is_full(None) {
        batch.push(&redrive(&[]).from, letter.clone(), letter.source.clone().unwrap(), 0);
    }
    assert_eq!(batch.len(), 2, "of 600 kB each");
}

#[test]
fn a_letter_at_another_time_goes_back_at_its_own() {
    let told = [("reason", "range"), ("timestamp", "77")];
    let letter = letter(7, &[&SOURCE[..], &told].concat());
    assert_ne!(letter.record.timestamp_ms, 77);
    let source = letter.source.clone().unwrap();
    let mut batch = Batch::default();
    batch.push(&redrive(&[]).from, letter, source, 0);
    assert_eq!(batch.records()[0].timestamp_ms, Some(77));
}
