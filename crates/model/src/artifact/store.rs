//! Writing and reading the directory.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, TensorView};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use upnext_common::fault::Fault;

use super::golden::Golden;
use super::manifest::FORMAT;
use super::{Artifact, Manifest};
use crate::ranker::Ranker;
use crate::tensors::{Named, NamedTensors, TensorError};
use crate::tower::Tower;

const MANIFEST: &str = "manifest.json";
const TOWER: &str = "tower.safetensors";
const RANKER: &str = "ranker.safetensors";
const LISTS: &str = "lists.json";

/// An artifact could not be written or must not be used.
#[derive(Debug, thiserror::Error)]
pub enum ArtifactError {
    #[error("{} already exists", .0.display())]
    Exists(PathBuf),
    #[error("cannot write {}: {cause}", path.display())]
    Unwritable { path: PathBuf, cause: std::io::Error },
    #[error("cannot read {}: {cause}", path.display())]
    Unreadable { path: PathBuf, cause: std::io::Error },
    #[error("{file} is not what it should be: {detail}")]
    Malformed { file: &'static str, detail: String },
    #[error("format {0} is not the one known here, {FORMAT}")]
    Format(u32),
    #[error("{file} does not have the checksum of the manifest")]
    Checksum { file: String },
    #[error("made for feature spec {actual}, this build has {expected}")]
    Spec { expected: String, actual: String },
    #[error("golden requests fail: {0}")]
    Golden(String),
}

impl ArtifactError {
    #[must_use]
    pub fn fault(&self) -> Fault {
        match self {
            Self::Unwritable { .. } | Self::Unreadable { .. } => Fault::UPSTREAM,
            Self::Exists(_)
            | Self::Malformed { .. }
            | Self::Format(_)
            | Self::Checksum { .. }
            | Self::Spec { .. }
            | Self::Golden(_) => Fault::CALLER,
        }
    }
}

/// Where an artifact was put.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Saved {
    pub path: PathBuf,
    /// sha256 of the manifest, which holds those of all other files.
    pub manifest_sha256: String,
}

/// `lists.json`
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Lists {
    item_ids: Vec<String>,
    attributes: Vec<String>,
    static_list: Vec<String>,
}

impl Artifact {
    /// Writes the directory `path`, whole or not at all: under another name beside it, then renamed.
    ///
    /// # Errors
    /// If `path` exists or something cannot be written.
    pub fn save(&self, path: &Path) -> Result<Saved, ArtifactError> {
        if path.exists() {
            return Err(ArtifactError::Exists(path.to_owned()));
        }
        let mut partial = path.as_os_str().to_owned();
        partial.push(".partial");
        let partial = PathBuf::from(partial);
        let unwritable = |cause| ArtifactError::Unwritable { path: path.to_owned(), cause };
        if partial.exists() {
            fs::remove_dir_all(&partial).map_err(unwritable)?;
        }
        let manifest_sha256 = self.write_into(&partial).map_err(unwritable)?;
        fs::rename(&partial, path).map_err(unwritable)?;
        sync_parent(path).map_err(unwritable)?;
        Ok(Saved { path: path.to_owned(), manifest_sha256 })
    }

    fn write_into(&self, directory: &Path) -> std::io::Result<String> {
        fs::create_dir_all(directory)?;
        let mut files: BTreeMap<&str, Vec<u8>> = BTreeMap::new();
        if let Some(tower) = &self.tower {
            files.insert(TOWER, tensor_bytes(&tower.to_tensors())?);
        }
        if let Some(ranker) = &self.ranker {
            files.insert(RANKER, tensor_bytes(&ranker.to_tensors())?);
        }
        let lists = Lists {
            item_ids: self.item_ids.clone(),
            attributes: self.attributes.texts().to_vec(),
            static_list: self.static_list.clone(),
        };
        files.insert(LISTS, serde_json::to_vec(&lists)?);
        let checksums =
            files.iter().map(|(name, bytes)| ((*name).to_owned(), checksum(bytes))).collect();
        let manifest = Manifest {
            format: FORMAT,
            about: self.about.clone(),
            items: self.item_ids.len(),
            attributes: self.attributes.len(),
            checksums,
            golden: Golden::ask(self),
        };
        let manifest = serde_json::to_vec_pretty(&manifest)?;
        let manifest_sha256 = checksum(&manifest);
        files.insert(MANIFEST, manifest);
        for (name, bytes) in files {
            let mut file = fs::File::create(directory.join(name))?;
            file.write_all(&bytes)?;
            file.sync_all()?;
        }
        Ok(manifest_sha256)
    }

