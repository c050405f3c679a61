//! What an import refuses before it writes, and where it goes on.

use super::*;

fn file(text: &str) -> (tempfile::TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("events.csv");
    std::fs::write(&path, text).unwrap();
    (directory, path)
}

const HEADER: &str = "ts_ms,user_id,session_id,item_id,event_type\n";

#[test]
fn unknown_words_are_listed_and_can_be_mapped() {
    let (_directory, path) = file(&format!("{HEADER}1,u,s,a,bookmark\n2,u,s,b,open\n"));
    let failure = survey(&path, &Words::default()).unwrap_err();
    assert!(failure.to_string().ends_with("unknown event types: bookmark, open"), "{failure}");
    let words = Words::mapping(["bookmark=like", "open=view"]).unwrap();
    let survey = survey(&path, &words).unwrap();
    assert_eq!((survey.rows, survey.oldest_ms), (2, Some(1)));
}

#[test]
fn a_file_that_is_no_history_is_refused() {
    let (_directory, path) = file("a,b\n1,2\n");
    let failure = survey(&path, &Words::default()).unwrap_err();
    assert!(matches!(failure, Failure::Usage { .. }), "{failure}");
}

#[track_caller]
fn check_fits(kafka: &Kafka, rows: u64, expected: Option<&str>) {
    let survey = Survey { rows, oldest_ms: Some(1_000) };
    match (survey.fits(kafka, 100_000), expected) {
        (Ok(()), None) => {}
        (Err(Failure::Refused { hint, .. }), Some(key)) => assert!(hint.contains(key), "{hint}"),
        (outcome, expected) => panic!("{outcome:?} instead of {expected:?}"),
    }
}

#[test]
fn history_that_the_topic_would_drop_is_refused_with_the_key() {
    let mut kafka = Kafka::default();
    check_fits(&kafka, 1_000, None);
    kafka.events_retention_ms = Some(98_999);
    check_fits(&kafka, 1_000, Some("kafka.events_retention_ms"));
    kafka.events_retention_ms = None;
    kafka.events_retention_bytes = 1_000;
    check_fits(&kafka, 1_000, Some("kafka.events_retention_bytes"));
    kafka.events_retention_bytes = -1;
    check_fits(&kafka, 1_000, None);
}

#[test]
fn a_bookmark_belongs_to_the_file_as_it_is() {
    let (directory, path) = file("a");
    let bookmark = Bookmark::of(directory.path(), &path).unwrap();
    assert_eq!(bookmark.rows(), 0);
    bookmark.save(7).unwrap();
    assert_eq!(Bookmark::of(directory.path(), &path).unwrap().rows(), 7);
    std::fs::write(&path, "longer").unwrap();
    assert_eq!(Bookmark::of(directory.path(), &path).unwrap().rows(), 0);
    bookmark.forget();
    assert_eq!(bookmark.rows(), 0);
}

#[test]
fn speeds_are_read() {
    assert_eq!("max".parse(), Ok(Speed::Max));
    assert_eq!("100x".parse(), Ok(Speed::Times(100.0)));
    for wrong in ["", "fast", "0", "-1"] {
        assert!(wrong.parse::<Speed>().is_err(), "{wrong}");
    }
}
