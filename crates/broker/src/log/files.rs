//! The files of one partition: their names, and putting one in the place of several so that a crash loses nothing.
//!
//! `N.log` holds batches from offset N; `N.footer` says what a sealed one holds; `N.producers` is what producers had
//! done before offset N. A compacted segment is written as `N.clean`. Renaming it to `N-M.swap` decides that it
//! stands for all segments from N to before M; what is then left to do is done again at the next start.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

pub(super) fn log(directory: &Path, base_offset: i64) -> PathBuf {
    directory.join(format!("{base_offset:020}.log"))
}

pub(super) fn footer(directory: &Path, base_offset: i64) -> PathBuf {
    directory.join(format!("{base_offset:020}.footer"))
}

pub(super) fn producers(directory: &Path, offset: i64) -> PathBuf {
    directory.join(format!("{offset:020}.producers"))
}

pub(super) fn clean(directory: &Path, base_offset: i64) -> PathBuf {
    directory.join(format!("{base_offset:020}.clean"))
}

fn swap(directory: &Path, base_offset: i64, until: i64) -> PathBuf {
    directory.join(format!("{base_offset:020}-{until:020}.swap"))
}

/// What lies in a partition's directory, by first offset, ascending.
#[derive(Debug, Default)]
pub(super) struct Listing {
    pub logs: Vec<i64>,
    pub footers: Vec<i64>,
    pub producers: Vec<i64>,
    /// First offset, and the one it stands for up to.
    swaps: Vec<(i64, i64)>,
    leftovers: Vec<PathBuf>,
}

impl Listing {
    pub(super) fn of(directory: &Path) -> io::Result<Self> {
        let mut listing = Self::default();
        for entry in std::fs::read_dir(directory)? {
            listing.take(&entry?.path());
        }
        listing.logs.sort_unstable();
        listing.footers.sort_unstable();
        listing.producers.sort_unstable();
        Ok(listing)
    }

    fn take(&mut self, path: &Path) {
        let stem = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
        let extension = path.extension().and_then(|it| it.to_str()).unwrap_or_default();
        let number = stem.parse::<i64>().ok();
        match (extension, number) {
            ("log", Some(base_offset)) => self.logs.push(base_offset),
            ("footer", Some(base_offset)) => self.footers.push(base_offset),
            ("producers", Some(offset)) => self.producers.push(offset),
            ("swap", None) => self.swaps.extend(range(stem)),
            ("clean" | "new", _) => self.leftovers.push(path.to_owned()),
            _ => {}
        }
    }
}

fn range(stem: &str) -> Option<(i64, i64)> {
    let (base_offset, until) = stem.split_once('-')?;
    Some((base_offset.parse().ok()?, until.parse().ok()?))
}

/// Finishes what a crash interrupted, throws away what was not decided, and says what lies there then.
pub(super) fn settle(directory: &Path) -> io::Result<Listing> {
    let listing = Listing::of(directory)?;
    for path in &listing.leftovers {
        std::fs::remove_file(path)?;
    }
    for (base_offset, until) in &listing.swaps {
        tracing::info!(directory = %directory.display(), base_offset, "finishing a compaction");
        finish_swap(directory, *base_offset, *until)?;
    }
    let listing = Listing::of(directory)?;
    for base_offset in &listing.footers {
        if !listing.logs.contains(base_offset) {
            remove(&footer(directory, *base_offset))?;
        }
    }
    Ok(listing)
}

/// Puts `N.clean` in the place of all segments from `base_offset` to before `until`. It must be on disk.
pub(super) fn replace(directory: &Path, base_offset: i64, until: i64) -> io::Result<()> {
    std::fs::rename(clean(directory, base_offset), swap(directory, base_offset, until))?;
    sync_directory(directory)?;
    finish_swap(directory, base_offset, until)
}

fn finish_swap(directory: &Path, base_offset: i64, until: i64) -> io::Result<()> {
    let listing = Listing::of(directory)?;
    remove(&footer(directory, base_offset))?;
    for replaced in listing.logs.iter().filter(|it| (base_offset + 1..until).contains(*it)) {
        remove(&footer(directory, *replaced))?;
        remove(&log(directory, *replaced))?;
    }
    sync_directory(directory)?;
    std::fs::rename(swap(directory, base_offset, until), log(directory, base_offset))?;
    sync_directory(directory)
}

/// A swap that failed half-way is for the next start to finish: another one over it would bring the old one back then.
pub(crate) fn check_no_swap(directory: &Path) -> io::Result<()> {
    match Listing::of(directory)?.swaps.first() {
        Some((base_offset, _)) => Err(io::Error::other(format!(
            "a compaction at offset {base_offset} is half done; it is finished at the next start"
        ))),
        None => Ok(()),
    }
}

/// Removes half-done swaps of which nothing is to stay before `until`: the next start would bring them back. Says up to
/// where segments may be removed: one that a swap stands for in part is for that start to finish first.
pub(crate) fn remove_swaps(directory: &Path, until: i64) -> io::Result<i64> {
    let swaps = Listing::of(directory)?.swaps;
    let across = swaps.iter().filter(|(base_offset, end)| *base_offset < until && until < *end);
    let until = across.map(|(base_offset, _)| *base_offset).min().unwrap_or(until);
    for (base_offset, end) in swaps.iter().filter(|(_, end)| *end <= until) {
        remove(&swap(directory, *base_offset, *end))?;
    }
    Ok(until)
}

/// Removes a segment with its footer.
pub(super) fn remove_segment(directory: &Path, base_offset: i64) -> io::Result<()> {
    remove(&footer(directory, base_offset))?;
    remove(&log(directory, base_offset))
}

/// Removes a file; one that is not there is no error.
pub(super) fn remove(path: &Path) -> io::Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Writes a file, all of it or nothing, whatever happens meanwhile.
pub(super) fn write_whole(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let extension = path.extension().and_then(|it| it.to_str()).unwrap_or_default();
    let beside = path.with_extension(format!("{extension}.new"));
    let mut file = File::create(&beside)?;
    file.write_all(bytes)?;
    file.sync_data()?;
    std::fs::rename(&beside, path)
}

/// What was renamed, made or removed in it stays so.
pub(super) fn sync_directory(directory: &Path) -> io::Result<()> {
    File::open(directory)?.sync_all()
}