    /// Reads the directory `path` and proves it: checksums, the feature spec this build has, golden requests.
    ///
    /// # Errors
    /// If anything is missing, damaged, or made for another feature spec.
    pub fn load(path: &Path, feature_spec_hash: &str) -> Result<Self, ArtifactError> {
        let manifest = read(path, MANIFEST)?;
        Self::load_by(path, feature_spec_hash, &manifest)
    }

    /// Like [`load`](Self::load), and the manifest must be the one that was announced.
    ///
    /// # Errors
    /// As `load`, and if the manifest has another checksum.
    pub fn load_announced(
        path: &Path,
        feature_spec_hash: &str,
        manifest_sha256: &str,
    ) -> Result<Self, ArtifactError> {
        let manifest = read(path, MANIFEST)?;
        if checksum(&manifest) != manifest_sha256 {
            return Err(ArtifactError::Checksum { file: MANIFEST.to_owned() });
        }
        Self::load_by(path, feature_spec_hash, &manifest)
    }

    fn load_by(
        path: &Path,
        feature_spec_hash: &str,
        manifest: &[u8],
    ) -> Result<Self, ArtifactError> {
        check_format(manifest)?;
        let manifest: Manifest = parse(MANIFEST, manifest)?;
        if manifest.about.feature_spec_hash != feature_spec_hash {
            return Err(ArtifactError::Spec {
                expected: feature_spec_hash.to_owned(),
                actual: manifest.about.feature_spec_hash,
            });
        }
        let files = Files { path, checksums: &manifest.checksums };
        let lists: Lists = parse(LISTS, &files.checked(LISTS)?)?;
        let artifact = Self {
            tower: files.model(TOWER, Tower::from_tensors)?,
            ranker: files.model(RANKER, Ranker::from_tensors)?,
            item_ids: lists.item_ids,
            attributes: lists.attributes.iter().collect(),
            static_list: lists.static_list,
            about: manifest.about,
        };
        artifact.check_sizes(manifest.items, manifest.attributes)?;
        match manifest.golden.mismatch(&artifact) {
            Some(mismatch) => Err(ArtifactError::Golden(mismatch)),
            None => Ok(artifact),
        }
    }

    fn check_sizes(&self, items: usize, attributes: usize) -> Result<(), ArtifactError> {
        let malformed = |file, detail| Err(ArtifactError::Malformed { file, detail });
        if (self.item_ids.len(), self.attributes.len()) != (items, attributes) {
            return malformed(LISTS, "its lists are not as long as the manifest says".to_owned());
        }
        match &self.tower {
            Some(tower) if (tower.items(), tower.attribute_count()) != (items, attributes) => {
                let (items, attributes) = (tower.items(), tower.attribute_count());
                malformed(TOWER, format!("it has {items} items and {attributes} attributes"))
            }
            Some(_) | None => Ok(()),
        }
    }
}

impl Manifest {
    /// What the artifact in the directory `path` says about itself; its other files are not looked at.
    ///
    /// # Errors
    /// If it is missing, malformed or of another format.
    pub fn read(path: &Path) -> Result<Self, ArtifactError> {
        let manifest = read(path, MANIFEST)?;
        check_format(&manifest)?;
        parse(MANIFEST, &manifest)
    }

