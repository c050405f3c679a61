//! The rules hold for the tree as it is, and each of them notices when it is broken.

use std::path::Path;

use super::manifest::Manifest;
use super::{Complaint, complaints, sources, table};

#[test]
fn the_house_is_tidy() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let found = complaints(&root).unwrap();
    let shown: Vec<String> = found.iter().map(ToString::to_string).collect();
    assert!(shown.is_empty(), "{}", shown.join("\n"));
}

const LINTS: &str = "[lints]\nworkspace = true\n";

#[track_caller]
fn check_manifest(name: &str, text: &str, expected: &[&str]) {
    let mut found = Vec::new();
    table::check(&Manifest::parse(name, text), &mut found);
    assert_whats(&found, expected);
}

#[track_caller]
fn check_source(place: &str, text: &str, expected: &[&str]) {
    let mut found = Vec::new();
    sources::check(place, text, &mut found);
    assert_whats(&found, expected);
}

#[track_caller]
fn assert_whats(found: &[Complaint], expected: &[&str]) {
    let whats: Vec<&str> = found.iter().map(|complaint| complaint.what.as_str()).collect();
    assert_eq!(whats.len(), expected.len(), "{whats:?}");
    for (what, expected) in whats.iter().zip(expected) {
        assert!(what.contains(expected), "{what}");
    }
}

#[test]
fn a_daemon_may_not_use_a_daemon() {
    let text = format!("[dependencies]\nupnext-serve.workspace = true\n{LINTS}");
    check_manifest("ingest", &text, &["may not use `upnext-serve`"]);
}

#[test]
fn a_foreign_heavy_dependency_is_refused() {
    let text = format!("[dependencies]\nredis = {{ version = \"1\" }}\n{LINTS}");
    check_manifest("serve", &text, &["may not use `redis`: it is for store"]);
    check_manifest("store", &text, &[]);
}

#[test]
fn an_unknown_dependency_is_refused() {
    let text = format!("[dependencies]\nleft-pad = \"1\"\n{LINTS}");
    check_manifest("cli", &text, &["may not use `left-pad`"]);
}

#[test]
fn testkit_is_for_tests_alone() {
    let text = format!("[dependencies]\nupnext-testkit.workspace = true\n{LINTS}");
    check_manifest("cli", &text, &["may not use `upnext-testkit`"]);
    let text = format!("[dev-dependencies]\nupnext-testkit.workspace = true\n{LINTS}");
    check_manifest("store", &text, &[]);
}

#[test]
fn an_unlisted_crate_and_missing_lints_are_refused() {
    check_manifest("utils", "", &["lints", "not in the table"]);
}

#[test]
fn a_commented_dependency_does_not_count() {
    let text = format!("[dependencies]\n# redis = \"1\"\n{LINTS}");
    check_manifest("serve", &text, &[]);
}

#[test]
fn a_stale_entry_is_noticed() {
    let mut found = Vec::new();
    table::check_unused(&[], &mut found);
    assert!(found.iter().any(|complaint| complaint.what.contains("`candle-core`")));
}

#[test]
fn a_dependency_that_nothing_mentions_is_noticed() {
    let manifest = Manifest::parse("cli", "[dependencies]\ntokio-util.workspace = true\n");
    let mut found = Vec::new();
    manifest.check_mentioned("use tokio_util::sync;", &mut found);
    assert_whats(&found, &[]);
    manifest.check_mentioned("use tokio::sync;", &mut found);
    assert_whats(&found, &["`tokio-util` is not used"]);
}

#[test]
fn every_rule_of_a_source_file_fires() {
    check_source("crates/a/src/lib.rs", "//! Good.\n", &[]);
    check_source("crates/a/src/lib.rs", "use std::fmt;\n", &["first line"]);
    check_source("crates/a/src/b/mod.rs", "//! B.\n", &["no mod.rs"]);
    check_source("crates/a/src/utils.rs", "//! U.\n", &["says nothing"]);
    let long = format!("//! Long.\n{}", "\n".repeat(400));
    check_source("crates/a/src/lib.rs", &long, &["401 lines"]);
}

#[test]
fn error_messages_are_lowercase_without_a_period() {
    check_source("crates/a/src/e.rs", "//! E.\n    #[error(\"it broke\")]\n", &[]);
    check_source("crates/a/src/e.rs", "//! E.\n    #[error(\"Redis is gone\")]\n", &[]);
    check_source("crates/a/src/e.rs", "//! E.\n    #[error(\"It broke\")]\n", &["lowercase"]);
    check_source("crates/a/src/e.rs", "//! E.\n    #[error(\"it broke.\")]\n", &["lowercase"]);
}
