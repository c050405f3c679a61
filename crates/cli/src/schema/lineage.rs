//! From a change to the features that it breaks, and to the models that use them.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use upnext_contract::evolution::{Change, Harm, Reach};
use upnext_model::artifact::Manifest;
use upnext_model::row::lineage::{Feature, features};
use upnext_model::row::{Column, spec_hash};

use crate::failure::Failure;

/// The features of this build, and the models found.
pub(super) struct Lineage {
    features: Vec<Feature>,
    pub(super) models: Vec<Model>,
}

/// An artifact, as far as lineage goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Model {
    pub(super) id: String,
    created_at_ms: i64,
    spec: String,
    has_ranker: bool,
    has_tower: bool,
}

/// What a change breaks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Broken {
    pub(super) features: Vec<&'static str>,
    pub(super) models: Vec<String>,
}

impl Lineage {
    pub(super) fn new(models: Vec<Model>) -> Self {
        Self { features: features(), models }
    }

    pub(super) fn broken_by(&self, change: &Change) -> Broken {
        if change.harm == Harm::Harmless {
            return Broken::default();
        }
        let hit: Vec<&Feature> =
            self.features.iter().filter(|feature| is_hit(feature, change)).collect();
        let uses = |model: &&Model| hit.iter().any(|feature| model.uses(feature));
        let models = self.models.iter().filter(uses).map(|model| model.id.clone()).collect();
        Broken { features: hit.iter().map(|feature| feature.name).collect(), models }
    }
}

fn is_hit(feature: &Feature, change: &Change) -> bool {
    let fields: BTreeSet<&str> = change.field().into_iter().chain(change.former_field()).collect();
    let reaches = |field: &str| match change.reach {
        Reach::Nothing => false,
        Reach::Field => fields.is_empty() || fields.contains(field),
        Reach::Event => true,
    };
    let is_record = |name: &str| change.records.iter().any(|record| record == name);
    feature.reads().into_iter().any(|(record, field)| is_record(record) && reaches(field))
}

impl Model {
    fn of(manifest: &Manifest) -> Self {
        Self {
            id: manifest.about.artifact_id.clone(),
            created_at_ms: manifest.about.created_at_ms,
            spec: manifest.about.feature_spec_hash.clone(),
            has_ranker: manifest.has_ranker(),
            has_tower: manifest.has_tower(),
        }
    }

    /// Whether its features are those of this build.
    pub(super) fn is_ours(&self) -> bool {
        self.spec == spec_hash()
    }

    /// The ranker reads every column; the tower what the column of its name is made of.
    fn uses(&self, feature: &Feature) -> bool {
        let of_column = |column: Column| {
            if column == Column::Tower { self.has_tower } else { self.has_ranker }
        };
        self.is_ours() && feature.column.is_some_and(of_column)
    }
}

/// The model of a directory that is an artifact, or every one of the artifacts in it.
///
/// # Errors
/// [`Failure::Usage`] when there is none, or one cannot be read.
pub(super) fn of_directory(directory: &Path) -> Result<Vec<Model>, Failure> {
    let hint = "name an artifact, or the directory that holds artifacts (artifacts/ of the data directory)";
    let unreadable = |error: &dyn std::fmt::Display| {
        Failure::usage(format!("--models {}: {error}", directory.display()), hint)
    };
    let paths = if directory.join("manifest.json").exists() {
        vec![directory.to_path_buf()]
    } else {
        artifacts(directory).map_err(|error| unreadable(&error))?
    };
    if paths.is_empty() {
        return Err(unreadable(&"there is no artifact"));
    }
    let read = |path: &PathBuf| {
        let manifest = Manifest::read(path).map_err(|error| unreadable(&error))?;
        Ok(Model::of(&manifest))
    };
    paths.iter().map(read).collect()
}

fn artifacts(directory: &Path) -> std::io::Result<Vec<PathBuf>> {
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(directory)? {
        let path = entry?.path();
        if path.join("manifest.json").exists() {
            paths.push(path);
        }
    }
    paths.sort();
    Ok(paths)
}

/// The newest artifact in a data directory; none where nothing was trained yet, or the newest cannot be read.
pub(super) fn newest_in(data_dir: &Path) -> Option<Model> {
    let paths = artifacts(&data_dir.join("artifacts")).ok()?;
    let manifests = paths.iter().filter_map(|path| Manifest::read(path).ok());
    manifests.map(|manifest| Model::of(&manifest)).max_by_key(|model| model.created_at_ms)
}

/// The model of an announced artifact, if it is where it was announced.
pub(super) fn at(path: &Path) -> Option<Model> {
    Manifest::read(path).ok().map(|manifest| Model::of(&manifest))
}
