//! How the verbs end: exit codes, formats and hints.

use std::path::Path;
use std::process::Command;

use crate::verb::{artifact, copy_of_schemas, edit, err, out, repository, upnext};

#[track_caller]
fn ends(mut command: Command, code: i32, said: &[&str]) -> String {
    let output = command.output().unwrap();
    let text = format!("{}{}", out(&output), err(&output));
    assert_eq!(output.status.code(), Some(code), "{text}");
    for part in said {
        assert!(text.contains(part), "{part:?} is not in: {text}");
    }
    text
}

fn against(old: &str, new: &Path) -> Command {
    let mut command = upnext(&["schema", "check", "--against", old, "--data-dir"]);
    command.arg(new.join("data")).arg("--schemas").arg(new);
    command
}

#[test]
fn nothing_changed_is_harmless_and_no_model_is_said() {
    let directory = tempfile::tempdir().unwrap();
    copy_of_schemas(directory.path());
    ends(against("schemas", directory.path()), 0, &["0 changes", "no model found"]);
    ends(upnext(&["schema", "lint"]), 0, &["14 schemas, 0 flaws"]);
}

#[test]
fn the_old_schemas_of_a_commit_are_read() {
    let directory = tempfile::tempdir().unwrap();
    let schemas = directory.path().join("schemas");
    copy_of_schemas(&schemas);
    let git = |arguments: &[&str]| {
        let mut command = Command::new("git");
        command.current_dir(directory.path()).args(["-c", "user.name=n", "-c", "user.email=e@n"]);
        assert!(command.args(arguments).output().unwrap().status.success(), "{arguments:?}");
    };
    git(&["init", "-q"]);
    git(&["add", "."]);
    git(&["commit", "-q", "-m", "first"]);
    ends(against("git:HEAD", &schemas), 0, &["0 changes"]);
    edit(&schemas, "events/ItemLiked.avsc", "milliseconds since", "seconds since");
    let mut command = against("git:HEAD", &schemas);
    command.args(["--format", "github"]);
    let place = "events/ItemLiked.avsc,line=8,title=unit_changed::";
    ends(command, 1, &["::error file=", place, "breaks "]);
    ends(against("git:nowhere", &schemas), 64, &["nowhere", "hint: name a commit"]);
    let mut without = against("git:HEAD", &schemas);
    without.env("PATH", directory.path());
    ends(without, 69, &["cannot run git", "install git"]);
}

#[test]
fn wrong_usage_says_what_is_right() {
    let directory = tempfile::tempdir().unwrap();
    ends(upnext(&["schema", "check"]), 64, &["--against"]);
    let level = ["schema", "check", "--against", "schemas", "--level", "most"];
    ends(upnext(&level), 64, &["backward_transitive"]);
    ends(against("schemas", directory.path()), 64, &["holds no *.avsc"]);
    copy_of_schemas(directory.path());
    let mut command = against("schemas", directory.path());
    command.arg("--models").arg(directory.path());
    ends(command, 64, &["there is no artifact"]);
    ends(against("registry", directory.path()), 69, &["registry.url is not set"]);
}

#[test]
fn a_model_of_another_feature_spec_is_said() {
    let directory = tempfile::tempdir().unwrap();
    let schemas = directory.path().join("schemas");
    copy_of_schemas(&schemas);
    artifact(&directory.path().join("m"), "m-old", "0123456789abcdef");
    let mut command = against("schemas", &schemas);
    command.arg("--models").arg(directory.path().join("m"));
    ends(command, 0, &["model m-old was trained on another feature spec"]);
}

#[test]
fn flaws_are_found_as_they_stand() {
    let directory = tempfile::tempdir().unwrap();
    copy_of_schemas(directory.path());
    let schemas = directory.path();
    edit(schemas, "events/ItemDwelled.avsc", "Time spent, milliseconds", "Time spent, seconds");
    edit(
        schemas,
        "events/ItemLiked.avsc",
        "\"doc\": \"Anything else, as text. At most 64 entries.\", ",
        "",
    );
    let mut command = upnext(&["schema", "lint"]);
    command.arg(schemas);
    let said = ["unit_contradiction", "doc_missing", "head_drift: `props`", "hint: "];
    ends(command, 1, &said);
}

#[test]
fn every_verb_has_an_example() {
    for verb in ["check", "lint", "diff", "register", "codegen"] {
        ends(upnext(&["schema", verb, "--help"]), 0, &["Example"]);
    }
    assert!(repository().join("schemas").is_dir());
}
