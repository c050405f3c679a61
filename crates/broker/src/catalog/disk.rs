//! The directories topics are kept in, and the one they are thrown into.

use std::io;
use std::path::{Path, PathBuf};

use uuid::Uuid;

pub(super) struct Disk {
    topics: PathBuf,
    /// What lies here belongs to no topic and goes at the next start, if it did not go at once.
    trash: PathBuf,
}

impl Disk {
    pub(super) fn open(data_dir: &Path) -> io::Result<Self> {
        let disk = Self { topics: data_dir.join("topics"), trash: data_dir.join("trash") };
        remove(&disk.trash)?;
        std::fs::create_dir_all(&disk.topics)?;
        std::fs::create_dir_all(&disk.trash)?;
        Ok(disk)
    }

    pub(super) fn directory(&self, topic: &str) -> PathBuf {
        self.topics.join(topic)
    }

    /// Takes a topic's directory out of the way; one that is not there is no error.
    pub(super) fn discard(&self, topic: &str) -> io::Result<()> {
        let trash = self.trash.join(Uuid::new_v4().to_string());
        match std::fs::rename(self.directory(topic), &trash) {
            Ok(()) => remove(&trash),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(error),
        }
    }
}

fn remove(directory: &Path) -> io::Result<()> {
    match std::fs::remove_dir_all(directory) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}
