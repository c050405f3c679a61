//! Saving, loading, and every reason to refuse.

use std::fs;
use std::path::{Path, PathBuf};

use tempfile::TempDir;
use upnext_common::clock::Clock;
use upnext_common::fault::Retry;

use super::*;
use crate::noise::Noise;
use crate::ranker::{self, RankerConfig, Slates};
use crate::tower::{self, TowerConfig, TowerInput};

const SPEC: &str = "spec-1";

fn artifact() -> Artifact {
    let mut noise = Noise::new(1);
    let sequences: Vec<Vec<u32>> =
        (0..40).map(|_| (0..4).map(|_| noise.below(12) as u32).collect()).collect();
    let attributes: Vec<Vec<u32>> = (0..12).map(|item| vec![item % 3]).collect();
    let input = TowerInput {
        items: 12,
        attributes: &attributes,
        attribute_count: 3,
        sequences: &sequences,
    };
    let config = TowerConfig { dim: 8, epochs: 1, ..TowerConfig::default() };
    let tower = tower::fit(&input, &config, &Clock::manual(0), &mut |_| ()).unwrap();
    let mut slates = Slates::new(3);
    for _ in 0..30 {
        slates.push(&noise.normal(12, 1.0), vec![1]);
    }
    let config = RankerConfig { epochs: 1, ..RankerConfig::default() };
    let ranker = ranker::fit(&slates, &config, &Clock::manual(0), &mut |_| ()).unwrap();
    Artifact {
        about: About {
            artifact_id: "a-1".to_owned(),
            created_at_ms: 1_700_000_000_000,
            feature_spec_hash: SPEC.to_owned(),
            metrics: [("tower_loss".to_owned(), 2.5)].into(),
            ..About::default()
        },
        tower: Some(tower),
        ranker: Some(ranker),
        item_ids: (0..12).map(|item| format!("i{item}")).collect(),
        attributes: ["c=a", "c=b", "c=ü"].iter().collect(),
        static_list: vec!["i3".to_owned(), "i1".to_owned()],
    }
}

fn saved() -> (TempDir, PathBuf, Saved) {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("a-1");
    let saved = artifact().save(&path).unwrap();
    (home, path, saved)
}

/// Changes a file and the checksum the manifest has of it.
fn forge(path: &Path, file: &str, change: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = fs::read(path.join(file)).unwrap();
    change(&mut bytes);
    fs::write(path.join(file), &bytes).unwrap();
    edit_manifest(path, |manifest| manifest["checksums"][file] = store::checksum(&bytes).into());
}

fn edit_manifest(path: &Path, change: impl FnOnce(&mut serde_json::Value)) {
    let file = path.join("manifest.json");
    let mut manifest = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
    change(&mut manifest);
    fs::write(file, serde_json::to_vec(&manifest).unwrap()).unwrap();
}

#[track_caller]
fn check_refused(path: &Path, expected: &str) {
    let error = Artifact::load(path, SPEC).unwrap_err();
    assert!(error.to_string().contains(expected), "{error}");
}

#[test]
fn it_comes_back_bit_by_bit() {
    let (_home, path, saved) = saved();
    assert_eq!(Artifact::load(&path, SPEC).unwrap(), artifact());
    let announced = Artifact::load_announced(&path, SPEC, &saved.manifest_sha256).unwrap();
    assert_eq!(announced, artifact());
}

#[test]
fn the_manifest_says_what_is_inside() {
    let (_home, path, saved) = saved();
    assert_eq!(saved.path, path);
    let manifest: Manifest =
        serde_json::from_slice(&fs::read(path.join("manifest.json")).unwrap()).unwrap();
    assert_eq!((manifest.items, manifest.attributes), (12, 3));
    assert_eq!(manifest.about, artifact().about);
    let files: Vec<&str> = manifest.checksums.keys().map(String::as_str).collect();
    assert_eq!(files, ["lists.json", "ranker.safetensors", "tower.safetensors"]);
}

#[test]
fn models_may_be_missing() {
    let home = tempfile::tempdir().unwrap();
    let bare = Artifact {
        tower: None,
        ranker: None,
        item_ids: Vec::new(),
        attributes: AttributeVocabulary::default(),
        ..artifact()
    };
    bare.save(&home.path().join("bare")).unwrap();
    assert_eq!(Artifact::load(&home.path().join("bare"), SPEC).unwrap(), bare);
}

#[test]
fn nothing_is_overwritten_and_leftovers_of_a_crash_are() {
    let (home, path, _) = saved();
    let error = artifact().save(&path).unwrap_err();
    assert!(matches!(error, ArtifactError::Exists(_)), "{error}");
    let leftover = home.path().join("b.partial");
    fs::create_dir(&leftover).unwrap();
    fs::write(leftover.join("half"), "x").unwrap();
    artifact().save(&home.path().join("b")).unwrap();
    assert!(!leftover.exists() && !home.path().join("b/half").exists());
}

