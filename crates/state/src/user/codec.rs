//! The encoding of a user's state: header, counters, panes, ring, top items, hidden items, event ids.
//!
//! Items of the ring and of the top items, and sessions of the ring, stand once in a table and are spoken of by index.
//! Only the newest version is written; every older one is decoded into today's state.

mod table;
mod top;

use upnext_common::event::EventType;
use upnext_common::item::ItemHash;

use self::table::Table;
use super::merge::PARTS_MAX;
use super::{HIDDEN_MAX, SEEN_MAX, UserState};
use crate::USER_BYTES_MAX;
use crate::header::{self, USER_VERSION};
use crate::ring::{RING_MAX, Ring, RingEvent};
use crate::top::{TOP_MAX, Top, TopItem};
use crate::window::{Panes, WINDOWS};
use crate::wire::{DecodeError, Scanner, Writer};

/// Marks in a ring event's first byte that an item follows.
const HAS_ITEM: u8 = 0x80;
/// Most items that the table may speak of.
const ITEMS_MAX: usize = RING_MAX + PARTS_MAX * TOP_MAX;

/// By what share a weight of version 1 may differ from the exact one.
const ROUNDED: f64 = 1e-3;

/// What the versions differ in: one reader for each, from 1 to the newest.
const TOP_READERS: [ReadTop; USER_VERSION as usize] = [top::read_v1, top::read];
type ReadTop = fn(&mut Scanner<'_>, &Around<'_>) -> Result<Top, DecodeError>;

/// What has been read before the top items and what they may refer to.
struct Around<'a> {
    newest_ms: i64,
    items: &'a Table,
    ring: &'a Ring,
    latest: Latest,
}

/// By item of the table, the place in the ring of the newest interaction with it: none but those that are less than
/// the ring's length.
struct Latest([u8; ITEMS_MAX]);

pub(super) fn encode(state: &UserState) -> Vec<u8> {
    let mut writer = Writer(Vec::with_capacity(512));
    header::write(&mut writer, USER_VERSION, state.position);
    writer.signed(state.newest_ms);
    write_lifetime(&mut writer, state);
    for panes in &state.panes {
        panes.write(&mut writer);
    }
    let items = Table::of(state.ring.events().iter().filter_map(|event| event.item.map(|i| i.0)))
        .and(state.top.0.iter().map(|kept| kept.item.0));
    items.write(&mut writer);
    write_ring(&mut writer, &state.ring, &items);
    top::write(&mut writer, &state.top, &items, state);
    writer.count(state.hidden.len());
    state.hidden.iter().for_each(|item| writer.word64(item.0));
    writer.count(state.seen.len());
    state.seen.iter().for_each(|id| writer.word32(*id));
    let is_merged = state.top.0.len() > TOP_MAX || state.hidden.len() > HIDDEN_MAX;
    debug_assert!(is_merged || writer.0.len() <= USER_BYTES_MAX, "{} bytes", writer.0.len());
    writer.0
}

pub(super) fn decode(bytes: &[u8]) -> Result<UserState, DecodeError> {
    let mut scanner = Scanner::new(bytes);
    let (version, position) = header::read(&mut scanner, USER_VERSION)?;
    let read_top = TOP_READERS[usize::from(version) - 1];
    let mut state = UserState::at_position(position);
    state.newest_ms = scanner.signed()?;
    read_lifetime(&mut scanner, &mut state)?;
    for (panes, window) in state.panes.iter_mut().zip(WINDOWS) {
        *panes = Panes::read(&mut scanner, window)?;
    }
    let items = Table::read(&mut scanner, ITEMS_MAX)?;
    let (ring, latest) = read_ring(&mut scanner, &items)?;
    state.ring = ring;
    let around = Around { newest_ms: state.newest_ms, items: &items, ring: &state.ring, latest };
    state.top = read_top(&mut scanner, &around)?;
    let hidden = scanner.count(PARTS_MAX * HIDDEN_MAX, "number of hidden items")?;
    state.hidden = scanner.words64(hidden)?.map(ItemHash).collect();
    let seen = scanner.count(SEEN_MAX, "number of event ids")?;
    state.seen = scanner.words32(seen)?.collect();
    scanner.end()?;
    Ok(state)
}

pub(super) fn is_written_as(state: &UserState, bytes: &[u8]) -> bool {
    match bytes.first() {
        Some(version) if *version < USER_VERSION => {
            decode(bytes).is_ok_and(|old| is_nearly(&old, state))
        }
        Some(_) | None => encode(state) == bytes,
    }
}

/// Whether two states differ in nothing but what version 1 rounded: weights.
fn is_nearly(old: &UserState, state: &UserState) -> bool {
    let bare = |state: &UserState| UserState { top: Default::default(), ..state.clone() };
    let top = |state: &UserState| {
        let mut top = state.top_items(state.newest_ms);
        top.sort_unstable_by_key(|top| top.item.0);
        top
    };
    let (old_top, top) = (top(old), top(state));
    let is_near = |(old, new): (&TopItem, &TopItem)| {
        let weight = new.weight;
        let is_weight = (old.weight - weight).abs() <= ROUNDED * weight;
        is_weight && TopItem { weight, ..*old } == *new
    };
    bare(old) == bare(state) && old_top.len() == top.len() && old_top.iter().zip(&top).all(is_near)
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

fn read_ring(scanner: &mut Scanner<'_>, items: &Table) -> Result<(Ring, Latest), DecodeError> {
    let sessions = Table::read(scanner, RING_MAX)?;
    let length = scanner.count(RING_MAX, "number of recent events")?;
    let mut events = Vec::with_capacity(length);
    let mut latest = Latest([u8::MAX; ITEMS_MAX]);
    let mut time_ms = 0_i64;
    for at in 0..length {
        let mark = scanner.byte()?;
        let kind = EventType::from_code(mark & !HAS_ITEM).ok_or(DecodeError::Range("type"))?;
        let step =
            if at == 0 { Some(scanner.signed()?) } else { scanner.varint()?.try_into().ok() };
        let step = step.ok_or(DecodeError::Range("time step"))?;
        time_ms = time_ms.checked_add(step).ok_or(DecodeError::Range("event time"))?;
        let (_, session) = sessions.read_entry(scanner)?;
        let mut item = None;
        if mark & HAS_ITEM != 0 {
            let (index, hash) = items.read_entry(scanner)?;
            item = Some(ItemHash(hash));
            if kind.is_interaction() {
                latest.0[index] = at as u8;
            }
        }
        events.push(RingEvent { kind, item, time_ms, session });
    }
    Ok((Ring::from_ordered(events), latest))
}
