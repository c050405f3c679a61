//! Which records are in hand, written where it outlives the process: so that the next one knows what killed it.
//!
//! A file with one slot per partition. Before a batch is judged its first and last offset go into the slot, and when
//! nothing is left to do they go out. No sync: what the process wrote stands after its end, however that came; only
//! after a crash of the machine is it stale, which costs a needless strike.

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use parking_lot::Mutex;
use tracing::warn;

/// Unclean exits over the same records before they are judged elsewhere first.
const STRIKES: u32 = 2;
/// Records from the first suspected one on that are.
const SUSPECTS: i64 = 100;
const SLOT_BYTES: u64 = 40;
const MAGIC: u32 = 0x7570_6e31;

/// The slots of one topic as one group reads it.
pub(crate) struct InHand {
    file: Option<File>,
    /// Whose the slots are, of those that have begun and not ended in this process: a partition may come back before
    /// the task that had it has ended.
    turns: Mutex<Turns>,
}

#[derive(Default)]
struct Turns {
    given: u64,
    open: HashMap<i32, u64>,
}

/// The right to one partition's slot, until the partition begins again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Turn {
    partition: i32,
    number: u64,
}

/// One partition's slot.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Slot {
    /// First and last offset of what is in hand, if anything is.
    held: Option<(i64, i64)>,
    /// What was in hand at the last unclean exit, and how many in a row were over the same.
    suspect: (i64, i64),
    strikes: u32,
}

/// Offsets that are judged in a child process before they are judged here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Suspects {
    from: i64,
    to: i64,
}

impl Suspects {
    pub(crate) const NONE: Self = Self { from: 0, to: 0 };

    pub(crate) fn holds(self, offset: i64) -> bool {
        (self.from..self.to).contains(&offset)
    }
}

impl InHand {
    /// Without a file that can be written nothing is remembered, and nothing else is different.
    pub(crate) fn open(data_dir: &Path, topic: &str, group: &str) -> Self {
        let directory = data_dir.join("ingest");
        let path = directory.join(format!("in-hand-{topic}-{group}").replace('/', "_"));
        let open = || -> io::Result<File> {
            std::fs::create_dir_all(&directory)?;
            OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path)
        };
        match open() {
            Ok(file) => Self::with(Some(file)),
            Err(error) => {
                warn!(%error, path = %path.display(), "unclean exits will not be noticed");
                Self::with(None)
            }
        }
    }

    fn with(file: Option<File>) -> Self {
        Self { file, turns: Mutex::new(Turns::default()) }
    }

    /// A partition begins: counts an unclean exit, and says which records are under suspicion. What another turn of this
    /// process still has in hand is none.
    pub(crate) fn begin(&self, partition: i32) -> (Turn, Suspects) {
        let mut turns = self.turns.lock();
        turns.given += 1;
        let number = turns.given;
        let is_open = turns.open.insert(partition, number).is_some();
        let before = self.read(partition);
        let suspects = match before.held {
            Some(_) if is_open => {
                self.write(partition, Slot { held: None, ..before });
                Suspects::NONE
            }
            Some(held) => self.suspects(partition, held, before),
            None => Suspects::NONE,
        };
        (Turn { partition, number }, suspects)
    }

    fn suspects(&self, partition: i32, held: (i64, i64), before: Slot) -> Suspects {
        let is_same = held.0 <= before.suspect.1 && before.suspect.0 <= held.1;
        let strikes = if is_same { before.strikes.saturating_add(1) } else { 1 };
        self.write(partition, Slot { held: None, suspect: held, strikes });
        if strikes < STRIKES {
            return Suspects::NONE;
        }
        warn!(
            partition,
            from = held.0,
            strikes,
            "died over the same records, they are tried in a child first"
        );
        Suspects { from: held.0, to: (held.0 + SUSPECTS).max(held.1 + 1) }
    }

    /// These records are about to be judged.
    pub(crate) fn take(&self, turn: Turn, first: i64, last: i64) {
        self.hold(turn, Some((first, last)));
    }

    /// Nothing is in hand.
    pub(crate) fn clear(&self, turn: Turn) {
        self.hold(turn, None);
    }

    /// As [`Self::clear`], for good.
    pub(crate) fn end(&self, turn: Turn) {
        self.clear(turn);
        let mut turns = self.turns.lock();
        if turns.open.get(&turn.partition) == Some(&turn.number) {
            turns.open.remove(&turn.partition);
        }
    }

    /// Changes nothing once the turn is another's.
    fn hold(&self, turn: Turn, held: Option<(i64, i64)>) {
        let turns = self.turns.lock();
        if turns.open.get(&turn.partition) != Some(&turn.number) {
            return;
        }
        let before = self.read(turn.partition);
        if held != before.held {
            self.write(turn.partition, Slot { held, ..before });
        }
    }

    fn read(&self, partition: i32) -> Slot {
        let mut bytes = [0; 40];
        let (Some(file), Some(at)) = (&self.file, place(partition)) else { return Slot::default() };
        match file.read_exact_at(&mut bytes, at) {
            Ok(()) => Slot::parse(&bytes).unwrap_or_default(),
            Err(_) => Slot::default(),
        }
    }

    fn write(&self, partition: i32, slot: Slot) {
        let (Some(file), Some(at)) = (&self.file, place(partition)) else { return };
        if let Err(error) = file.write_all_at(&slot.bytes(), at) {
            warn!(partition, %error, "what is in hand is not written down");
        }
    }
}

