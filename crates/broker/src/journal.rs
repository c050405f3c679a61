//! A file of small facts, one checked line each: what the coordinators must not forget.
//!
//! A line is eight hex digits of CRC-32C, a space, and JSON. Opening reads the facts back and cuts the file after the
//! last line that is whole. A journal that has grown to several times what matters is written anew beside itself and
//! renamed into place.

use std::fs::File;
use std::io::{self, Read};
use std::marker::PhantomData;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::de::DeserializeOwned;

const CHECK_BYTES: usize = 9;
/// Below this, a journal is never worth writing anew.
const REWRITE_MIN_BYTES: u64 = 1 << 20;
/// How many times larger than after its last rewriting a journal may become.
const REWRITE_GROWTH: u64 = 4;

pub(crate) struct Journal<T> {
    path: PathBuf,
    file: File,
    bytes: u64,
    bytes_when_rewritten: u64,
    facts: PhantomData<fn() -> T>,
}

impl<T: Serialize + DeserializeOwned> Journal<T> {
    /// Opens or makes the journal and shows every fact in it, in order, to `on_fact`.
    pub(crate) fn open(path: &Path, mut on_fact: impl FnMut(T)) -> io::Result<Self> {
        let mut file =
            File::options().read(true).write(true).create(true).truncate(false).open(path)?;
        let mut text = Vec::new();
        file.read_to_end(&mut text)?;
        let mut whole_bytes = 0;
        while let Some((fact, line_bytes)) = first_fact(&text[whole_bytes..]) {
            on_fact(fact);
            whole_bytes += line_bytes;
        }
        if whole_bytes < text.len() {
            let torn_bytes = text.len() - whole_bytes;
            tracing::warn!(path = %path.display(), torn_bytes, "journal ends in a torn write, cutting it");
            file.set_len(whole_bytes as u64)?;
        }
        let bytes = whole_bytes as u64;
        let facts = PhantomData;
        Ok(Self { path: path.to_owned(), file, bytes, bytes_when_rewritten: 0, facts })
    }

    /// Appends `facts` in one write: after a crash a leading part of them stands.
    pub(crate) fn append(&mut self, facts: &[T]) -> io::Result<()> {
        let lines = encode(facts.iter())?;
        if let Err(error) = self.file.write_all_at(&lines, self.bytes) {
            self.file.set_len(self.bytes)?;
            return Err(error);
        }
        self.bytes += lines.len() as u64;
        Ok(())
    }

    /// Whether most of the journal is likely to be outdated.
    pub(crate) fn is_overgrown(&self) -> bool {
        self.bytes > REWRITE_MIN_BYTES.max(self.bytes_when_rewritten.saturating_mul(REWRITE_GROWTH))
    }

    /// Replaces everything by `facts`, all or nothing.
    pub(crate) fn rewrite(&mut self, facts: impl Iterator<Item = T>) -> io::Result<()> {
        let facts: Vec<T> = facts.collect();
        let lines = encode(facts.iter())?;
        let beside = self.path.with_extension("new");
        let file =
            File::options().read(true).write(true).create(true).truncate(true).open(&beside)?;
        file.write_all_at(&lines, 0)?;
        file.sync_data()?;
        std::fs::rename(&beside, &self.path)?;
        self.file = file;
        self.bytes = lines.len() as u64;
        self.bytes_when_rewritten = self.bytes;
        Ok(())
    }

    pub(crate) fn sync(&self) -> io::Result<()> {
        self.file.sync_data()
    }
}

fn encode<'a, T: Serialize + 'a>(facts: impl Iterator<Item = &'a T>) -> io::Result<Vec<u8>> {
    let mut lines = Vec::new();
    for fact in facts {
        let json = serde_json::to_vec(fact)?;
        lines.extend_from_slice(format!("{:08x} ", crc32c::crc32c(&json)).as_bytes());
        lines.extend_from_slice(&json);
        lines.push(b'\n');
    }
    Ok(lines)
}

/// The fact on the first line and the bytes of that line, if it is whole.
fn first_fact<T: DeserializeOwned>(text: &[u8]) -> Option<(T, usize)> {
    let line_bytes = text.iter().position(|byte| *byte == b'\n')? + 1;
    let check = std::str::from_utf8(text.get(..CHECK_BYTES - 1)?).ok()?;
    let json = text.get(CHECK_BYTES..line_bytes - 1)?;
    let is_sealed = u32::from_str_radix(check, 16) == Ok(crc32c::crc32c(json));
    let fact = is_sealed.then(|| serde_json::from_slice(json).ok()).flatten()?;
    Some((fact, line_bytes))
}

#[cfg(test)]
mod tests;
