//! Planted changes, each classed, explained and followed to the features and models it breaks; and what a registry
//! alone says of them.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::Path;

use serde::Deserialize;
use serde_json::Value;
use upnext_common::clock::Clock;
use upnext_common::config;
use upnext_contract::{RegistryClient, RegistryError};
use upnext_model::row::{names, spec_hash};
use upnext_registry::{Registry, RegistryConfig};

use crate::verb::{artifact, check, copy_of_schemas, edit, repository};

#[derive(Deserialize)]
struct Planted {
    change: Vec<Planting>,
    features: BTreeMap<String, BTreeSet<String>>,
}

#[derive(Deserialize)]
struct Planting {
    name: String,
    files: Vec<String>,
    find: String,
    replace: String,
    registry: String,
    kind: String,
    verdict: String,
    features: String,
}

fn planted() -> Planted {
    toml::from_str(include_str!("planted.toml")).unwrap()
}

impl Planting {
    fn apply(&self, directory: &Path) {
        for file in &self.files {
            match file.strip_suffix("*.avsc") {
                None => edit(directory, file, &self.find, &self.replace),
                Some(folder) => {
                    for entry in std::fs::read_dir(directory.join(folder)).unwrap() {
                        let name = entry.unwrap().file_name().into_string().unwrap();
                        edit(directory, &format!("{folder}{name}"), &self.find, &self.replace);
                    }
                }
            }
        }
    }
}

fn texts(found: &Value) -> impl Iterator<Item = String> + '_ {
    found.as_array().unwrap().iter().map(|text| text.as_str().unwrap().to_owned())
}

#[test]
fn every_planted_change_is_classed_and_names_what_it_breaks() {
    let Planted { change: plantings, features } = planted();
    let harmful = plantings.iter().filter(|planting| planting.verdict != "harmless").count();
    assert!(harmful >= 12, "{harmful}");
    let old = repository().join("schemas");
    let columns: BTreeSet<String> = names().into_iter().collect();
    for planting in &plantings {
        let directory = tempfile::tempdir().unwrap();
        let (new, models) = (directory.path().join("schemas"), directory.path().join("models"));
        copy_of_schemas(&new);
        artifact(&models.join("m1"), "m1", &spec_hash());
        planting.apply(&new);
        let (code, changes) = check(&old, &new, &models);
        let name = &planting.name;
        assert_eq!(code, i32::from(planting.verdict != "harmless"), "{name}: {changes:?}");
        let of_kind =
            |change: &&Value| change["change"].as_str().unwrap().starts_with(&planting.kind);
        let meant = changes.iter().find(of_kind);
        let meant = meant.unwrap_or_else(|| panic!("{name}: no {} in {changes:?}", planting.kind));
        assert_eq!(meant["verdict"], planting.verdict.as_str(), "{name}");
        assert!(meant["why"].as_str().unwrap().len() > 10, "{name}");
        let broken: BTreeSet<String> =
            changes.iter().flat_map(|change| texts(&change["features"])).collect();
        assert_eq!(broken, features[&planting.features], "{name}");
        let models: BTreeSet<String> =
            changes.iter().flat_map(|change| texts(&change["models"])).collect();
        let is_used = broken.iter().any(|feature| columns.contains(feature));
        let expected: &[&str] = if is_used { &["m1"] } else { &[] };
        assert_eq!(models.iter().map(String::as_str).collect::<Vec<_>>(), expected, "{name}");
    }
}

#[tokio::test]
async fn a_registry_alone_lets_most_of_them_pass() {
    let directory = tempfile::tempdir().unwrap();
    let listen = SocketAddr::from(([127, 0, 0, 1], 0));
    let data_dir = directory.path().join("registry");
    let registry = Registry::start(RegistryConfig { listen, data_dir }).await.unwrap();
    let client =
        RegistryClient::new(&registry.url(), &config::Registry::default(), Clock::system())
            .unwrap();
    let mut passed = 0;
    for (nth, planting) in planted().change.iter().enumerate() {
        let new = directory.path().join(format!("schemas{nth}"));
        copy_of_schemas(&new);
        planting.apply(&new);
        let passes = passes(&client, &new, nth).await;
        assert_eq!(passes, planting.registry == "passes", "{}", planting.name);
        passed += usize::from(passes && planting.verdict != "harmless");
    }
    registry.stop().await;
    assert!(passed >= 4, "{passed}");
}

/// Whether a registry that has the old schemas takes the new ones, file by file.
async fn passes(client: &RegistryClient, new: &Path, nth: usize) -> bool {
    let mut passes = true;
    for entry in std::fs::read_dir(repository().join("schemas/events")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let read = |directory: &Path| {
            std::fs::read_to_string(directory.join("events").join(&name)).unwrap()
        };
        let (before, after) = (read(&repository().join("schemas")), read(new));
        if before == after {
            continue;
        }
        let subject = format!("planted{nth}-{name}");
        client.register(&subject, &before).await.unwrap();
        match client.register(&subject, &after).await {
            Ok(_) => {}
            Err(RegistryError::Refused { .. }) => passes = false,
            Err(error) => panic!("{error}"),
        }
    }
    passes
}

#[test]
fn the_table_in_the_docs_is_this_one() {
    let Planted { change: plantings, features } = planted();
    let mut table = String::from(
        "| change | files | a registry alone | verdict | what the check calls it | breaks |\n\
         |---|---|---|---|---|---|\n",
    );
    for planting in &plantings {
        let broken = &features[&planting.features];
        let breaks = match broken.len() {
            0 => "no feature".to_owned(),
            count => format!("{count} features: {}", planting.features),
        };
        table.push_str(&format!(
            "| {} | {} | {} | {} | `{}` | {breaks} |\n",
            planting.name,
            planting.files.join(", "),
            planting.registry,
            planting.verdict,
            planting.kind
        ));
    }
    table.push('\n');
    for (group, names) in features.iter().filter(|(_, names)| !names.is_empty()) {
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        table.push_str(&format!("* **{group}**: {}\n", names.join(", ")));
    }
    let docs = std::fs::read_to_string(repository().join("docs/CONTRACTS.md")).unwrap();
    let stands = docs.split("<!-- planted -->\n").nth(1).unwrap_or_default();
    assert_eq!(stands, table, "docs/CONTRACTS.md does not hold this table:\n{table}");
}
