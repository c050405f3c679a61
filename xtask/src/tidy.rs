//! The house rules that no lint knows: who may use whom, who owns which dependency, how a file begins and ends.

mod manifest;
mod sources;
mod table;

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use manifest::Manifest;

/// One broken rule and where.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Complaint {
    pub(crate) place: String,
    pub(crate) what: String,
}

impl fmt::Display for Complaint {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}: {}", self.place, self.what)
    }
}

/// Everything that breaks a rule below `root`; an empty list is good.
pub(crate) fn complaints(root: &Path) -> io::Result<Vec<Complaint>> {
    let manifests = manifests(root)?;
    let architecture = std::fs::read_to_string(root.join("docs/ARCHITECTURE.md"))?;
    let mut found = Vec::new();
    for manifest in &manifests {
        table::check(manifest, &mut found);
        if !architecture.contains(&format!("`{}`", manifest.name)) {
            let what = format!("crate `{}` is not named", manifest.name);
            found.push(Complaint { place: "docs/ARCHITECTURE.md".to_owned(), what });
        }
    }
    table::check_unused(&manifests, &mut found);
    for manifest in &manifests {
        let mut texts = String::new();
        for path in sources::below(&root.join(manifest.directory()))? {
            let text = std::fs::read_to_string(&path)?;
            let place = path.strip_prefix(root).unwrap_or(&path).display().to_string();
            sources::check(&place, &text, &mut found);
            texts.push_str(&text);
        }
        manifest.check_mentioned(&texts, &mut found);
    }
    Ok(found)
}

fn manifests(root: &Path) -> io::Result<Vec<Manifest>> {
    let mut directories = vec![root.join("xtask")];
    for entry in std::fs::read_dir(root.join("crates"))? {
        directories.push(entry?.path());
    }
    directories.sort();
    let paths = directories.into_iter().map(|directory| directory.join("Cargo.toml"));
    paths.filter(|path| path.exists()).map(|path| read(&path)).collect()
}

fn read(path: &PathBuf) -> io::Result<Manifest> {
    let directory = path.parent().and_then(Path::file_name).unwrap_or_default();
    Ok(Manifest::parse(&directory.to_string_lossy(), &std::fs::read_to_string(path)?))
}

#[cfg(test)]
mod tests;
