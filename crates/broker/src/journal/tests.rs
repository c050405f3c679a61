//! Facts written, read back, cut and written anew.

use std::fmt::Debug;

use proptest::prelude::*;
use tempfile::TempDir;

use super::*;

fn open(directory: &TempDir) -> (Journal<String>, Vec<String>) {
    let mut facts = Vec::new();
    let journal = Journal::open(&directory.path().join("facts"), |fact| facts.push(fact));
    (journal.unwrap(), facts)
}

#[track_caller]
fn check<T: PartialEq + Debug>(found: &[T], expected: &[T]) {
    assert_eq!(found, expected);
}

fn facts(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

#[test]
fn facts_come_back_in_order() {
    let directory = TempDir::new().unwrap();
    let (mut journal, found) = open(&directory);
    check(&found, &[]);
    journal.append(&facts(&["one", "two\nlines"])).unwrap();
    journal.append(&facts(&["three"])).unwrap();
    check(&open(&directory).1, &facts(&["one", "two\nlines", "three"]));
}

#[test]
fn a_rewritten_journal_holds_only_what_it_was_given() {
    let directory = TempDir::new().unwrap();
    let (mut journal, _) = open(&directory);
    journal.append(&facts(&["old", "old", "old"])).unwrap();
    journal.rewrite(facts(&["new"]).into_iter()).unwrap();
    journal.append(&facts(&["newer"])).unwrap();
    journal.sync().unwrap();
    check(&open(&directory).1, &facts(&["new", "newer"]));
}

#[test]
fn a_journal_is_overgrown_once_it_is_large_and_mostly_outdated() {
    let directory = TempDir::new().unwrap();
    let (mut journal, _) = open(&directory);
    let large = vec!["x".repeat(300 << 10)];
    journal.append(&large).unwrap();
    assert!(!journal.is_overgrown(), "too small to matter");
    for _ in 0..4 {
        journal.append(&large).unwrap();
    }
    assert!(journal.is_overgrown());
    journal.rewrite([large[0].clone(), large[0].clone()].into_iter()).unwrap();
    for _ in 0..6 {
        assert!(!journal.is_overgrown(), "less than four times what mattered");
        journal.append(&large).unwrap();
    }
    journal.append(&large).unwrap();
    assert!(journal.is_overgrown());
}

#[test]
fn a_write_that_fails_is_an_error() {
    let directory = TempDir::new().unwrap();
    let (mut journal, _) = open(&directory);
    journal.append(&facts(&["stands"])).unwrap();
    journal.file = File::open(&journal.path).unwrap();
    assert!(journal.append(&facts(&["lost"])).is_err());
    check(&open(&directory).1, &facts(&["stands"]));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_cut_leaves_the_facts_before_it(
        texts in proptest::collection::vec(".{0,20}", 1..10),
        cut in any::<prop::sample::Index>(),
    ) {
        let directory = TempDir::new().unwrap();
        let (mut journal, _) = open(&directory);
        let mut ends = Vec::new();
        for text in &texts {
            journal.append(std::slice::from_ref(text)).unwrap();
            ends.push(usize::try_from(journal.bytes).unwrap());
        }
        let path = directory.path().join("facts");
        let bytes = std::fs::read(&path).unwrap();
        let cut = cut.index(bytes.len() + 1);
        std::fs::write(&path, &bytes[..cut]).unwrap();
        let whole = ends.iter().filter(|end| **end <= cut).count();

        let (mut journal, found) = open(&directory);
        prop_assert_eq!(&found[..], &texts[..whole]);
        journal.append(&facts(&["after"])).unwrap();
        prop_assert_eq!(open(&directory).1.len(), whole + 1);
    }

    #[test]
    fn garbage_is_never_taken_for_a_fact(garbage in proptest::collection::vec(any::<u8>(), 0..200)) {
        let directory = TempDir::new().unwrap();
        std::fs::write(directory.path().join("facts"), &garbage).unwrap();
        prop_assert_eq!(open(&directory).1.len(), 0);
    }
}
