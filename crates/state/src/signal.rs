//! What an event says about items: the record between the users stage and the items stage.
//!
//! A batch is one flush of one partition of valid events, for one partition of signals. Its Avro form
//! (`upnext.signals.v1.SignalBatch`), written here by hand:
//! ```text
//! record SignalBatch { source_partition: int, entries: array<SignalEntry>, source_epoch: int = 0 }
//! record SignalEntry { offset: long, index: int, item: long, time_ms: long, what: union[Count, Pair] }
//! record Count { item_id: string, kind: int, is_repeat: boolean, opens_session: boolean }
//! record Pair { other: long, distance: int, backward: boolean }
//! ```

use std::sync::Arc;

use upnext_common::event::EventType;
use upnext_common::item::ItemHash;

use crate::wire::{DecodeError, Scanner, Writer};

/// Longest item id a signal carries, bytes.
pub const ITEM_ID_BYTES_MAX: usize = 4_096;
/// Most entries a batch may claim.
pub const BATCH_ENTRIES_MAX: usize = 100_000;

/// One thing an event says about one item.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signal {
    /// Whom it is about; decides the partition.
    pub item: ItemHash,
    /// Event time, not after the record's timestamp.
    pub time_ms: i64,
    pub what: What,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// Something happened to the item.
    Count {
        item_id: Arc<str>,
        kind: EventType,
        /// The user's newest interaction of the session was with this item already.
        is_repeat: bool,
        /// It is the first interaction of its session.
        opens_session: bool,
    },
    /// The item and another one met in a session, `distance` steps apart (1..=5).
    Pair { other: ItemHash, distance: u8, direction: Direction },
}

/// Seen from the signal's item: the other came later, or earlier.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    Forward,
    Backward,
}

/// A signal with its source position: offset of the valid record and place among that event's signals.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignalEntry {
    pub offset: i64,
    pub index: u32,
    pub signal: Signal,
}

/// One record of the signals topic; entries ascend by position.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SignalBatch {
    /// Partition of valid events they come from.
    pub source_partition: i32,
    pub entries: Vec<SignalEntry>,
    /// Which incarnation of that topic their offsets count in. Batches of before there was such a field are of 0.
    pub source_epoch: u32,
}

impl SignalBatch {
    /// The Avro binary form, without framing.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut writer = Writer(Vec::with_capacity(16 + 40 * self.entries.len()));
        writer.signed(i64::from(self.source_partition));
        if !self.entries.is_empty() {
            writer.signed(i64::try_from(self.entries.len()).unwrap_or(i64::MAX));
            for entry in &self.entries {
                entry.write(&mut writer);
            }
        }
        writer.signed(0);
        writer.signed(i64::from(self.source_epoch));
        writer.0
    }

    /// Reads the Avro binary form, all of it.
    ///
    /// # Errors
    /// When the bytes are not of the schema, or claim more than [`BATCH_ENTRIES_MAX`] entries.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut scanner = Scanner::new(bytes);
        let source_partition = read_int(&mut scanner)?;
        let mut entries = Vec::new();
        loop {
            let mut block = scanner.signed()?;
            if block == 0 {
                break;
            }
            if block < 0 {
                // A negative count is followed by the block's size in bytes.
                scanner.signed()?;
                block = block.checked_neg().ok_or(DecodeError::Range("entries"))?;
            }
            let more = usize::try_from(block).map_err(|_| DecodeError::Range("entries"))?;
            if more.saturating_add(entries.len()) > BATCH_ENTRIES_MAX {
                return Err(DecodeError::Range("entries"));
            }
            for _ in 0..more {
                entries.push(SignalEntry::read(&mut scanner)?);
            }
        }
        let source_epoch = if scanner.is_at_end() { 0 } else { read_epoch(&mut scanner)? };
        scanner.end()?;
        Ok(Self { source_partition, entries, source_epoch })
    }
}

impl SignalEntry {
    fn write(&self, writer: &mut Writer) {
        writer.signed(self.offset);
        writer.signed(i64::from(self.index));
        writer.signed(self.signal.item.0.cast_signed());
        writer.signed(self.signal.time_ms);
        match &self.signal.what {
            What::Count { item_id, kind, is_repeat, opens_session } => {
                writer.signed(0);
                writer.text(item_id);
                writer.signed(i64::from(kind.code()));
                writer.byte(u8::from(*is_repeat));
                writer.byte(u8::from(*opens_session));
            }
            What::Pair { other, distance, direction } => {
                writer.signed(1);
                writer.signed(other.0.cast_signed());
                writer.signed(i64::from(*distance));
                writer.byte(u8::from(*direction == Direction::Backward));
            }
        }
    }

    fn read(scanner: &mut Scanner<'_>) -> Result<Self, DecodeError> {
        let offset = scanner.signed()?;
        let index =
            u32::try_from(scanner.signed()?).map_err(|_| DecodeError::Range("entry index"))?;
        let item = read_hash(scanner)?;
        let time_ms = scanner.signed()?;
        let what = match scanner.signed()? {
            0 => read_count(scanner)?,
            1 => read_pair(scanner)?,
            _ => return Err(DecodeError::Range("union branch")),
        };
        Ok(Self { offset, index, signal: Signal { item, time_ms, what } })
    }
}

fn read_count(scanner: &mut Scanner<'_>) -> Result<What, DecodeError> {
    let item_id = Arc::from(scanner.text(ITEM_ID_BYTES_MAX)?);
    let code = u8::try_from(scanner.signed()?).ok();
    let kind = code.and_then(EventType::from_code).ok_or(DecodeError::Range("event type"))?;
    let is_repeat = read_bool(scanner)?;
    Ok(What::Count { item_id, kind, is_repeat, opens_session: read_bool(scanner)? })
}

fn read_pair(scanner: &mut Scanner<'_>) -> Result<What, DecodeError> {
    let other = read_hash(scanner)?;
    let distance = u8::try_from(scanner.signed()?).map_err(|_| DecodeError::Range("distance"))?;
    let direction = if read_bool(scanner)? { Direction::Backward } else { Direction::Forward };
    Ok(What::Pair { other, distance, direction })
}

fn read_hash(scanner: &mut Scanner<'_>) -> Result<ItemHash, DecodeError> {
    Ok(ItemHash(scanner.signed()?.cast_unsigned()))
}

fn read_int(scanner: &mut Scanner<'_>) -> Result<i32, DecodeError> {
    i32::try_from(scanner.signed()?).map_err(|_| DecodeError::Range("an int"))
}

fn read_epoch(scanner: &mut Scanner<'_>) -> Result<u32, DecodeError> {
    let epoch = read_int(scanner)?;
    u32::try_from(epoch).map_err(|_| DecodeError::Range("an epoch"))
}

fn read_bool(scanner: &mut Scanner<'_>) -> Result<bool, DecodeError> {
    match scanner.byte()? {
        0 => Ok(false),
        1 => Ok(true),
        _ => Err(DecodeError::Range("a boolean")),
    }
}

#[cfg(test)]
mod tests;
