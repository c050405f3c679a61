//! The encoding of a user's state: header, counters, panes, ring, top items, hidden items, event ids.
//!
//! Items and sessions of the ring and of the top items stand once in a table and are spoken of by index.

use upnext_common::event::EventType;
use upnext_common::item::ItemHash;

use super::{HIDDEN_MAX, SEEN_MAX, UserState};
use crate::USER_BYTES_MAX;
use crate::header;
use crate::ring::{RING_MAX, Ring, RingEvent};
use crate::top::{Kept, TOP_MAX, Top};
use crate::window::{Panes, WINDOWS};
use crate::wire::{DecodeError, Scanner, Writer};

/// Marks in a ring event's first byte that an item follows.
const HAS_ITEM: u8 = 0x80;

pub(super) fn encode(state: &UserState) -> Vec<u8> {
    let mut writer = Writer(Vec::with_capacity(512));
    header::write(&mut writer, state.position);
    writer.signed(state.newest_ms);
    write_lifetime(&mut writer, state);
    for panes in &state.panes {
        panes.write(&mut writer);
    }
    let items = Table::of(state.ring.events().iter().filter_map(|event| event.item.map(|i| i.0)))
        .and(state.top.0.iter().map(|kept| kept.item.0));
    items.write(&mut writer);
    write_ring(&mut writer, &state.ring, &items);
    write_top(&mut writer, &state.top, &items, state.newest_ms);
    writer.count(state.hidden.len());
    state.hidden.iter().for_each(|item| writer.word64(item.0));
    writer.count(state.seen.len());
    state.seen.iter().for_each(|id| writer.word32(*id));
    debug_assert!(writer.0.len() <= USER_BYTES_MAX, "{} bytes", writer.0.len());
    writer.0
}

pub(super) fn decode(bytes: &[u8]) -> Result<UserState, DecodeError> {
    let mut scanner = Scanner::new(bytes);
    let mut state = UserState::at_position(header::read(&mut scanner)?);
    state.newest_ms = scanner.signed()?;
    read_lifetime(&mut scanner, &mut state)?;
    for (panes, window) in state.panes.iter_mut().zip(WINDOWS) {
        *panes = Panes::read(&mut scanner, window)?;
    }
    let items = Table::read(&mut scanner, RING_MAX + TOP_MAX)?;
    state.ring = read_ring(&mut scanner, &items)?;
    state.top = read_top(&mut scanner, &items, state.newest_ms)?;
    let hidden = scanner.count(HIDDEN_MAX, "number of hidden items")?;
    let hidden = (0..hidden).map(|_| scanner.word64().map(ItemHash));
    state.hidden = hidden.collect::<Result<_, _>>()?;
    let seen = scanner.count(SEEN_MAX, "number of event ids")?;
    state.seen = (0..seen).map(|_| scanner.word32()).collect::<Result<_, _>>()?;
    scanner.end()?;
    Ok(state)
}

fn write_lifetime(writer: &mut Writer, state: &UserState) {
    let seen = |(kind, count): (usize, &u64)| u64::from(*count > 0) << kind;
    writer.varint(state.lifetime.iter().enumerate().map(seen).sum());
    state.lifetime.iter().filter(|count| **count > 0).for_each(|count| writer.varint(*count));
    writer.varint(state.sessions);
}

fn read_lifetime(scanner: &mut Scanner<'_>, state: &mut UserState) -> Result<(), DecodeError> {
    let mask = scanner.varint()?;
    if mask >> EventType::ALL.len() != 0 {
        return Err(DecodeError::Range("lifetime mask"));
    }
    for (kind, count) in state.lifetime.iter_mut().enumerate() {
        if mask >> kind & 1 == 1 {
            *count = scanner.varint()?;
        }
    }
    state.sessions = scanner.varint()?;
    Ok(())
}

fn write_ring(writer: &mut Writer, ring: &Ring, items: &Table) {
    let sessions = Table::of(ring.events().iter().map(|event| event.session));
    sessions.write(writer);
    writer.count(ring.events().len());
    let mut before_ms = 0;
    for (at, event) in ring.events().iter().enumerate() {
        let mark = if event.item.is_some() { HAS_ITEM } else { 0 };
        writer.byte(event.kind.code() | mark);
        let step = event.time_ms - before_ms;
        if at == 0 {
            writer.signed(step)
        } else {
            writer.varint(step.cast_unsigned())
        }
        before_ms = event.time_ms;
        writer.count(sessions.index_of(event.session));
        if let Some(item) = event.item {
            writer.count(items.index_of(item.0));
        }
    }
}

