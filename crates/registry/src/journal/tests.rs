//! What survives: every acknowledged change, whatever was being written when the process died.

use super::*;

fn change(version: u32) -> Change {
    Change::SoftDelete { subject: format!("subject-{version}"), version }
}

fn open(path: &Path) -> (Journal, Vec<Change>) {
    Journal::open(path).unwrap()
}

/// A journal of three changes, closed; its bytes.
fn written(path: &Path) -> Vec<u8> {
    let (mut journal, _) = open(path);
    for version in 1..=3 {
        journal.append(&change(version)).unwrap();
    }
    drop(journal);
    std::fs::read(path.join(FILE_NAME)).unwrap()
}

#[test]
fn what_was_appended_is_there_again() {
    let dir = tempfile::tempdir().unwrap();
    written(dir.path());
    let (mut journal, changes) = open(dir.path());
    assert_eq!(changes, [change(1), change(2), change(3)]);
    journal.append(&change(4)).unwrap();
    drop(journal);
    assert_eq!(open(dir.path()).1.len(), 4);
}

#[test]
fn a_write_torn_at_any_byte_costs_only_itself() {
    let dir = tempfile::tempdir().unwrap();
    let bytes = written(dir.path());
    let file = dir.path().join(FILE_NAME);
    for end in 0..bytes.len() {
        std::fs::write(&file, &bytes[..end]).unwrap();
        let whole = bytes[..end].iter().filter(|byte| **byte == b'\n').count();
        let (mut journal, changes) = open(dir.path());
        assert_eq!(changes.len(), whole, "cut at {end}");
        journal.append(&change(9)).unwrap();
        drop(journal);
        let (_, changes) = open(dir.path());
        assert_eq!((changes.len(), changes.last()), (whole + 1, Some(&change(9))), "cut at {end}");
    }
}

#[test]
fn a_last_line_of_rubbish_is_a_torn_write() {
    let dir = tempfile::tempdir().unwrap();
    let mut bytes = written(dir.path());
    bytes.extend_from_slice(&[0, 0, 0, b'\n']);
    std::fs::write(dir.path().join(FILE_NAME), bytes).unwrap();
    assert_eq!(open(dir.path()).1.len(), 3);
}

#[test]
fn damage_further_up_stops_the_start() {
    let dir = tempfile::tempdir().unwrap();
    let mut bytes = written(dir.path());
    bytes[3] = b'?';
    std::fs::write(dir.path().join(FILE_NAME), bytes).unwrap();
    let error = Journal::open(dir.path()).unwrap_err();
    assert!(matches!(error, JournalError::Damaged { line: 1, .. }), "{error}");
}

#[test]
fn two_processes_do_not_share_it() {
    let dir = tempfile::tempdir().unwrap();
    let (journal, _) = open(dir.path());
    assert!(matches!(Journal::open(dir.path()), Err(JournalError::InUse { .. })));
    drop(journal);
    assert!(Journal::open(dir.path()).is_ok());
}

#[test]
fn a_place_that_cannot_be_written_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    std::fs::write(&file, "").unwrap();
    let error = Journal::open(&file.join("below")).unwrap_err();
    assert!(error.to_string().contains("registry.log"), "{error}");
}
