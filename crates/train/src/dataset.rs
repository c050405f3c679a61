//! Files of events and items: CSV or JSON lines, gzip too, as the events the contract speaks of.
//!
//! Event ids that a file does not carry are made from the row and its number, so that reading the same file
//! twice gives the same ids and the second reading counts nothing twice.

mod csv;
mod items;
mod jsonl;
mod words;

pub use items::{read_item, read_items};
pub use words::Words;

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;

use flate2::read::MultiGzDecoder;
use thiserror::Error;
use upnext_common::event::Event;
use upnext_common::fault::Fault;
use upnext_common::item::stable_hash;
use uuid::{Builder, Uuid};

/// Longest line that is read, bytes.
const LINE_BYTES_MAX: usize = 1 << 20;
const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];

/// One event of a file and the timestamp its record gets (= its event time).
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    pub event: Event,
    pub record_ms: i64,
    /// From 1, the header included.
    pub line: u64,
}

/// Why a file or one of its rows cannot be read.
#[derive(Debug, Error)]
pub enum DatasetError {
    #[error("cannot read {path}: {cause}")]
    Unreadable { path: String, cause: std::io::Error },
    #[error("{path}: the first line must name the columns {expected}, not {found}")]
    Header { path: String, expected: &'static str, found: String },
    #[error("line {line}: {message}")]
    BadRow { line: u64, message: String },
    #[error("line {line}: unknown event type {word:?} (known: {known}; map it with --map)")]
    UnknownWord { line: u64, word: String, known: String },
}

impl DatasetError {
    #[must_use]
    pub fn fault(&self) -> Fault {
        match self {
            Self::Unreadable { .. }
            | Self::Header { .. }
            | Self::BadRow { .. }
            | Self::UnknownWord { .. } => Fault::CALLER,
        }
    }
}

/// The events of a file, one at a time, in the file's order. A bad row is an `Err` and reading goes on.
pub struct Events {
    lines: Lines,
    form: Form,
}

enum Form {
    Csv(csv::Columns, Words),
    JsonLines,
}

impl std::fmt::Debug for Events {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Events").field("line", &self.lines.number).finish_non_exhaustive()
    }
}

/// Opens a file of events. Which form it has is seen from its first byte: `{` starts JSON lines.
///
/// # Errors
/// When the file cannot be read or its header is not one of ours.
pub fn read_events(path: &Path, words: &Words) -> Result<Events, DatasetError> {
    let mut lines = Lines::open(path)?;
    if lines.starts_with(b'{') {
        return Ok(Events { lines, form: Form::JsonLines });
    }
    let header = lines.next_line().transpose()?.map(|(_, text)| text).unwrap_or_default();
    let columns = csv::Columns::read(&header).ok_or_else(|| DatasetError::Header {
        path: path.display().to_string(),
        expected: csv::EXPECTED,
        found: header.chars().take(80).collect(),
    })?;
    Ok(Events { lines, form: Form::Csv(columns, words.clone()) })
}

/// The words of a CSV file that are neither known nor mapped, each once, sorted.
///
/// # Errors
/// When the file cannot be read or has no proper header.
pub fn unknown_words(path: &Path, words: &Words) -> Result<Vec<String>, DatasetError> {
    let mut found = std::collections::BTreeSet::new();
    for row in read_events(path, words)? {
        match row {
            Err(DatasetError::UnknownWord { word, .. }) => {
                found.insert(word);
            }
            Err(unreadable @ DatasetError::Unreadable { .. }) => return Err(unreadable),
            Ok(_) | Err(DatasetError::Header { .. } | DatasetError::BadRow { .. }) => {}
        }
    }
    Ok(found.into_iter().collect())
}

impl Iterator for Events {
    type Item = Result<Row, DatasetError>;

    fn next(&mut self) -> Option<Self::Item> {
        let (line, text) = match self.lines.next_line()? {
            Ok(read) => read,
            Err(error) => return Some(Err(error)),
        };
        let event = match &self.form {
            Form::Csv(columns, words) => columns.event(&text, line, words),
            Form::JsonLines => jsonl::event(&text, line),
        };
        Some(event.map(|event| Row { record_ms: event.event_time_ms, event, line }))
    }
}

/// The id of an event whose row carries none: uuid version 8, from the row's text and number.
pub(crate) fn event_id(text: &str, line: u64) -> String {
    let high = stable_hash(text.as_bytes());
    let low = stable_hash(&[&line.to_le_bytes(), text.as_bytes()].concat());
    let bytes = Uuid::from_u64_pair(high, low).into_bytes();
    Builder::from_custom_bytes(bytes).into_uuid().to_string()
}

/// Lines of a plain or gzip file, numbered from 1; empty lines are passed over.
pub struct Lines {
    reader: Box<dyn BufRead + Send>,
    path: String,
    number: u64,
    has_ended: bool,
}

impl Lines {
    /// # Errors
    /// When the file cannot be read.
    pub fn open(path: &Path) -> Result<Self, DatasetError> {
        let shown = path.display().to_string();
        let unreadable = |cause| DatasetError::Unreadable { path: shown.clone(), cause };
        let mut file = BufReader::new(File::open(path).map_err(unreadable)?);
        let is_gzip = file.fill_buf().map_err(unreadable)?.starts_with(&GZIP_MAGIC);
        let reader: Box<dyn BufRead + Send> = if is_gzip {
            Box::new(BufReader::with_capacity(1 << 16, MultiGzDecoder::new(file)))
        } else {
            Box::new(file)
        };
        Ok(Self { reader, path: shown, number: 0, has_ended: false })
    }

    /// Whether nothing was read yet and this is the first byte.
    pub fn starts_with(&mut self, byte: u8) -> bool {
        self.reader.fill_buf().is_ok_and(|read| read.first() == Some(&byte))
    }

    /// The next line and its number. A line that is too long is an error; so is one that cannot be read, the last.
    pub fn next_line(&mut self) -> Option<Result<(u64, String), DatasetError>> {
        while !self.has_ended {
            match self.read_one() {
                Ok(Some(text)) if text.trim().is_empty() => {}
                Ok(Some(text)) => return Some(Ok((self.number, text))),
                Ok(None) => self.has_ended = true,
                Err(error) => {
                    self.has_ended = true;
                    return Some(Err(error));
                }
            }
        }
        None
    }

    fn read_one(&mut self) -> Result<Option<String>, DatasetError> {
        let mut bytes = Vec::new();
        let limit = u64::try_from(LINE_BYTES_MAX).unwrap_or(u64::MAX);
        let read = self.reader.by_ref().take(limit).read_until(b'\n', &mut bytes);
        read.map_err(|cause| DatasetError::Unreadable { path: self.path.clone(), cause })?;
        if bytes.is_empty() {
            return Ok(None);
        }
        self.number += 1;
        if bytes.len() >= LINE_BYTES_MAX {
            let message = format!("longer than {LINE_BYTES_MAX} bytes");
            return Err(DatasetError::BadRow { line: self.number, message });
        }
        let text = String::from_utf8_lossy(&bytes);
        Ok(Some(text.trim_end_matches(['\n', '\r']).to_owned()))
    }
}

#[cfg(test)]
mod tests;
