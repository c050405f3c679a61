//! Known schemas on disk, so that a start with the registry away can go on with what was known.
//!
//! One file per schema, written beside and renamed into place, with a checksum in its first line. A directory per
//! registry: ids of another mean other schemas. What does not read back as it was written is not there.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tracing::warn;
use upnext_common::item::stable_hash;

use super::call::Fetched;
use crate::framing::SchemaKey;

/// A schema as it is kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Kept {
    key: String,
    pub(super) text: String,
    pub(super) references: Vec<String>,
    /// Where it stands, once asked: the inner `None` says that the registry does not tell.
    pub(super) subjects: Option<Option<Vec<String>>>,
}

impl Kept {
    pub(super) fn new(key: SchemaKey, fetched: &Fetched) -> Self {
        let Fetched { text, references } = fetched.clone();
        Self { key: key.to_string(), text, references, subjects: None }
    }
}

/// The id that a schema of ours was given under a subject.
#[derive(Serialize, Deserialize)]
struct Registered {
    subject: String,
    text: String,
    id: u32,
}

pub(super) struct Files {
    directory: PathBuf,
    /// Files there are, about, and may be.
    count: AtomicUsize,
    max: usize,
    written: AtomicU64,
}

impl Files {
    /// # Errors
    /// When the directory cannot be made or read.
    pub(super) fn open(data_dir: &Path, registry_url: &str, max: usize) -> io::Result<Self> {
        let name = format!("{:016x}", stable_hash(registry_url.as_bytes()));
        let directory = data_dir.join("schemas").join(name);
        fs::create_dir_all(&directory)?;
        let count = AtomicUsize::new(fs::read_dir(&directory)?.count());
        Ok(Self { directory, count, max, written: AtomicU64::new(0) })
    }

    pub(super) fn schema(&self, key: SchemaKey) -> Option<Kept> {
        let kept: Kept = self.read(&key.to_string())?;
        (kept.key == key.to_string()).then_some(kept)
    }

    pub(super) fn keep(&self, kept: &Kept) {
        self.write(&kept.key, kept);
    }

    /// Adds to a kept schema where it stands.
    pub(super) fn note_subjects(&self, key: SchemaKey, subjects: Option<Vec<String>>) {
        let subjects = Some(subjects);
        if let Some(mut kept) = self.schema(key).filter(|kept| kept.subjects != subjects) {
            kept.subjects = subjects;
            self.keep(&kept);
        }
    }

    pub(super) fn registered(&self, subject: &str, text: &str) -> Option<u32> {
        let kept: Registered = self.read(&registration(subject, text))?;
        (kept.subject == subject && kept.text == text).then_some(kept.id)
    }

    pub(super) fn keep_registered(&self, subject: &str, text: &str, id: u32) {
        let kept = Registered { subject: subject.to_owned(), text: text.to_owned(), id };
        self.write(&registration(subject, text), &kept);
    }

    fn read<T: DeserializeOwned>(&self, name: &str) -> Option<T> {
        let text = fs::read_to_string(self.directory.join(name)).ok()?;
        let (sum, body) = text.split_once('\n')?;
        (sum == checksum(body)).then(|| serde_json::from_str(body).ok()).flatten()
    }

    fn write<T: Serialize>(&self, name: &str, kept: &T) {
        let path = self.directory.join(name);
        if !path.exists() && self.count.fetch_add(1, Ordering::AcqRel) >= self.max {
            return;
        }
        if let Err(error) = self.replace(&path, kept) {
            warn!(%error, path = %path.display(), "a schema is not kept on disk");
        }
    }

    fn replace<T: Serialize>(&self, path: &Path, kept: &T) -> io::Result<()> {
        let body = serde_json::to_string(kept)?;
        let number = self.written.fetch_add(1, Ordering::AcqRel);
        let beside = self.directory.join(format!(".{}-{number}", std::process::id()));
        fs::write(&beside, format!("{}\n{body}", checksum(&body)))?;
        fs::rename(&beside, path)
    }
}

fn registration(subject: &str, text: &str) -> String {
    format!("own-{:016x}", stable_hash(format!("{subject}\n{text}").as_bytes()))
}

fn checksum(body: &str) -> String {
    format!("{:016x}", stable_hash(body.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fetched() -> Fetched {
        Fetched { text: "\"int\"".to_owned(), references: vec!["\"long\"".to_owned()] }
    }

    #[test]
    fn what_was_kept_reads_back_and_what_was_damaged_does_not() {
        let directory = tempfile::tempdir().unwrap();
        let open = |url| Files::open(directory.path(), url, 10).unwrap();
        let key = SchemaKey::Id(7);
        open("http://a").keep(&Kept::new(key, &fetched()));
        open("http://a").note_subjects(key, Some(vec!["s".to_owned()]));
        let files = open("http://a");
        let kept = files.schema(key).unwrap();
        assert_eq!((kept.text, kept.references), (fetched().text, fetched().references));
        assert_eq!(kept.subjects, Some(Some(vec!["s".to_owned()])));
        assert_eq!(open("http://b").schema(key), None, "another registry's ids are others");

        let path = files.directory.join("7");
        let whole = fs::read_to_string(&path).unwrap();
        for damaged in [&whole[..whole.len() - 2], &whole.replace("int", "ant"), ""] {
            fs::write(&path, damaged).unwrap();
            assert_eq!(files.schema(key), None, "{damaged}");
        }
        fs::write(files.directory.join("8"), whole).unwrap();
        assert_eq!(files.schema(SchemaKey::Id(8)), None, "a file under another's name");
    }

    #[test]
    fn registrations_are_kept_by_subject_and_text_and_files_are_bounded() {
        let directory = tempfile::tempdir().unwrap();
        let files = Files::open(directory.path(), "http://a", 2).unwrap();
        files.keep_registered("s", "t", 5);
        assert_eq!(files.registered("s", "t"), Some(5));
        assert_eq!(files.registered("s", "other"), None);
        files.keep(&Kept::new(SchemaKey::Id(1), &fetched()));
        files.keep(&Kept::new(SchemaKey::Id(2), &fetched()));
        assert!(files.schema(SchemaKey::Id(1)).is_some());
        assert_eq!(files.schema(SchemaKey::Id(2)), None);
    }
}
