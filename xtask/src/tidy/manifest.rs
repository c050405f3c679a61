//! As much of a Cargo.toml as the rules need, read line by line.

use super::Complaint;

/// One crate's manifest.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Manifest {
    /// Its directory below `crates/`, which is the name by which the table knows it.
    pub(crate) name: String,
    pub(crate) dependencies: Vec<String>,
    pub(crate) dev_dependencies: Vec<String>,
    pub(crate) has_workspace_lints: bool,
}

impl Manifest {
    pub(crate) fn parse(name: &str, text: &str) -> Self {
        let mut manifest = Self { name: name.to_owned(), ..Self::default() };
        let mut section = "";
        for line in text.lines().map(str::trim) {
            if let Some(header) = line.strip_prefix('[') {
                section = header.trim_end_matches(']');
            } else if let Some(key) = key_of(line) {
                manifest.take(section, key, line);
            }
        }
        manifest
    }

    /// Where it stands below the root.
    pub(crate) fn directory(&self) -> String {
        match self.name.as_str() {
            "xtask" => self.name.clone(),
            name => format!("crates/{name}"),
        }
    }

    /// A dependency that no source file mentions is not needed.
    pub(crate) fn check_mentioned(&self, texts: &str, found: &mut Vec<Complaint>) {
        for dependency in self.dependencies.iter().chain(&self.dev_dependencies) {
            if !texts.contains(&dependency.replace('-', "_")) {
                let place = format!("{}/Cargo.toml", self.directory());
                found.push(Complaint { place, what: format!("`{dependency}` is not used") });
            }
        }
    }

    fn take(&mut self, section: &str, key: &str, line: &str) {
        match section {
            "dependencies" => self.dependencies.push(key.to_owned()),
            "dev-dependencies" => self.dev_dependencies.push(key.to_owned()),
            "lints" => self.has_workspace_lints |= line.replace(' ', "") == "workspace=true",
            _ => {}
        }
    }
}

/// `serde.workspace = true` and `serde = { … }` are both about `serde`.
fn key_of(line: &str) -> Option<&str> {
    let (key, _) = line.split_once('=').filter(|_| !line.starts_with('#'))?;
    key.split('.').next().map(str::trim)
}
