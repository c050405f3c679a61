//! Running the verb, and the directories it runs on.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::{Value, json};

/// The binary under test, away from any configuration of the machine.
pub(crate) fn upnext(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_upnext"));
    command.args(arguments).stdin(Stdio::null()).current_dir(repository());
    let variables = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok());
    for name in variables.filter(|name| name.starts_with("UPNEXT_")) {
        command.env_remove(name);
    }
    command
}

pub(crate) fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

pub(crate) fn out(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

pub(crate) fn err(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// A copy of the repository's schemas.
pub(crate) fn copy_of_schemas(to: &Path) {
    copy(&repository().join("schemas"), to);
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let target = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy(&path, &target);
        } else {
            std::fs::copy(&path, &target).unwrap();
        }
    }
}

/// The manifest of an artifact with tower and ranker, trained on the features of `spec`.
pub(crate) fn artifact(directory: &Path, id: &str, spec: &str) {
    let manifest = json!({
        "format": 1,
        "about": {
            "artifact_id": id, "created_at_ms": 1, "feature_spec_hash": spec, "schema_ids": {},
            "data": {"events": 1, "first_ms": 0, "last_ms": 0}, "metrics": {},
        },
        "items": 0, "attributes": 0,
        "checksums": {"ranker.safetensors": "", "tower.safetensors": ""},
        "golden": {"tower": [], "ranker": []},
    });
    std::fs::create_dir_all(directory).unwrap();
    std::fs::write(directory.join("manifest.json"), manifest.to_string()).unwrap();
}

/// Replaces a text in one file of a directory, where it must stand.
pub(crate) fn edit(directory: &Path, file: &str, find: &str, replace: &str) {
    let path = directory.join(file);
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(text.contains(find), "{find:?} is not in {file}");
    std::fs::write(&path, text.replace(find, replace)).unwrap();
}

/// `schema check` of `new` against `old`, with one model: the exit code, and the changes.
pub(crate) fn check(old: &Path, new: &Path, models: &Path) -> (i32, Vec<Value>) {
    let mut command = upnext(&["schema", "check", "--format", "json"]);
    command.arg("--against").arg(old).arg("--schemas").arg(new).arg("--models").arg(models);
    let output = command.output().unwrap();
    let told: Value =
        serde_json::from_str(&out(&output)).unwrap_or_else(|_| panic!("{}", err(&output)));
    (output.status.code().unwrap(), told["changes"].as_array().unwrap().clone())
}