#[test]
fn a_place_that_cannot_be_written_is_named() {
    let home = tempfile::tempdir().unwrap();
    fs::write(home.path().join("file"), "x").unwrap();
    let error = artifact().save(&home.path().join("file/a")).unwrap_err();
    assert!(matches!(error, ArtifactError::Unwritable { .. }), "{error}");
    assert_eq!(error.fault().retry, Retry::Backoff);
}

#[test]
fn a_missing_directory_or_file_is_unreadable() {
    let (home, path, _) = saved();
    check_refused(&home.path().join("none"), "cannot read");
    fs::remove_file(path.join("ranker.safetensors")).unwrap();
    check_refused(&path, "cannot read");
}

#[test]
fn a_flipped_bit_in_any_file_is_seen() {
    for file in ["lists.json", "ranker.safetensors", "tower.safetensors"] {
        let (_home, path, _) = saved();
        let mut bytes = fs::read(path.join(file)).unwrap();
        let last = bytes.len() - 3;
        bytes[last] ^= 1;
        fs::write(path.join(file), bytes).unwrap();
        check_refused(&path, &format!("{file} does not have the checksum"));
    }
}

#[test]
fn another_manifest_than_announced_is_seen() {
    let (_home, path, saved) = saved();
    edit_manifest(&path, |manifest| manifest["about"]["metrics"]["tower_loss"] = 0.1.into());
    Artifact::load(&path, SPEC).unwrap();
    let error = Artifact::load_announced(&path, SPEC, &saved.manifest_sha256).unwrap_err();
    assert!(matches!(error, ArtifactError::Checksum { .. }), "{error}");
}

#[test]
fn a_foreign_feature_spec_is_refused() {
    let (_home, path, _) = saved();
    let error = Artifact::load(&path, "spec-2").unwrap_err();
    let expected = "made for feature spec spec-1, this build has spec-2";
    assert_eq!(error.to_string(), expected);
    assert_eq!(error.fault().retry, Retry::Never);
}

#[test]
fn another_format_is_refused_before_its_fields_are_looked_at() {
    let (_home, path, _) = saved();
    edit_manifest(&path, |manifest| {
        manifest["format"] = 2.into();
        manifest["new_field"] = true.into();
    });
    check_refused(&path, "format 2 is not the one known here");
}

#[test]
fn a_manifest_that_is_no_manifest_is_refused() {
    let (_home, path, _) = saved();
    edit_manifest(&path, |manifest| manifest["new_field"] = true.into());
    check_refused(&path, "manifest.json is not what it should be: unknown field");
    fs::write(path.join("manifest.json"), "{").unwrap();
    check_refused(&path, "manifest.json is not what it should be");
}

#[test]
fn other_answers_to_the_golden_requests_are_refused() {
    // Every value a little larger; the header is left alone.
    for file in ["tower.safetensors", "ranker.safetensors"] {
        let (_home, path, _) = saved();
        forge(&path, file, |bytes| {
            let header = u64::from_le_bytes(bytes[..8].try_into().unwrap());
            let start = 8 + usize::try_from(header).unwrap();
            for value in bytes[start..].chunks_exact_mut(4) {
                let x = f32::from_le_bytes(value.try_into().unwrap());
                value.copy_from_slice(&(x * 1.01).to_le_bytes());
            }
        });
        check_refused(&path, "golden requests fail");
    }
}

#[test]
fn golden_requests_cannot_be_left_out() {
    for model in ["tower", "ranker"] {
        let (_home, path, _) = saved();
        edit_manifest(&path, |manifest| manifest["golden"][model] = serde_json::json!([]));
        check_refused(&path, &format!("{model} and its golden requests do not belong together"));
    }
}

#[test]
fn lists_that_do_not_fit_the_tower_are_refused() {
    let (_home, path, _) = saved();
    forge(&path, "lists.json", |bytes| {
        let mut lists: serde_json::Value = serde_json::from_slice(bytes).unwrap();
        lists["item_ids"].as_array_mut().unwrap().pop();
        *bytes = serde_json::to_vec(&lists).unwrap();
    });
    check_refused(&path, "its lists are not as long as the manifest says");
    edit_manifest(&path, |manifest| manifest["items"] = 11.into());
    check_refused(&path, "it has 12 items and 3 attributes");
}

#[test]
fn tensors_that_are_none_are_refused() {
    let (_home, path, _) = saved();
    forge(&path, "tower.safetensors", |bytes| bytes.truncate(20));
    check_refused(&path, "tower.safetensors is not what it should be");
}
