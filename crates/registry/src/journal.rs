//! The registry on disk: an append-only file of changes, one JSON text a line, synced before it counts.
//!
//! A process that is killed while it appends leaves a last line without its end, or one that cannot be read; it was
//! never acknowledged and is cut off at the next start. Anything else that cannot be read stops the start.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use crate::schemas::Change;

const FILE_NAME: &str = "registry.log";
/// Below this, a journal is never worth writing anew.
const REWRITE_BYTES_MIN: u64 = 1 << 20;
/// How many times larger than after its last rewriting a journal may become.
const REWRITE_GROWTH: u64 = 4;

/// Why the journal cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    #[error("the registry's journal {path} cannot be used: {cause}")]
    Io { path: PathBuf, cause: io::Error },
    #[error("the registry's journal {path} is in use by another process")]
    InUse { path: PathBuf },
    #[error("the registry's journal {path} is damaged at line {line}: {detail}")]
    Damaged { path: PathBuf, line: usize, detail: String },
}

/// The open file, locked against other processes.
#[derive(Debug)]
pub(crate) struct Journal {
    path: PathBuf,
    file: File,
    /// Bytes that are acknowledged.
    length: u64,
    length_when_rewritten: u64,
    /// Set when a failed append could not be taken back: nothing more is written.
    is_broken: bool,
}

impl Journal {
    /// Opens or creates it, and returns the changes it holds.
    pub(crate) fn open(data_dir: &Path) -> Result<(Self, Vec<Change>), JournalError> {
        let path = data_dir.join(FILE_NAME);
        let failed = |cause| JournalError::Io { path: path.clone(), cause };
        std::fs::create_dir_all(data_dir).map_err(failed)?;
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        let mut file = options.open(&path).map_err(failed)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(JournalError::InUse { path }),
            Err(TryLockError::Error(cause)) => return Err(failed(cause)),
        }
        sync_directory(data_dir).map_err(failed)?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).map_err(failed)?;
        let (changes, length) = read(&bytes).map_err(|(line, detail)| JournalError::Damaged {
            path: path.clone(),
            line,
            detail,
        })?;
        let mut journal =
            Self { path: path.clone(), file, length, length_when_rewritten: 0, is_broken: false };
        journal.cut().map_err(failed)?;
        Ok((journal, changes))
    }

    /// Writes a change and waits until it is on disk.
    pub(crate) fn append(&mut self, change: &Change) -> Result<(), JournalError> {
        let failed = |cause| JournalError::Io { path: self.path.clone(), cause };
        if self.is_broken {
            return Err(failed(io::Error::other(
                "an earlier write failed; start the registry again",
            )));
        }
        let mut line = serde_json::to_vec(change).map_err(|error| failed(error.into()))?;
        line.push(b'\n');
        let written = self.file.write_all(&line).and_then(|()| self.file.sync_data());
        if let Err(cause) = written {
            self.is_broken = self.cut().is_err();
            return Err(JournalError::Io { path: self.path.clone(), cause });
        }
        self.length += u64::try_from(line.len()).unwrap_or(u64::MAX);
        Ok(())
    }

    /// Whether most of it is likely to be outdated.
    pub(crate) fn is_overgrown(&self) -> bool {
        let allowed = self.length_when_rewritten.saturating_mul(REWRITE_GROWTH);
        !self.is_broken && self.length > REWRITE_BYTES_MIN.max(allowed)
    }

    /// Puts a journal of `changes` in the place of this one: whatever happens, one of the two is there.
    pub(crate) fn rewrite(&mut self, changes: &[Change]) -> Result<(), JournalError> {
        let written = self.write_beside(changes);
        let (file, length) =
            written.map_err(|cause| JournalError::Io { path: self.path.clone(), cause })?;
        // From here on it is what stands under the name, whatever else fails.
        (self.file, self.length, self.length_when_rewritten) = (file, length, length);
        let synced = self.path.parent().map_or(Ok(()), sync_directory);
        synced.map_err(|cause| JournalError::Io { path: self.path.clone(), cause })
    }

    fn write_beside(&self, changes: &[Change]) -> io::Result<(File, u64)> {
        let beside = self.path.with_extension("new");
        let mut file =
            File::options().read(true).write(true).create(true).truncate(true).open(&beside)?;
        // Locked before it can be found under the name that others look for.
        file.try_lock().map_err(|error| match error {
            TryLockError::WouldBlock => io::ErrorKind::WouldBlock.into(),
            TryLockError::Error(error) => error,
        })?;
        let mut lines = Vec::new();
        for change in changes {
            serde_json::to_writer(&mut lines, change)?;
            lines.push(b'\n');
        }
        file.write_all(&lines)?;
        file.sync_data()?;
        std::fs::rename(&beside, &self.path)?;
        Ok((file, u64::try_from(lines.len()).unwrap_or(u64::MAX)))
    }

    /// The error for a line that can be read and does not follow from the ones before it.
    pub(crate) fn damaged(&self, line: usize, why: &impl ToString) -> JournalError {
        JournalError::Damaged { path: self.path.clone(), line, detail: why.to_string() }
    }

    /// Drops what lies behind the acknowledged part.
    fn cut(&mut self) -> io::Result<()> {
        self.file.set_len(self.length)?;
        self.file.seek(SeekFrom::Start(self.length))?;
        self.file.sync_data()
    }
}

/// The changes, and the bytes they take; or the number of the line that is damaged.
fn read(bytes: &[u8]) -> Result<(Vec<Change>, u64), (usize, String)> {
    let mut changes = Vec::new();
    let mut length = 0;
    let lines: Vec<&[u8]> = bytes.split_inclusive(|byte| *byte == b'\n').collect();
    for (index, line) in lines.iter().enumerate() {
        let is_last = index + 1 == lines.len();
        let Some(text) = line.strip_suffix(b"\n") else {
            break;
        };
        match serde_json::from_slice(text) {
            Ok(change) => changes.push(change),
            Err(_) if is_last => break,
            Err(error) => return Err((index + 1, error.to_string())),
        }
        length += line.len();
    }
    Ok((changes, u64::try_from(length).unwrap_or(u64::MAX)))
}

/// A new file is there after a crash only once its directory is synced.
fn sync_directory(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

#[cfg(test)]
mod tests;