    /// Whether it reads feature rows.
    #[must_use]
    pub fn has_ranker(&self) -> bool {
        self.checksums.contains_key(RANKER)
    }

    /// Whether it reads sequences and what items are like.
    #[must_use]
    pub fn has_tower(&self) -> bool {
        self.checksums.contains_key(TOWER)
    }
}

/// The files of one directory, by the checksums of its manifest.
struct Files<'a> {
    path: &'a Path,
    checksums: &'a BTreeMap<String, String>,
}

impl Files<'_> {
    fn checked(&self, file: &'static str) -> Result<Vec<u8>, ArtifactError> {
        let bytes = read(self.path, file)?;
        if self.checksums.get(file) == Some(&checksum(&bytes)) {
            Ok(bytes)
        } else {
            Err(ArtifactError::Checksum { file: file.to_owned() })
        }
    }

    /// The model of a file, if the manifest lists it.
    fn model<Model>(
        &self,
        file: &'static str,
        make: impl Fn(NamedTensors) -> Result<Model, TensorError>,
    ) -> Result<Option<Model>, ArtifactError> {
        if !self.checksums.contains_key(file) {
            return Ok(None);
        }
        let bytes = self.checked(file)?;
        let malformed = |detail| ArtifactError::Malformed { file, detail };
        let tensors = tensors_of(&bytes).map_err(malformed)?;
        make(tensors).map(Some).map_err(|error| malformed(error.to_string()))
    }
}

fn read(path: &Path, file: &str) -> Result<Vec<u8>, ArtifactError> {
    let path = path.join(file);
    fs::read(&path).map_err(|cause| ArtifactError::Unreadable { path, cause })
}

fn parse<T: DeserializeOwned>(file: &'static str, bytes: &[u8]) -> Result<T, ArtifactError> {
    serde_json::from_slice(bytes)
        .map_err(|error| ArtifactError::Malformed { file, detail: error.to_string() })
}

/// The format number stands before everything else: another format may have other fields.
fn check_format(manifest: &[u8]) -> Result<(), ArtifactError> {
    #[derive(Deserialize)]
    struct Head {
        format: u32,
    }
    match parse::<Head>(MANIFEST, manifest)?.format {
        FORMAT => Ok(()),
        other => Err(ArtifactError::Format(other)),
    }
}

pub(super) fn checksum(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn tensor_bytes(tensors: &NamedTensors) -> std::io::Result<Vec<u8>> {
    let bytes: Vec<(&str, &Named, Vec<u8>)> = tensors
        .0
        .iter()
        .map(|(name, named)| {
            let bytes = named.values.iter().flat_map(|value| value.to_le_bytes()).collect();
            (name.as_str(), named, bytes)
        })
        .collect();
    let views: Result<Vec<(&str, TensorView<'_>)>, _> = bytes
        .iter()
        .map(|(name, named, bytes)| {
            TensorView::new(Dtype::F32, named.shape.clone(), bytes).map(|view| (*name, view))
        })
        .collect();
    let bytes = views.and_then(|views| safetensors::serialize(views, None));
    bytes.map_err(std::io::Error::other)
}

fn tensors_of(bytes: &[u8]) -> Result<NamedTensors, String> {
    let stored = SafeTensors::deserialize(bytes).map_err(|error| error.to_string())?;
    let mut tensors = NamedTensors::default();
    for (name, view) in stored.tensors() {
        if view.dtype() != Dtype::F32 {
            return Err(format!("tensor {name} is not f32"));
        }
        let (values, _) = view.data().as_chunks::<4>();
        let values = values.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
        tensors.0.insert(name, Named { shape: view.shape().to_vec(), values });
    }
    Ok(tensors)
}

/// Makes the rename durable.
fn sync_parent(path: &Path) -> std::io::Result<()> {
    match path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        Some(parent) => fs::File::open(parent)?.sync_all(),
        None => Ok(()),
    }
}
