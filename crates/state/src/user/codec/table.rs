//! Hashes that are spoken of more than once, each written once.

use crate::wire::{DecodeError, Scanner, Writer};

/// Distinct hashes in order of first appearance.
pub(super) struct Table(Vec<u64>);

impl Table {
    pub(super) fn of(hashes: impl Iterator<Item = u64>) -> Self {
        Self(Vec::new()).and(hashes)
    }

    pub(super) fn and(mut self, hashes: impl Iterator<Item = u64>) -> Self {
        for hash in hashes {
            if !self.0.contains(&hash) {
                self.0.push(hash);
            }
        }
        self
    }

    pub(super) fn index_of(&self, hash: u64) -> usize {
        self.0.iter().position(|known| *known == hash).unwrap_or(self.0.len())
    }

    pub(super) fn write(&self, writer: &mut Writer) {
        writer.count(self.0.len());
        self.0.iter().for_each(|hash| writer.word64(*hash));
    }

    pub(super) fn read(scanner: &mut Scanner<'_>, max: usize) -> Result<Self, DecodeError> {
        let length = scanner.count(max, "length of a table")?;
        scanner.words64(length).map(|hashes| Self(hashes.collect()))
    }

    /// An index and the hash under it.
    pub(super) fn read_entry(
        &self,
        scanner: &mut Scanner<'_>,
    ) -> Result<(usize, u64), DecodeError> {
        let index = scanner.count(usize::MAX, "an index")?;
        let hash = self.0.get(index).ok_or(DecodeError::Range("an index"))?;
        Ok((index, *hash))
    }
}
