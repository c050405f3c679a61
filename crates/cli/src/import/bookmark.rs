//! How far an import came, so that the same command goes on from there.

use std::path::{Path, PathBuf};

use anyhow::Context;
use upnext_common::item::stable_hash;

use crate::failure::Failure;

/// The bookmark of one file in one data directory.
#[derive(Debug)]
pub(super) struct Bookmark {
    path: PathBuf,
}

impl Bookmark {
    /// By the file's full name, size and time of change: a changed file starts from its beginning.
    pub(super) fn of(data_dir: &Path, file: &Path) -> Result<Self, Failure> {
        let unreadable = || format!("cannot read {}", file.display());
        let full = file.canonicalize().with_context(unreadable)?;
        let about = full.metadata().with_context(unreadable)?;
        let changed = about.modified().ok();
        let key = stable_hash(format!("{} {} {changed:?}", full.display(), about.len()).as_bytes());
        let directory = data_dir.join("imports");
        std::fs::create_dir_all(&directory)
            .with_context(|| format!("cannot create {}", directory.display()))?;
        Ok(Self { path: directory.join(format!("{key:016x}")) })
    }

    /// Rows that are done.
    pub(super) fn rows(&self) -> u64 {
        let text = std::fs::read_to_string(&self.path).unwrap_or_default();
        text.trim().parse().unwrap_or_default()
    }

    pub(super) fn save(&self, rows: u64) -> Result<(), Failure> {
        std::fs::write(&self.path, rows.to_string())
            .with_context(|| format!("cannot write {}", self.path.display()))?;
        Ok(())
    }

    pub(super) fn forget(&self) {
        std::fs::remove_file(&self.path).ok();
    }
}
