//! `upnext schema test`: the repository's cases pass, a wrong expectation exits 1 with its place.

use std::path::Path;

use serde_json::Value;

use crate::running::upnext;

const WRONG: &str = "cases:
  - name: an empty id passes
    event: { type: ItemViewed, user_id: u, item_id: '' }
    expect: accept
";

fn said(arguments: &[&str], directory: &Path) -> (Option<i32>, String, String) {
    let output = upnext(arguments).current_dir(directory).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

#[test]
fn our_own_cases_pass_and_are_counted() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let (code, out, errors) = said(&["schema", "test"], &root);
    assert_eq!(code, Some(0), "{out}{errors}");
    assert!(out.contains(" cases, 0 failed"), "{out}");
}

#[test]
fn a_case_that_differs_exits_1_and_is_named_in_every_format() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(directory.path().join("schemas/tests")).unwrap();
    std::fs::write(directory.path().join("schemas/tests/wrong.yaml"), WRONG).unwrap();
    let (code, out, _) = said(&["schema", "test"], directory.path());
    assert_eq!(code, Some(1));
    assert!(out.contains("schemas/tests/wrong.yaml:2: an empty id passes"), "{out}");
    assert!(out.contains("found    length at `/item_id`: has 0 bytes"), "{out}");
    let (code, out, _) = said(&["schema", "test", "--format", "json"], directory.path());
    let told: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((code, told["passed"].as_bool()), (Some(1), Some(false)));
    assert_eq!(told["cases"][0]["line"], 2);
    let (_, out, _) = said(&["schema", "test", "--format", "github"], directory.path());
    assert!(out.starts_with("::error file=schemas/tests/wrong.yaml,line=2,"), "{out}");
}

#[test]
fn what_is_no_directory_of_cases_exits_64_with_the_place() {
    let directory = tempfile::tempdir().unwrap();
    let (code, _, errors) = said(&["schema", "test", "nowhere"], directory.path());
    assert_eq!(code, Some(64));
    assert!(errors.contains("nowhere cannot be read") && errors.contains("hint:"), "{errors}");
    std::fs::write(directory.path().join("a.yaml"), "cases:\n  - nam: x\n").unwrap();
    let (code, _, errors) = said(&["schema", "test", "."], directory.path());
    assert_eq!(code, Some(64));
    assert!(errors.contains("./a.yaml:2:"), "{errors}");
}
