//! Contract unit tests: files of cases, each an event and the verdict expected on it.
//!
//! A case is judged as the record it would be: the event is encoded, framed, and goes the way of every record, from
//! its bytes to the verdict. The files are YAML; what they may say stands in `docs/VERDICTS.md`.

mod file;
mod trial;

use std::path::{Path, PathBuf};

use crate::checks::Limits;
use crate::judge::Judge;
use file::File;

/// The topic that cases are judged for.
const TOPIC: &str = "events";

/// Why cases cannot be run. A case whose verdict differs is not an error; it stands in the report.
#[derive(Debug, thiserror::Error)]
pub enum CasesError {
    #[error("{} cannot be read: {cause}", path.display())]
    Unreadable { path: PathBuf, cause: std::io::Error },
    #[error("{}:{line}:{column}: {cause}", path.display())]
    NotCases { path: PathBuf, line: u64, column: u64, cause: String },
    #[error("there are no cases in {}", directory.display())]
    None { directory: PathBuf },
}

/// What became of one case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    pub name: String,
    pub file: PathBuf,
    /// Where the case stands in its file, from 1.
    pub line: u64,
    /// `accept`, or a reason's code with pointer and detail where they are expected.
    pub expected: String,
    pub found: String,
    pub has_passed: bool,
}

/// What became of all of them, in the order of files and cases.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    pub outcomes: Vec<Outcome>,
}

impl Report {
    pub fn failures(&self) -> impl Iterator<Item = &Outcome> {
        self.outcomes.iter().filter(|outcome| !outcome.has_passed)
    }

    #[must_use]
    pub fn has_passed(&self) -> bool {
        self.failures().next().is_none()
    }
}

/// Runs the cases of every `*.yaml` in a directory, in the order of their names.
///
/// # Errors
/// When the directory or a file cannot be read, a file is not of the format, or there is no case at all.
pub fn run(directory: &Path) -> Result<Report, CasesError> {
    let judge = Judge::new(Limits::default(), TOPIC);
    let mut report = Report::default();
    for path in files(directory)? {
        let text = std::fs::read_to_string(&path)
            .map_err(|cause| CasesError::Unreadable { path: path.clone(), cause })?;
        let file = File::parse(&path, &text)?;
        let outcomes = file.cases.iter().map(|case| trial::run(&judge, &path, &file, case));
        report.outcomes.extend(outcomes);
    }
    if report.outcomes.is_empty() {
        return Err(CasesError::None { directory: directory.to_owned() });
    }
    Ok(report)
}

fn files(directory: &Path) -> Result<Vec<PathBuf>, CasesError> {
    let unreadable = |cause| CasesError::Unreadable { path: directory.to_owned(), cause };
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(directory).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        if path.extension().is_some_and(|ending| ending == "yaml" || ending == "yml") {
            paths.push(path);
        }
    }
    paths.sort();
    Ok(paths)
}

#[cfg(test)]
mod tests;
