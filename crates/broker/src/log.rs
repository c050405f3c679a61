//! The log of one partition on disk: segments of whole batches one after the other, the last of which is written to.
//!
//! A batch is written in one piece and counts once it is whole. Opening reads the last segment and cuts it after the
//! last batch that is whole, sealed and in order; what a crash left half-written is gone, nothing that was
//! acknowledged is. The other segments are believed what their footers say and read only where that is missing.
//! Sealed segments never change: they are deleted, or replaced by a compacted one, as wholes.

mod files;
mod index;
mod recovery;
mod segment;
mod window;
mod writer;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::batch::{BatchHeader, CONTROL_BATCH_BYTES};

pub(crate) use files::{check_no_swap, remove_swaps};
pub(crate) use segment::Segment;
pub(crate) use window::{Read, Window};
pub(crate) use writer::CleanWriter;

pub(crate) struct Log {
    directory: PathBuf,
    /// Ascending; their offsets may have gaps, within and between.
    sealed: Vec<Arc<Segment>>,
    active: Segment,
    /// Set when a failed write could not be undone: nothing more is accepted.
    is_broken: bool,
}

/// What the batches of a log amount to; kept beside it, so that opening need not read all of them.
pub(crate) trait Story: Default {
    /// Takes notice of the next batch; of one that is no control batch its records may be missing.
    fn note(&mut self, header: &BatchHeader, batch: &[u8]);
    fn encode(&self) -> Vec<u8>;
    /// `None` if it cannot be read.
    fn decode(bytes: &[u8]) -> Option<Self>;
}

/// A log that was opened.
pub(crate) struct Opened<S> {
    pub log: Log,
    pub story: S,
    /// The story before the active segment, if that is not kept yet.
    pub before_active: Option<Vec<u8>>,
}

impl Log {
    /// Opens or makes the log in `directory`, with what its batches amount to.
    pub(crate) fn open<S: Story>(directory: &Path) -> io::Result<Opened<S>> {
        std::fs::create_dir_all(directory)?;
        let listing = files::settle(directory)?;
        let Some((active_base, sealed_bases)) = listing.logs.split_last() else {
            let active = Segment::create(directory, 0)?;
            let log = Self::of(directory, Vec::new(), active);
            return Ok(Opened { log, story: S::default(), before_active: None });
        };
        let (from, mut story) = newest_story::<S>(directory, &listing, *active_base);
        let mut sealed = Vec::with_capacity(sealed_bases.len());
        for base_offset in sealed_bases {
            let tell = |header: &BatchHeader, batch: &[u8]| {
                if header.base_offset >= from {
                    story.note(header, batch);
                }
            };
            sealed.push(Arc::new(open_sealed(directory, *base_offset, from, tell)?));
        }
        let before_active = (from < *active_base).then(|| story.encode());
        let active = Segment::scan(directory, *active_base, |header, batch| {
            story.note(header, batch);
        })?;
        Ok(Opened { log: Self::of(directory, sealed, active), story, before_active })
    }

    fn of(directory: &Path, sealed: Vec<Arc<Segment>>, active: Segment) -> Self {
        Self { directory: directory.to_owned(), sealed, active, is_broken: false }
    }

    pub(crate) fn directory(&self) -> &Path {
        &self.directory
    }

    pub(crate) fn next_offset(&self) -> i64 {
        self.active.next_offset
    }

    /// Where the first segment begins.
    pub(crate) fn base_offset(&self) -> i64 {
        self.sealed.first().map_or(self.active.base_offset, |first| first.base_offset)
    }

    pub(crate) fn sealed(&self) -> &[Arc<Segment>] {
        &self.sealed
    }

    pub(crate) fn active(&self) -> &Segment {
        &self.active
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.sealed.iter().map(|segment| segment.bytes).sum::<u64>() + self.active.bytes
    }

    /// Appends one batch whose offset is stamped. Either all of it stands afterwards or none.
    pub(crate) fn append(&mut self, header: &BatchHeader, batch: &[u8]) -> io::Result<()> {
        debug_assert_eq!(header.base_offset, self.next_offset(), "offsets have no gaps");
        if self.is_broken {
            return Err(io::Error::other("an earlier write could not be undone"));
        }
        self.active.append(header, batch).map_err(|torn| {
            self.is_broken = !torn.is_undone;
            torn.error
        })
    }

    /// Seals the active segment and begins another. An empty one is left as it is.
    pub(crate) fn roll(&mut self) -> io::Result<()> {
        if self.active.is_empty() {
            return Ok(());
        }
        let next = Segment::create(&self.directory, self.next_offset())?;
        let sealed = std::mem::replace(&mut self.active, next);
        self.sealed.push(Arc::new(sealed));
        Ok(())
    }

