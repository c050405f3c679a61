//! The encoding of an item's state: header, id, times, tallies, openings, pairs.

use upnext_common::event::EventType;
use upnext_common::item::ItemHash;

use super::{ItemState, Tally};
use crate::header::{self, ITEM_VERSION};
use crate::pair::{PAIRS_MAX, Pair, Pairs};
use crate::signal::ITEM_ID_BYTES_MAX;
use crate::wire::{DecodeError, Scanner, Writer};

pub(super) fn encode(state: &ItemState) -> Vec<u8> {
    let mut writer = Writer(Vec::with_capacity(256 + 16 * state.pairs.kept.len()));
    header::write(&mut writer, ITEM_VERSION, state.position);
    writer.text(&state.item_id);
    writer.signed(state.at_ms);
    writer.byte(u8::from(state.first_seen_ms.is_some()));
    writer.signed(state.first_seen_ms.unwrap_or(0));
    writer.signed(state.last_seen_ms);
    let seen = |(kind, tally): (usize, &Tally)| u64::from(tally.total > 0) << kind;
    writer.varint(state.counts.iter().enumerate().map(seen).sum());
    for tally in state.counts.iter().filter(|tally| tally.total > 0) {
        write_tally(&mut writer, tally);
    }
    write_tally(&mut writer, &state.interest);
    writer.float(state.interest.d30);
    writer.float(state.openings);
    writer.float(state.pairs.total);
    writer.count(state.pairs.kept.len());
    for pair in &state.pairs.kept {
        writer.word64(pair.other.0);
        writer.float(pair.weight);
    }
    writer.0
}

pub(super) fn decode(bytes: &[u8]) -> Result<ItemState, DecodeError> {
    let mut scanner = Scanner::new(bytes);
    let (_, position) = header::read(&mut scanner, ITEM_VERSION)?;
    let item_id = scanner.text(ITEM_ID_BYTES_MAX)?.to_owned();
    let at_ms = scanner.signed()?;
    let is_seen = scanner.byte()? == 1;
    let first_ms = scanner.signed()?;
    let last_seen_ms = scanner.signed()?;
    let counts = read_counts(&mut scanner)?;
    let mut interest = read_tally(&mut scanner)?;
    interest.d30 = scanner.float("interest")?;
    let openings = scanner.float("openings")?;
    let pairs = read_pairs(&mut scanner)?;
    scanner.end()?;
    let first_seen_ms = is_seen.then_some(first_ms);
    Ok(ItemState {
        position,
        item_id,
        at_ms,
        first_seen_ms,
        last_seen_ms,
        counts,
        interest,
        openings,
        pairs,
    })
}

fn read_counts(scanner: &mut Scanner<'_>) -> Result<[Tally; EventType::ALL.len()], DecodeError> {
    let mask = scanner.varint()?;
    let mut counts = [Tally::default(); EventType::ALL.len()];
    if mask >> counts.len() != 0 {
        return Err(DecodeError::Range("mask of counts"));
    }
    for (kind, tally) in counts.iter_mut().enumerate() {
        if mask >> kind & 1 == 1 {
            *tally = read_tally(scanner)?;
        }
    }
    Ok(counts)
}

fn write_tally(writer: &mut Writer, tally: &Tally) {
    writer.varint(tally.total);
    writer.float(tally.h1);
    writer.float(tally.h24);
    writer.float(tally.d7);
}

fn read_tally(scanner: &mut Scanner<'_>) -> Result<Tally, DecodeError> {
    let total = scanner.varint()?;
    let h1 = scanner.float("tally")?;
    let h24 = scanner.float("tally")?;
    let d7 = scanner.float("tally")?;
    Ok(Tally { h1, h24, d7, d30: 0.0, total })
}

fn read_pairs(scanner: &mut Scanner<'_>) -> Result<Pairs, DecodeError> {
    let total = scanner.float("pair total")?;
    let length = scanner.count(PAIRS_MAX, "number of pairs")?;
    let mut kept = Vec::with_capacity(length);
    for _ in 0..length {
        let other = ItemHash(scanner.word64()?);
        kept.push(Pair { other, weight: scanner.float("pair")? });
    }
    Ok(Pairs::from_parts(kept, total))
}
