//! What is said about a wrong configuration.

use super::*;

fn settings(file: Option<&Path>, set: &[&str]) -> Settings {
    Settings {
        config: file.map(Path::to_path_buf),
        set: set.iter().map(|pair| (*pair).to_owned()).collect(),
        ..Settings::default()
    }
}

#[track_caller]
fn check_file(text: &str, expected: &[&str]) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("upnext.toml");
    std::fs::write(&path, text).unwrap();
    let failure = settings(Some(&path), &[]).load().unwrap_err();
    let Failure::Misconfigured(wrong) = failure else { panic!("{failure}") };
    let shown = wrong.drawn();
    for part in expected {
        assert!(shown.contains(part), "{part} is not in: {shown}");
    }
}

#[test]
fn an_unknown_key_is_drawn_with_the_likely_one() {
    check_file(
        "[serve]\ndeadlin_ms = 3\n",
        &["upnext.toml:2:1: unknown field", "did you mean `deadline_ms`?", "2 │ deadlin_ms = 3"],
    );
}

#[test]
fn a_wrong_type_is_drawn_with_its_default() {
    check_file(
        "[serve]\ndeadline_ms = \"soon\"\n",
        &["upnext.toml:2:15: invalid type", "the default is `deadline_ms = 150`"],
    );
}

#[test]
fn a_missing_file_is_named() {
    let failure = settings(Some(Path::new("nowhere.toml")), &[]).load().unwrap_err();
    assert!(failure.to_string().starts_with("cannot read nowhere.toml"), "{failure}");
}

#[test]
fn a_flag_wins_and_is_named_when_wrong() {
    let config = settings(None, &["serve.deadline_ms=90"]).load().unwrap();
    assert_eq!(config.serve.deadline_ms, 90);
    let failure = settings(None, &["serve.deadlin_ms=90"]).load().unwrap_err();
    assert!(failure.to_string().starts_with("--set serve.deadlin_ms: unknown"), "{failure}");
    let failure = settings(None, &["serve.deadline_ms"]).load().unwrap_err();
    assert!(matches!(failure, Failure::Usage { .. }), "{failure}");
}

#[test]
fn an_open_listener_needs_to_be_insisted_on() {
    let mut settings = settings(None, &["serve.listen=0.0.0.0:8080"]);
    let failure = settings.load().unwrap_err();
    assert!(matches!(&failure, Failure::Refused { hint, .. } if hint.contains("--insecure")));
    settings.insecure = true;
    assert!(settings.load().is_ok());
}

#[test]
fn the_data_directory_is_taken_as_it_is_written() {
    let mut settings = settings(None, &[]);
    settings.data_dir = Some(PathBuf::from("a b"));
    assert_eq!(settings.load().unwrap().data_dir, PathBuf::from("a b"));
}