fn read_ring(scanner: &mut Scanner<'_>, items: &Table) -> Result<Ring, DecodeError> {
    let sessions = Table::read(scanner, RING_MAX)?;
    let length = scanner.count(RING_MAX, "number of recent events")?;
    let mut events = Vec::with_capacity(length);
    let mut time_ms = 0_i64;
    for at in 0..length {
        let mark = scanner.byte()?;
        let kind = EventType::from_code(mark & !HAS_ITEM).ok_or(DecodeError::Range("type"))?;
        let step =
            if at == 0 { Some(scanner.signed()?) } else { scanner.varint()?.try_into().ok() };
        let step = step.ok_or(DecodeError::Range("time step"))?;
        time_ms = time_ms.checked_add(step).ok_or(DecodeError::Range("event time"))?;
        let session = sessions.read_entry(scanner)?;
        let item = (mark & HAS_ITEM != 0).then(|| items.read_entry(scanner).map(ItemHash));
        events.push(RingEvent { kind, item: item.transpose()?, time_ms, session });
    }
    Ok(Ring::from_ordered(events))
}

fn write_top(writer: &mut Writer, top: &Top, items: &Table, newest_ms: i64) {
    writer.count(top.0.len());
    for kept in &top.0 {
        writer.count(items.index_of(kept.item.0));
        writer.varint(u64::from(kept.repeats));
        if kept.repeats > 1 {
            writer.word32(kept.weight.to_bits());
            writer.varint(u64::from(kept.sessions));
        }
        writer.signed(newest_ms.wrapping_sub(kept.last_ms));
        writer.word32(kept.session);
    }
}

fn read_top(scanner: &mut Scanner<'_>, items: &Table, newest_ms: i64) -> Result<Top, DecodeError> {
    let length = scanner.count(TOP_MAX, "number of top items")?;
    let mut top = Vec::with_capacity(length);
    for _ in 0..length {
        let item = ItemHash(items.read_entry(scanner)?);
        let repeats = read_u32(scanner)?;
        let (weight, sessions) = if repeats > 1 { read_strength(scanner)? } else { (1.0, 1) };
        let last_ms = newest_ms.wrapping_sub(scanner.signed()?);
        let session = scanner.word32()?;
        top.push(Kept { item, weight, repeats, sessions, last_ms, session });
    }
    Ok(Top(top))
}

/// Weight and sessions of an item that came more than once; of one visit both are 1.
fn read_strength(scanner: &mut Scanner<'_>) -> Result<(f32, u32), DecodeError> {
    let weight = f32::from_bits(scanner.word32()?);
    if weight.is_finite() && weight >= 0.0 {
        Ok((weight, read_u32(scanner)?))
    } else {
        Err(DecodeError::Range("weight"))
    }
}

fn read_u32(scanner: &mut Scanner<'_>) -> Result<u32, DecodeError> {
    u32::try_from(scanner.varint()?).map_err(|_| DecodeError::Range("a count"))
}

/// Distinct hashes in order of first appearance.
struct Table(Vec<u64>);

impl Table {
    fn of(hashes: impl Iterator<Item = u64>) -> Self {
        Self(Vec::new()).and(hashes)
    }

    fn and(mut self, hashes: impl Iterator<Item = u64>) -> Self {
        for hash in hashes {
            if !self.0.contains(&hash) {
                self.0.push(hash);
            }
        }
        self
    }

    fn index_of(&self, hash: u64) -> usize {
        self.0.iter().position(|known| *known == hash).unwrap_or(self.0.len())
    }

    fn write(&self, writer: &mut Writer) {
        writer.count(self.0.len());
        self.0.iter().for_each(|hash| writer.word64(*hash));
    }

    fn read(scanner: &mut Scanner<'_>, max: usize) -> Result<Self, DecodeError> {
        let length = scanner.count(max, "length of a table")?;
        (0..length).map(|_| scanner.word64()).collect::<Result<_, _>>().map(Self)
    }

    fn read_entry(&self, scanner: &mut Scanner<'_>) -> Result<u64, DecodeError> {
        let index = scanner.count(usize::MAX, "an index")?;
        self.0.get(index).copied().ok_or(DecodeError::Range("an index"))
    }
}
