//! Where contracts stand: a directory of schemas and rules.

use std::path::{Path, PathBuf};

use upnext_contract::evolution::{Contracts, ContractsError, SourceFile};

use crate::failure::Failure;

/// Deepest folder that is looked into.
const DEPTH_MAX: usize = 4;

/// Everything in the directory.
///
/// # Errors
/// [`Failure::Usage`] when it is none, or a file of it is not what its name says.
pub(super) fn of_directory(directory: &Path) -> Result<Contracts, Failure> {
    let mut files = Vec::new();
    collect(directory, "", 0, &mut files)?;
    files.sort_by(|one: &SourceFile, other| one.path.cmp(&other.path));
    parsed(&files, &directory.display().to_string())
}

/// The contracts of files that were read somewhere.
pub(super) fn parsed(files: &[SourceFile], from: &str) -> Result<Contracts, Failure> {
    let contracts = Contracts::read(files).map_err(|error: ContractsError| {
        Failure::usage(
            format!("{from}/{error}"),
            "schemas are Avro JSON in *.avsc, rules TOML in rules/*.toml",
        )
    })?;
    if contracts.schemas.is_empty() {
        return Err(Failure::usage(
            format!("{from} holds no *.avsc"),
            "name the directory of schemas, for example `schemas`",
        ));
    }
    Ok(contracts)
}

fn collect(
    directory: &Path,
    prefix: &str,
    depth: usize,
    files: &mut Vec<SourceFile>,
) -> Result<(), Failure> {
    let unreadable = |path: &Path, error: std::io::Error| {
        let what = format!("cannot read {}: {error}", path.display());
        Failure::usage(what, "name a directory of schemas, for example `schemas`")
    };
    let entries = std::fs::read_dir(directory).map_err(|error| unreadable(directory, error))?;
    let mut paths: Vec<PathBuf> = entries
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<Result<_, _>>()
        .map_err(|error| unreadable(directory, error))?;
    paths.sort();
    for path in paths {
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned());
        let Some(name) = name.filter(|name| !name.starts_with('.')) else { continue };
        let relative = format!("{prefix}{name}");
        if path.is_dir() {
            if depth < DEPTH_MAX {
                collect(&path, &format!("{relative}/"), depth + 1, files)?;
            }
        } else if is_contract(&relative) {
            let text = std::fs::read_to_string(&path).map_err(|error| unreadable(&path, error))?;
            files.push(SourceFile { path: relative, text });
        }
    }
    Ok(())
}

/// Whether a path within a directory of schemas is a schema or a file of rules.
pub(super) fn is_contract(path: &str) -> bool {
    let ends = |ending: &str| Path::new(path).extension().is_some_and(|found| found == ending);
    ends("avsc") || (path.starts_with("rules/") && ends("toml"))
}

/// The line, from 1, on which the last part of a pointer (or a rule's id) is named in a file; 1 where it is not.
pub(super) fn line_of(text: &str, place: &str) -> usize {
    let named = place.rsplit('/').find(|part| !matches!(*part, "" | "[]" | "{}"));
    let Some(named) = named else { return 1 };
    let quoted = format!("\"{named}\"");
    let is_it = |line: &str| {
        let compact: String = line.split_whitespace().collect();
        compact.contains(&format!("\"name\":{quoted}")) || compact.contains(&format!("id={quoted}"))
    };
    text.lines().position(is_it).map_or(1, |at| at + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_found_by_field_name_and_by_rule_id() {
        let schema =
            "{\n \"name\": \"R\",\n \"fields\": [\n  {\"name\" : \"a\"},\n  {\"name\":\"b\"}]}";
        assert_eq!(line_of(schema, "/b"), 5);
        assert_eq!(line_of(schema, "/a/[]"), 4);
        assert_eq!(line_of(schema, ""), 1);
        assert_eq!(line_of("[[rule]]\nid = \"x.y\"\n", "x.y"), 2);
    }

    #[test]
    fn what_is_no_directory_of_schemas_is_said() {
        let directory = tempfile::tempdir().unwrap();
        let failure = of_directory(directory.path()).unwrap_err();
        assert!(failure.to_string().ends_with("holds no *.avsc"), "{failure}");
        let failure = of_directory(&directory.path().join("nowhere")).unwrap_err();
        assert!(failure.to_string().starts_with("cannot read"), "{failure}");
        std::fs::write(directory.path().join("a.avsc"), "{\"type\":\"record\"").unwrap();
        let failure = of_directory(directory.path()).unwrap_err();
        assert!(failure.to_string().contains("/a.avsc: EOF"), "{failure}");
    }
}
