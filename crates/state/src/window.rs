//! Sliding windows as sparse panes: counted when an event arrives, summed when somebody looks.

use upnext_common::event::EventType;

use crate::half_life::{DAY_MS, HOUR_MS};
use crate::wire::{DecodeError, Scanner, Writer};

/// One sliding window and how finely it slides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    pub name: &'static str,
    pub width_ms: i64,
    pub pane_ms: i64,
}

/// The windows kept for every user.
pub const WINDOWS: [Window; 3] = [
    Window { name: "5m", width_ms: 300_000, pane_ms: 10_000 },
    Window { name: "1h", width_ms: HOUR_MS, pane_ms: 60_000 },
    Window { name: "24h", width_ms: DAY_MS, pane_ms: 900_000 },
];

/// Counts of one window by event type.
pub type Counts = [u32; EventType::ALL.len()];

/// How far before the newest event a reader's clock may stand and still see whole windows.
pub const SKEW_MS: i64 = 20_000;

/// A pane counts no further: it bounds the size of a state that a machine gone wild writes to.
pub const PANE_COUNT_MAX: u16 = 16_383;

/// Types that windows count: all but erasure, which leaves nothing to count in.
const KINDS: usize = EventType::ALL.len() - 1;

#[derive(Clone, Debug, PartialEq, Eq)]
struct Pane {
    /// Event time divided by the pane's width.
    index: i64,
    counts: [u16; KINDS],
}

/// The panes of one window, oldest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Panes(Vec<Pane>);

impl Panes {
    /// Counts one event; `newest_ms` is the newest event time known, this one included.
    pub(crate) fn add(&mut self, window: Window, kind: EventType, time_ms: i64, newest_ms: i64) {
        let gone = window.gone(newest_ms);
        self.forget(gone);
        let index = time_ms.div_euclid(window.pane_ms);
        let Some(place) = (index > gone).then_some(usize::from(kind.code())) else { return };
        let at = self.0.partition_point(|pane| pane.index < index);
        if self.0.get(at).is_none_or(|pane| pane.index != index) {
            self.0.insert(at, Pane { index, counts: [0; KINDS] });
        }
        if let Some(count) = self.0[at].counts.get_mut(place) {
            *count = PANE_COUNT_MAX.min(*count + 1);
        }
    }

    fn forget(&mut self, gone: i64) {
        let stale = self.0.partition_point(|pane| pane.index <= gone);
        self.0.drain(..stale);
    }

    /// Events by type in the window that ends at `now_ms`, to the precision of a pane.
    pub(crate) fn counts(&self, window: Window, now_ms: i64) -> Counts {
        let first = now_ms.saturating_sub(window.width_ms).div_euclid(window.pane_ms);
        let last = now_ms.div_euclid(window.pane_ms);
        let from = self.0.partition_point(|pane| pane.index <= first);
        let mut sums = Counts::default();
        for pane in self.0[from..].iter().take_while(|pane| pane.index <= last) {
            for (sum, count) in sums.iter_mut().zip(&pane.counts) {
                *sum += u32::from(*count);
            }
        }
        sums
    }

    /// Both together, as of the later `newest_ms`. What one part has forgotten by then both have to.
    pub(crate) fn merged(&self, other: &Self, window: Window, newest_ms: i64) -> Self {
        let mut merged = self.clone();
        for pane in &other.0 {
            match merged.0.binary_search_by_key(&pane.index, |known| known.index) {
                Ok(at) => {
                    for (count, more) in merged.0[at].counts.iter_mut().zip(pane.counts) {
                        *count = PANE_COUNT_MAX.min(*count + more);
                    }
                }
                Err(at) => merged.0.insert(at, pane.clone()),
            }
        }
        merged.forget(window.gone(newest_ms));
        merged
    }

    pub(crate) fn write(&self, writer: &mut Writer) {
        writer.count(self.0.len());
        let mut before = 0;
        for (at, pane) in self.0.iter().enumerate() {
            let step = pane.index - before;
            if at == 0 {
                writer.signed(step)
            } else {
                writer.varint(step.cast_unsigned())
            }
            before = pane.index;
            let seen = |(kind, count): (usize, &u16)| u64::from(*count > 0) << kind;
            writer.varint(pane.counts.iter().enumerate().map(seen).sum());
            for count in pane.counts.iter().filter(|count| **count > 0) {
                writer.varint(u64::from(*count));
            }
        }
    }

    pub(crate) fn read(scanner: &mut Scanner<'_>, window: Window) -> Result<Self, DecodeError> {
        let length = scanner.count(window.panes_max(), "number of panes")?;
        let mut panes = Vec::with_capacity(length);
        let mut index = 0_i64;
        for at in 0..length {
            let step = if at == 0 { scanner.signed()? } else { forward(scanner)? };
            index = index.checked_add(step).ok_or(DecodeError::Range("pane index"))?;
            panes.push(Pane { index, counts: read_counts(scanner)? });
        }
        Ok(Self(panes))
    }
}

impl Window {
    /// Index of the newest pane that no reader can ask for any more.
    fn gone(self, newest_ms: i64) -> i64 {
        newest_ms.saturating_sub(self.width_ms + SKEW_MS).div_euclid(self.pane_ms)
    }

    /// Most panes ever kept.
    #[must_use]
    pub fn panes_max(self) -> usize {
        usize::try_from((self.width_ms + SKEW_MS) / self.pane_ms + 2).unwrap_or(usize::MAX)
    }
}

/// A step to a later pane.
fn forward(scanner: &mut Scanner<'_>) -> Result<i64, DecodeError> {
    let step = i64::try_from(scanner.varint()?).map_err(|_| DecodeError::Range("pane step"))?;
    if step > 0 { Ok(step) } else { Err(DecodeError::Range("pane step")) }
}

fn read_counts(scanner: &mut Scanner<'_>) -> Result<[u16; KINDS], DecodeError> {
    let mut mask = scanner.varint()?;
    if mask == 0 || mask >> KINDS != 0 {
        return Err(DecodeError::Range("pane mask"));
    }
    let mut counts = [0; KINDS];
    // Nearly always every count is a single byte.
    if let Some(bytes) = scanner.small_ones(mask.count_ones() as usize) {
        for byte in bytes {
            counts[mask.trailing_zeros() as usize] = u16::from(*byte);
            mask &= mask - 1;
        }
        return Ok(counts);
    }
    while mask != 0 {
        let value = scanner.varint()?;
        if value == 0 || value > u64::from(PANE_COUNT_MAX) {
            return Err(DecodeError::Range("pane count"));
        }
        counts[mask.trailing_zeros() as usize] = value as u16;
        mask &= mask - 1;
    }
    Ok(counts)
}

#[cfg(test)]
mod tests;
