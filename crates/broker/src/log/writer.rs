//! Writing a compacted segment aside, and putting it in its place.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{Segment, files};
use crate::batch::BatchHeader;

/// A compacted segment being written. Dropped unfinished, it leaves a file that the next start removes.
pub(crate) struct CleanWriter {
    directory: PathBuf,
    segment: Segment,
}

impl CleanWriter {
    pub(crate) fn create(directory: &Path, base_offset: i64) -> io::Result<Self> {
        let path = files::clean(directory, base_offset);
        let file = std::fs::File::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(true)
            .open(path)?;
        let mut segment = Segment::new(base_offset, file);
        segment.is_clean = true;
        Ok(Self { directory: directory.to_owned(), segment })
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.segment.bytes
    }

    pub(crate) fn append(&mut self, header: &BatchHeader, batch: &[u8]) -> io::Result<()> {
        self.segment.append(header, batch).map_err(|torn| torn.error)
    }

    /// Brings it to disk and lets it stand for all segments to before `until`: after a crash at any point either they
    /// are there or it is.
    pub(crate) fn finish(self, until: i64) -> io::Result<Arc<Segment>> {
        let Self { directory, segment } = self;
        segment.sync()?;
        files::replace(&directory, segment.base_offset, until)?;
        segment.settle(&directory)?;
        Ok(Arc::new(segment))
    }
}
