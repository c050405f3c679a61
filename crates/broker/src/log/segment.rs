//! One file of a log, and the small file beside it that says what is in it.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::{Buf, BufMut};

use super::files;
use super::index::Index;
use super::recovery::Batches;
use super::window::Window;
use crate::batch::BatchHeader;

/// "UPIX", then the version of the layout.
const FOOTER_MAGIC: u64 = 0x5550_4958_0000_0001;
const FOOTER_HEAD_BYTES: usize = 8 * 6 + 1;
const CHECK_BYTES: usize = 4;
/// Of a segment without anything that is only kept for a while.
const NO_HORIZON: i64 = i64::MAX;

#[derive(Debug)]
pub(crate) struct Segment {
    pub base_offset: i64,
    /// One past the last offset in it.
    pub next_offset: i64,
    pub bytes: u64,
    /// Whether it was compacted, and so holds no key twice.
    pub is_clean: bool,
    /// When the first of what is only kept for a while may go; tombstones and markers, as compaction left them.
    pub horizon_ms: i64,
    /// The largest timestamp of the first batch.
    pub first_timestamp: Option<i64>,
    pub(super) file: Arc<File>,
    pub(super) index: Index,
    /// Whether it is on disk, with its footer.
    is_settled: AtomicBool,
}

impl Segment {
    pub(super) fn new(base_offset: i64, file: File) -> Self {
        Self {
            base_offset,
            next_offset: base_offset,
            bytes: 0,
            is_clean: false,
            horizon_ms: NO_HORIZON,
            first_timestamp: None,
            file: Arc::new(file),
            index: Index::default(),
            is_settled: AtomicBool::new(false),
        }
    }

    /// Makes an empty segment that begins at `base_offset`.
    pub(super) fn create(directory: &Path, base_offset: i64) -> io::Result<Self> {
        let path = files::log(directory, base_offset);
        let file = File::options().read(true).write(true).create(true).truncate(true).open(path)?;
        Ok(Self::new(base_offset, file))
    }

    /// Reads a segment batch after batch, shows each to `on_batch`, and cuts it after the last that is whole.
    pub(super) fn scan(
        directory: &Path,
        base_offset: i64,
        mut on_batch: impl FnMut(&BatchHeader, &[u8]),
    ) -> io::Result<Self> {
        let path = files::log(directory, base_offset);
        let file =
            File::options().read(true).write(true).create(true).truncate(false).open(&path)?;
        let mut segment = Self::new(base_offset, file);
        let file_bytes = segment.file.metadata()?.len();
        let file = Arc::clone(&segment.file);
        let mut batches = Batches::new(&file, file_bytes);
        while let Some((header, batch)) = batches.next_whole(segment.next_offset)? {
            on_batch(&header, batch);
            segment.note(&header);
        }
        if segment.bytes < file_bytes {
            let torn_bytes = file_bytes - segment.bytes;
            tracing::warn!(path = %path.display(), torn_bytes, "log ends in a torn write, cutting it");
            segment.file.set_len(segment.bytes)?;
        }
        Ok(segment)
    }

    /// Opens a sealed segment by its footer, unread; `None` if there is none, or it is not of this file.
    pub(super) fn trust(directory: &Path, base_offset: i64) -> io::Result<Option<Self>> {
        let file = File::open(files::log(directory, base_offset))?;
        let footer = match std::fs::read(files::footer(directory, base_offset)) {
            Ok(footer) => footer,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let file_bytes = file.metadata()?.len();
        let segment = Self::new(base_offset, file).with_footer(&footer);
        let segment = segment.filter(|segment| segment.bytes == file_bytes);
        if let Some(segment) = &segment {
            segment.is_settled.store(true, Ordering::Release);
        }
        Ok(segment)
    }

    /// Takes notice of a batch that stands at the end of the file.
    pub(super) fn note(&mut self, header: &BatchHeader) {
        self.index.note(header, self.bytes);
        self.first_timestamp.get_or_insert(header.max_timestamp);
        self.bytes += header.bytes as u64;
        self.next_offset = header.last_offset() + 1;
        if let Some(horizon_ms) = header.delete_horizon_ms() {
            self.horizon_ms = self.horizon_ms.min(horizon_ms);
        }
    }

    /// Writes a batch at the end. Either all of it stands afterwards or none.
    pub(super) fn append(&mut self, header: &BatchHeader, batch: &[u8]) -> Result<(), Torn> {
        if let Err(error) = self.file.write_all_at(batch, self.bytes) {
            let is_undone = self.file.set_len(self.bytes).is_ok();
            return Err(Torn { error, is_undone });
        }
        self.note(header);
        Ok(())
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.bytes == 0
    }

    /// The largest timestamp in it; `None` while it is empty.
    pub(crate) fn max_timestamp(&self) -> Option<i64> {
        self.index.max_timestamp()
    }

    /// When it was last written, for records without a time.
    pub(crate) fn modified_ms(&self) -> Option<i64> {
        let modified = self.file.metadata().and_then(|it| it.modified()).ok()?;
        let since = modified.duration_since(std::time::UNIX_EPOCH).ok()?;
        i64::try_from(since.as_millis()).ok()
    }

    pub(super) fn window_from(&self, position: u64) -> Window {
        Window { file: Arc::clone(&self.file), position, end: self.bytes }
    }

    /// All of it.
    pub(crate) fn window(&self) -> Window {
        self.window_from(0)
    }

    pub(crate) fn sync(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    pub(crate) fn is_settled(&self) -> bool {
        self.is_settled.load(Ordering::Acquire)
    }

    /// Brings a sealed segment to disk, then its footer.
    pub(crate) fn settle(&self, directory: &Path) -> io::Result<()> {
        self.sync()?;
        self.write_footer(directory)?;
        self.is_settled.store(true, Ordering::Release);
        Ok(())
    }

    /// Writes the footer, all of it or nothing.
    fn write_footer(&self, directory: &Path) -> io::Result<()> {
        let mut bytes = Vec::with_capacity(FOOTER_HEAD_BYTES + CHECK_BYTES);
        bytes.put_u64(FOOTER_MAGIC);
        bytes.put_i64(self.next_offset);
        bytes.put_u64(self.bytes);
        bytes.put_i64(self.horizon_ms);
        bytes.put_i64(self.first_timestamp.unwrap_or(-1));
        bytes.put_i64(self.base_offset);
        bytes.put_u8(u8::from(self.is_clean));
        self.index.encode(&mut bytes);
        let check = crc32c::crc32c(&bytes);
        bytes.put_u32(check);
        files::write_whole(&files::footer(directory, self.base_offset), &bytes)
    }

    fn with_footer(mut self, footer: &[u8]) -> Option<Self> {
        let checked = footer.len().checked_sub(CHECK_BYTES)?;
        let (mut head, mut check) = footer.split_at_checked(checked)?;
        if check.get_u32() != crc32c::crc32c(head) || head.len() < FOOTER_HEAD_BYTES {
            return None;
        }
        if head.get_u64() != FOOTER_MAGIC {
            return None;
        }
        self.next_offset = head.get_i64();
        self.bytes = head.get_u64();
        self.horizon_ms = head.get_i64();
        let first_timestamp = head.get_i64();
        let base_offset = head.get_i64();
        self.is_clean = head.get_u8() == 1;
        self.index = Index::decode(head)?;
        self.first_timestamp = (self.bytes > 0).then_some(first_timestamp);
        (base_offset == self.base_offset).then_some(self)
    }
}

/// A write that failed.
#[derive(Debug)]
pub(super) struct Torn {
    pub error: io::Error,
    /// Whether nothing of it is left.
    pub is_undone: bool,
}
