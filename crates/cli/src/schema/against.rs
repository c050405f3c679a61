//! The older contracts that new ones are held against: a directory, a commit, or what a registry has.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::str::FromStr;

use serde_json::Value;
use upnext_contract::evolution::{Contracts, SourceFile};

use super::place;
use super::subjects::Subjects;
use crate::api::Api;
use crate::failure::Failure;

/// `DIR`, `git:REV` or `registry`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Against {
    Directory(PathBuf),
    Commit(String),
    Registry,
}

impl FromStr for Against {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once(':') {
            Some(("git", "")) => Err("name a commit: git:main, git:HEAD~1, git:v1.2".to_owned()),
            Some(("git", revision)) => Ok(Self::Commit(revision.to_owned())),
            Some(_) | None if text == "registry" => Ok(Self::Registry),
            Some(_) | None => Ok(Self::Directory(PathBuf::from(text))),
        }
    }
}

/// The directory of schemas as it stood at a commit.
///
/// # Errors
/// [`Failure::Unavailable`] without git, [`Failure::Usage`] when it has no such commit or directory.
pub(super) fn of_commit(directory: &Path, revision: &str) -> Result<Contracts, Failure> {
    // A revision that begins with a dash would be an option of git.
    if revision.starts_with('-') {
        return Err(Failure::usage(format!("git:{revision} is no commit"), "write git:main"));
    }
    let listed = git(directory, &["ls-tree", "-r", "--name-only", revision, "."])?;
    let mut files = Vec::new();
    for path in listed.lines().filter(|path| place::is_contract(path)) {
        let text = git(directory, &["show", &format!("{revision}:./{path}")])?;
        files.push(SourceFile { path: path.to_owned(), text });
    }
    place::parsed(&files, &format!("git:{revision}"))
}

fn git(directory: &Path, arguments: &[&str]) -> Result<String, Failure> {
    let output = Command::new("git").arg("-C").arg(directory).args(arguments).output();
    let output = output.map_err(|error| {
        Failure::unavailable(
            format!("cannot run git: {error}"),
            "install git (apt-get install git), or name a directory: --against DIR",
        )
    })?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    Err(Failure::usage(
        format!("git {}: {said}", arguments.join(" ")),
        "name a commit that has the directory of schemas, for example git:main",
    ))
}

/// Every version that the registry has of our subjects: one state for each step back, oldest first.
///
/// # Errors
/// [`Failure::Unavailable`] when it does not answer, [`Failure::Usage`] when it has none of our subjects.
pub(super) async fn of_registry(url: &str, subjects: &Subjects) -> Result<Vec<Contracts>, Failure> {
    let api = Api::new(url);
    let listed = api.get("/subjects").await?.ok()?;
    let mut versions: Vec<(String, Vec<String>)> = Vec::new();
    for subject in listed.as_array().into_iter().flatten().filter_map(Value::as_str) {
        if let Some(path) = subjects.path_of(subject) {
            versions.push((path, texts(&api, subject).await?));
        }
    }
    let steps = versions.iter().map(|(_, texts)| texts.len()).max().unwrap_or_default();
    if steps == 0 {
        return Err(Failure::usage(
            format!("the registry at {url} has none of our subjects"),
            "register them: upnext schema register",
        ));
    }
    (1..=steps).rev().map(|back| state(&versions, back, url)).collect()
}

/// The versions that stood `back` steps from the end; a subject with fewer gives its oldest.
fn state(versions: &[(String, Vec<String>)], back: usize, url: &str) -> Result<Contracts, Failure> {
    let file = |(path, texts): &(String, Vec<String>)| {
        let text = texts.get(texts.len().saturating_sub(back)).or(texts.first())?;
        Some(SourceFile { path: path.clone(), text: text.clone() })
    };
    let files: Vec<SourceFile> = versions.iter().filter_map(file).collect();
    place::parsed(&files, url)
}

/// The texts of a subject's versions, oldest first.
async fn texts(api: &Api, subject: &str) -> Result<Vec<String>, Failure> {
    let numbers = api.get(&format!("/subjects/{subject}/versions")).await?.ok()?;
    let mut texts = Vec::new();
    for number in numbers.as_array().into_iter().flatten().filter_map(Value::as_u64) {
        let version = api.get(&format!("/subjects/{subject}/versions/{number}")).await?.ok()?;
        texts.extend(version["schema"].as_str().map(str::to_owned));
    }
    Ok(texts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_three_ways_to_name_older_contracts() {
        let read = |text: &str| text.parse::<Against>();
        assert_eq!(read("registry"), Ok(Against::Registry));
        assert_eq!(read("git:HEAD~1"), Ok(Against::Commit("HEAD~1".to_owned())));
        assert_eq!(read("old/schemas"), Ok(Against::Directory(PathBuf::from("old/schemas"))));
        assert!(read("git:").unwrap_err().contains("git:main"));
    }

    #[test]
    fn states_of_a_registry_step_back_together() {
        let schema = |name: &str, doc: &str| {
            format!("{{\"type\":\"record\",\"name\":\"{name}\",\"doc\":\"{doc}\",\"fields\":[]}}")
        };
        let versions = [
            ("events/A.avsc".to_owned(), vec![schema("A", "1"), schema("A", "2")]),
            ("events/B.avsc".to_owned(), vec![schema("B", "1")]),
        ];
        let doc = |back, at: usize| state(&versions, back, "r").unwrap().schemas[at].text.clone();
        assert_eq!((doc(2, 0), doc(2, 1)), (schema("A", "1"), schema("B", "1")));
        assert_eq!((doc(1, 0), doc(1, 1)), (schema("A", "2"), schema("B", "1")));
    }

    #[test]
    fn a_revision_is_never_an_option() {
        let failure = of_commit(Path::new("."), "--output=x").unwrap_err();
        assert!(failure.to_string().contains("is no commit"), "{failure}");
    }
}
