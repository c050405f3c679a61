//! Schemas into an embedded registry, and checked against what stands there.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use upnext_registry::{Registry, RegistryConfig};

use crate::verb::{copy_of_schemas, edit, err, out, upnext};

async fn registry(directory: &Path) -> Registry {
    let listen = SocketAddr::from(([127, 0, 0, 1], 0));
    let data_dir = directory.join("registry");
    Registry::start(RegistryConfig { listen, data_dir }).await.unwrap()
}

fn ends(mut command: Command, code: i32, said: &[&str]) -> String {
    let output = command.output().unwrap();
    let text = format!("{}{}", out(&output), err(&output));
    assert_eq!(output.status.code(), Some(code), "{text}");
    for part in said {
        assert!(text.contains(part), "{part:?} is not in: {text}");
    }
    text
}

#[tokio::test(flavor = "multi_thread")]
async fn schemas_are_registered_once_and_checked_against_the_registry() {
    let directory = tempfile::tempdir().unwrap();
    let registry = registry(directory.path()).await;
    let schemas = directory.path().join("schemas");
    copy_of_schemas(&schemas);
    let url = format!("registry.url={}", registry.url());
    let verb = |words: &[&str]| {
        let mut command = upnext(&["schema"]);
        command.args(words).arg("--schemas").arg(&schemas).arg("--data-dir").arg(directory.path());
        command.args(["--set", &url]);
        command
    };
    let subject = "upnext.events.v1-upnext.events.v1.ItemViewed: ";
    let against = ["check", "--against", "registry"];
    ends(verb(&against), 64, &["has none of our subjects", "upnext schema register"]);
    let would = format!("{subject}would be registered as version 1");
    ends(verb(&["register", "--dry-run"]), 0, &[&would]);
    ends(verb(&["register", "--level", "full"]), 0, &[&format!("{subject}registered as id")]);
    let said = ends(verb(&["register"]), 0, &[&format!("{subject}unchanged, version 1")]);
    assert_eq!(said.matches("unchanged, version 1").count(), 24, "{said}");
    ends(verb(&against), 0, &["0 changes"]);
    edit(&schemas, "events/ItemViewed.avsc", "\"item_id\"", "\"sku\"");
    ends(verb(&against), 1, &["field_renamed at /sku"]);
    ends(verb(&["register", "--dry-run"]), 1, &[&format!("{subject}would be refused")]);
    ends(verb(&["register"]), 1, &[&format!("{subject}refused: ")]);
    ends(verb(&["diff", "registry", schemas.to_str().unwrap()]), 0, &["field_renamed"]);
    registry.stop().await;
    ends(verb(&against), 69, &["no answer from"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_schema_follows_what_it_refers_to() {
    let directory = tempfile::tempdir().unwrap();
    let registry = registry(directory.path()).await;
    let schemas = directory.path().join("schemas");
    std::fs::create_dir_all(schemas.join("a")).unwrap();
    let write = |path: &str, text: &str| std::fs::write(schemas.join(path), text).unwrap();
    write(
        "a/A.avsc",
        r#"{"type":"record","name":"A","namespace":"n","fields":[{"name":"z","type":"n.Z"}]}"#,
    );
    write("z.avsc", r#"{"type":"enum","name":"Z","namespace":"n","symbols":["x"]}"#);
    let mut command = upnext(&["schema", "register", "--schemas"]);
    command.arg(&schemas).args(["--set", &format!("registry.url={}", registry.url())]);
    let said = ends(command, 0, &["n.A: registered as id 2"]);
    assert!(said.starts_with("n.Z: registered as id 1"), "{said}");
    registry.stop().await;
}