    /// Where the batch that holds `from`, or the first after it, is to be found. `None` if there is none.
    pub(crate) fn window(&self, from: i64) -> Option<Window> {
        let after = self.sealed.partition_point(|segment| segment.next_offset <= from);
        // One that compaction has emptied may begin behind a gap.
        let sealed = self.sealed[after..].iter().find(|it| !it.is_empty()).map(Arc::as_ref);
        let segment = sealed.unwrap_or(&self.active);
        (segment.next_offset > from).then(|| segment.window_from(segment.index.position_of(from)))
    }

    /// Where batches at or after offset `from` with records of `timestamp_ms` or later may be found, in order.
    pub(crate) fn windows_since(&self, timestamp_ms: i64, from: i64) -> Vec<Window> {
        let is_late =
            |it: &&Segment| it.max_timestamp().is_some_and(|latest| latest >= timestamp_ms);
        let segments = self.sealed.iter().map(Arc::as_ref).chain([&self.active]);
        segments
            .filter(|segment| segment.next_offset > from)
            .filter(is_late)
            .map(|segment| {
                let index = &segment.index;
                let position = index.position_since(timestamp_ms).max(index.position_of(from));
                segment.window_from(position)
            })
            .collect()
    }

    /// Whether a control batch with its marker stands at `offset`, if that is in a sealed segment of which no footer told
    /// whether it was compacted; of the others, `true`.
    pub(crate) fn may_hold_marker(&self, offset: i64) -> io::Result<bool> {
        let after = self.sealed.partition_point(|segment| segment.base_offset <= offset);
        let segment = after.checked_sub(1).map(|at| &self.sealed[at]);
        let is_active = offset >= self.active.base_offset;
        let Some(segment) = segment.filter(|it| !is_active && !it.is_settled()) else {
            return Ok(true);
        };
        let window = segment.window_from(segment.index.position_of(offset));
        let found = window.read(offset, offset + 1, 1)?.records;
        let header = BatchHeader::read(&found);
        Ok(header.is_some_and(|header| header.is_control() && header.record_count > 0))
    }

    /// The largest timestamp in the log; `None` while it is empty.
    pub(crate) fn max_timestamp(&self) -> Option<i64> {
        let segments = self.sealed.iter().map(Arc::as_ref).chain([&self.active]);
        segments.filter_map(Segment::max_timestamp).max()
    }

    /// Forgets the `count` oldest sealed segments and gives them back: their files are still there.
    pub(crate) fn forget_oldest(&mut self, count: usize) -> Vec<Arc<Segment>> {
        self.sealed.drain(..count.min(self.sealed.len())).collect()
    }

    /// Puts a compacted segment in the place of those from its base offset to before `until`. Not on disk.
    pub(crate) fn put_clean(&mut self, clean: Arc<Segment>, until: i64) {
        let base_offset = clean.base_offset;
        let begin = self.sealed.partition_point(|it| it.base_offset < base_offset);
        let end = self.sealed.partition_point(|it| it.base_offset < until);
        self.sealed.splice(begin..end, [clean]);
    }

    pub(crate) fn sync(&self) -> io::Result<()> {
        self.active.sync()
    }
}

/// Deletes the files of segments that a log has forgotten. Those who read them still can.
pub(crate) fn delete_files(directory: &Path, segments: &[Arc<Segment>]) -> io::Result<()> {
    segments.iter().try_for_each(|it| files::remove_segment(directory, it.base_offset))
}

/// The newest story that was kept of a time before `until`, and from which offset it goes on.
fn newest_story<S: Story>(directory: &Path, listing: &files::Listing, until: i64) -> (i64, S) {
    let kept = listing.producers.iter().rev().filter(|offset| **offset <= until);
    kept.filter_map(|offset| {
        let bytes = std::fs::read(files::producers(directory, *offset)).ok()?;
        Some((*offset, S::decode(&bytes)?))
    })
    .next()
    .unwrap_or((i64::MIN, S::default()))
}

/// Keeps what producers had done before `offset`, and forgets what was kept before.
pub(crate) fn keep_producers(directory: &Path, offset: i64, bytes: &[u8]) -> io::Result<()> {
    files::write_whole(&files::producers(directory, offset), bytes)?;
    let outdated = files::Listing::of(directory)?.producers;
    outdated
        .iter()
        .filter(|it| **it < offset)
        .try_for_each(|it| files::remove(&files::producers(directory, *it)))
}

/// Opens a sealed segment: by its footer where there is one, else by reading it.
fn open_sealed(
    directory: &Path,
    base_offset: i64,
    from: i64,
    mut tell: impl FnMut(&BatchHeader, &[u8]),
) -> io::Result<Segment> {
    let Some(segment) = Segment::trust(directory, base_offset)? else {
        return Segment::scan(directory, base_offset, tell);
    };
    if segment.next_offset > from {
        segment.window().walk(|header, batch| {
            tell(header, &batch[..batch.len().min(CONTROL_BATCH_BYTES)]);
            Ok(())
        })?;
    }
    Ok(segment)
}

#[cfg(test)]
mod tests;
