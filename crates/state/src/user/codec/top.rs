//! The top items of a user's state, as each version has written them.
//!
//! ```text
//! version 1   item, repeats, [weight as f32, sessions], age of the last interaction, its session
//! version 2   item, repeats and whether the ring has the last interaction, [units, sessions and depth],
//!             unless the ring has it: age of the last interaction, its session
//! ```
//! What stands in brackets is left out of an item that came once, since it follows from the rest.

use upnext_common::item::ItemHash;

use super::{Around, Table};
use crate::ring::{Ring, RingEvent};
use crate::top::{Kept, REPEATS_MAX, SESSIONS_MAX, TOP_MAX, Top, TopWeight};
use crate::user::UserState;
use crate::user::merge::PARTS_MAX;
use crate::weight::{DEPTH_MAX, UNITS_MAX};
use crate::wire::{DecodeError, Scanner, Writer};

/// Low bits of the number of sessions that say how deep the weight is.
const DEPTH_BITS: u32 = 4;

/// The last interaction with an item: when, and the low half of its session's hash.
type Last = (i64, u32);

pub(super) fn write(writer: &mut Writer, top: &Top, items: &Table, state: &UserState) {
    writer.count(top.0.len());
    for kept in &top.0 {
        let last = (kept.last_ms, kept.session);
        let is_in_ring = last_in(&state.ring, kept.item) == Some(last);
        writer.count(items.index_of(kept.item.0));
        writer.varint(u64::from(kept.repeats) << 1 | u64::from(is_in_ring));
        if kept.repeats > 1 {
            writer.varint(kept.weight.units);
            writer.varint(u64::from(kept.sessions) << DEPTH_BITS | u64::from(kept.weight.depth));
        }
        if !is_in_ring {
            writer.signed(state.newest_ms.wrapping_sub(kept.last_ms));
            writer.word32(kept.session);
        }
    }
}

pub(super) fn read(scanner: &mut Scanner<'_>, around: &Around<'_>) -> Result<Top, DecodeError> {
    let length = scanner.count(PARTS_MAX * TOP_MAX, "number of top items")?;
    let mut top = Vec::with_capacity(length);
    for _ in 0..length {
        let (index, item) = around.items.read_entry(scanner)?;
        let mark = scanner.varint()?;
        let repeats = bounded(mark >> 1, REPEATS_MAX)?;
        let sum = if repeats > 1 { Some(read_sum(scanner)?) } else { None };
        let (last_ms, session) = if mark & 1 == 1 {
            let place = usize::from(around.latest.0[index]);
            let event = around.ring.events().get(place);
            last_of(event.ok_or(DecodeError::Range("a last interaction"))?)
        } else {
            read_last(scanner, around.newest_ms)?
        };
        let item = ItemHash(item);
        top.push(match sum {
            Some((units, depth, sessions)) => {
                let weight = TopWeight::from_parts(units, depth, last_ms);
                Kept { item, weight, repeats, sessions, last_ms, session }
            }
            None => Kept::once(item, last_ms, session),
        });
    }
    Ok(Top(top))
}

pub(super) fn read_v1(scanner: &mut Scanner<'_>, around: &Around<'_>) -> Result<Top, DecodeError> {
    let length = scanner.count(TOP_MAX, "number of top items")?;
    let mut top = Vec::with_capacity(length);
    for _ in 0..length {
        let item = ItemHash(around.items.read_entry(scanner)?.1);
        let repeats = bounded(scanner.varint()?, u32::MAX)?.min(REPEATS_MAX);
        let sum = if repeats > 1 { Some(read_sum_v1(scanner)?) } else { None };
        let (last_ms, session) = read_last(scanner, around.newest_ms)?;
        let mut kept = Kept::once(item, last_ms, session);
        if let Some((weight, sessions)) = sum {
            let weight = TopWeight::of(f64::from(weight), last_ms);
            kept = Kept { weight, repeats, sessions, ..kept };
        }
        top.push(kept);
    }
    Ok(Top(top))
}

fn last_in(ring: &Ring, item: ItemHash) -> Option<Last> {
    let mut newest = ring.events().iter().rev();
    newest.find(|event| event.interaction() == Some(item)).map(last_of)
}

fn last_of(event: &RingEvent) -> Last {
    (event.time_ms, event.session as u32)
}

fn read_last(scanner: &mut Scanner<'_>, newest_ms: i64) -> Result<Last, DecodeError> {
    let last_ms = newest_ms.wrapping_sub(scanner.signed()?);
    Ok((last_ms, scanner.word32()?))
}

/// Units, depth and sessions.
fn read_sum(scanner: &mut Scanner<'_>) -> Result<(u64, u8, u32), DecodeError> {
    let units = scanner.varint()?;
    let mark = scanner.varint()?;
    let depth = (mark & ((1 << DEPTH_BITS) - 1)) as u8;
    if units > UNITS_MAX || depth > DEPTH_MAX {
        return Err(DecodeError::Range("a weight"));
    }
    Ok((units, depth, bounded(mark >> DEPTH_BITS, SESSIONS_MAX)?))
}

/// Weight and sessions.
fn read_sum_v1(scanner: &mut Scanner<'_>) -> Result<(f32, u32), DecodeError> {
    let weight = f32::from_bits(scanner.word32()?);
    if weight.is_finite() && weight >= 0.0 {
        Ok((weight, bounded(scanner.varint()?, u32::MAX)?.min(SESSIONS_MAX)))
    } else {
        Err(DecodeError::Range("weight"))
    }
}

fn bounded(value: u64, max: u32) -> Result<u32, DecodeError> {
    let value = u32::try_from(value).ok().filter(|value| *value <= max);
    value.ok_or(DecodeError::Range("a count"))
}
