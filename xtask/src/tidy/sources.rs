//! What every source file must look like.

use std::io;
use std::path::{Path, PathBuf};

use super::Complaint;

const LINES_MAX: usize = 400;
/// Names that say nothing about what is inside.
const EMPTY_NAMES: [&str; 8] =
    ["util", "utils", "helper", "helpers", "misc", "types", "prelude", "constants"];

/// Every `.rs` file below `directory`, sorted.
pub(crate) fn below(directory: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut open = vec![directory.to_path_buf()];
    while let Some(next) = open.pop() {
        for entry in std::fs::read_dir(next)? {
            let path = entry?.path();
            if path.is_dir() {
                open.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push(path);
            }
        }
    }
    found.sort();
    Ok(found)
}

pub(crate) fn check(place: &str, text: &str, found: &mut Vec<Complaint>) {
    let mut complain = |what: String| found.push(Complaint { place: place.to_owned(), what });
    if !text.starts_with("//! ") {
        complain("the first line must be `//! ` and say what the file is".to_owned());
    }
    let lines = text.lines().count();
    if lines > LINES_MAX {
        complain(format!("{lines} lines, at most {LINES_MAX} are allowed"));
    }
    let stem = Path::new(place).file_stem().unwrap_or_default().to_string_lossy();
    if stem == "mod" {
        complain("no mod.rs: name the file after its module".to_owned());
    }
    if EMPTY_NAMES.contains(&stem.as_ref()) {
        complain(format!("a module called `{stem}` says nothing about what is inside"));
    }
    for (index, line) in text.lines().enumerate() {
        if let Some(message) = error_message(line).filter(|message| !is_well_formed(message)) {
            let line = index + 1;
            complain(format!("line {line}: error `{message}` must be lowercase, without a period"));
        }
    }
}

/// The text of a one-line `#[error("…")]`.
fn error_message(line: &str) -> Option<&str> {
    let message = line.trim().strip_prefix("#[error(\"")?;
    message.split_once('"').map(|(message, _)| message)
}

/// Display of errors: lowercase, no period. Names of systems keep their capital.
fn is_well_formed(message: &str) -> bool {
    const NAMES: [&str; 9] =
        ["Redis", "Kafka", "Avro", "JSON", "CSV", "HTTP", "TOML", "UTF-8", "NaN"];
    let is_capital = message.chars().next().is_some_and(char::is_uppercase);
    let is_name = NAMES.iter().any(|name| message.starts_with(name));
    (!is_capital || is_name) && !message.ends_with('.')
}