fn place(partition: i32) -> Option<u64> {
    u64::try_from(partition).ok().map(|partition| partition * SLOT_BYTES)
}

impl Slot {
    fn bytes(self) -> [u8; 40] {
        let (first, last) = self.held.unwrap_or((-1, -1));
        let mut bytes = [0; 40];
        for (at, number) in [first, last, self.suspect.0, self.suspect.1].iter().enumerate() {
            bytes[at * 8..][..8].copy_from_slice(&number.to_le_bytes());
        }
        bytes[32..36].copy_from_slice(&self.strikes.to_le_bytes());
        bytes[36..].copy_from_slice(&MAGIC.to_le_bytes());
        bytes
    }

    fn parse(bytes: &[u8; 40]) -> Option<Self> {
        let long = |at: usize| {
            let part = bytes.get(at * 8..at * 8 + 8)?;
            Some(i64::from_le_bytes(part.try_into().ok()?))
        };
        let int = |at: usize| Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?));
        let (first, last) = (long(0)?, long(1)?);
        let held = (first >= 0 && last >= first).then_some((first, last));
        let slot = Self { held, suspect: (long(2)?, long(3)?), strikes: int(32)? };
        (int(36)? == MAGIC).then_some(slot)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a process that begins with a partition suspects.
    fn begun(file: &InHand, partition: i32) -> Suspects {
        file.begin(partition).1
    }

    /// A process that dies with these records in hand.
    fn die(file: &InHand, partition: i32, first: i64, last: i64) {
        let (turn, _) = file.begin(partition);
        file.take(turn, first, last);
    }

    #[test]
    fn two_unclean_exits_over_the_same_records_make_suspects() {
        let directory = tempfile::tempdir().unwrap();
        let open = || InHand::open(directory.path(), "t", "g");
        assert_eq!(begun(&open(), 3), Suspects::NONE);
        die(&open(), 3, 500, 563);
        // Once may be anything.
        die(&open(), 3, 490, 520);
        let suspects = begun(&open(), 3);
        assert!(suspects.holds(490) && suspects.holds(589) && !suspects.holds(590));
        assert!(!suspects.holds(489));
        // The child finds it, the process goes on, and dies elsewhere.
        die(&open(), 3, 700, 763);
        assert_eq!(begun(&open(), 3), Suspects::NONE);
    }

    #[test]
    fn a_clean_end_and_other_partitions_are_no_strikes() {
        let directory = tempfile::tempdir().unwrap();
        let open = || InHand::open(directory.path(), "t", "g");
        for _ in 0..3 {
            let file = open();
            let (turn, suspects) = file.begin(0);
            assert_eq!(suspects, Suspects::NONE);
            file.take(turn, 5, 9);
            file.end(turn);
        }
        die(&open(), 7, 5, 9);
        for _ in 0..3 {
            assert_eq!(begun(&open(), 0), Suspects::NONE);
        }
        assert!(begun(&open(), 7) == Suspects::NONE, "begun once: one strike");
    }

    #[test]
    fn a_partition_that_comes_back_before_its_task_has_ended_is_no_strike() {
        let directory = tempfile::tempdir().unwrap();
        let file = InHand::open(directory.path(), "t", "g");
        let (mut earlier, _) = file.begin(0);
        for _ in 0..3 {
            file.take(earlier, 5, 9);
            let (later, suspects) = file.begin(0);
            assert_eq!(suspects, Suspects::NONE);
            file.take(later, 5, 9);
            // The one before ends only now, and the records of the one after stay in hand.
            file.end(earlier);
            assert_eq!(file.read(0).held, Some((5, 9)));
            file.take(earlier, 1, 2);
            assert_eq!(file.read(0).held, Some((5, 9)));
            earlier = later;
        }
        let strikes = file.read(0).strikes;
        assert_eq!(strikes, 0);
    }

    #[test]
    fn a_file_that_is_none_changes_nothing() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("ingest"), "not a directory").unwrap();
        let file = InHand::open(directory.path(), "t", "g");
        die(&file, 0, 1, 2);
        assert_eq!(begun(&file, 0), Suspects::NONE);
        assert_eq!(Slot::parse(&[7; 40]), None);
    }
}
