//! The streams that tell serving which items to read again.

use std::collections::BTreeMap;

use redis::Value;
use upnext_common::item::ItemHash;

/// Ids in one entry of the stream; the stream's cap counts entries.
pub(crate) const IDS_PER_ENTRY: usize = 64;
/// The one field of an entry: eight big-endian bytes per id.
pub(crate) const FIELD: &str = "i";

/// What changed after a place in the stream.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changed {
    /// May name an item more than once.
    pub items: Vec<ItemHash>,
    /// The place to ask from next.
    pub next: Place,
    /// Entries after the place asked from are gone already: read all items again.
    pub has_gap: bool,
}

/// How far the streams of changes, one per key group, have been read. The default is their beginning.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Place(BTreeMap<u32, (u64, u64)>);

impl Place {
    /// Whether nothing of `other` is beyond it.
    #[must_use]
    pub fn reaches(&self, other: &Self) -> bool {
        other.0.iter().all(|(group, place)| self.of(*group) >= *place)
    }

    /// When the newest entry before it was written, by the store's clock; `None` at the beginning.
    #[must_use]
    pub fn newest_ms(&self) -> Option<i64> {
        self.0.values().max().and_then(|(ms, _)| i64::try_from(*ms).ok())
    }

    pub(crate) fn of(&self, group: u32) -> (u64, u64) {
        self.0.get(&group).copied().unwrap_or_default()
    }

    pub(crate) fn set(&mut self, group: u32, place: (u64, u64)) {
        self.0.insert(group, place);
    }
}

pub(crate) fn pack(items: &[ItemHash]) -> Vec<u8> {
    items.iter().flat_map(|item| item.0.to_be_bytes()).collect()
}

fn unpack(bytes: &[u8]) -> impl Iterator<Item = ItemHash> + '_ {
    let words = bytes.chunks_exact(8).filter_map(|word| word.try_into().ok());
    words.map(|word| ItemHash(u64::from_be_bytes(word)))
}

/// Milliseconds and number of a stream id.
fn place(id: &str) -> Option<(u64, u64)> {
    let (ms, number) = id.split_once('-')?;
    Some((ms.parse().ok()?, number.parse().ok()?))
}

/// The entries of a reply to XRANGE: pairs of id and items.
pub(crate) fn entries(reply: &Value) -> Vec<((u64, u64), Vec<ItemHash>)> {
    let Value::Array(entries) = reply else { return Vec::new() };
    entries.iter().filter_map(entry).collect()
}

fn entry(value: &Value) -> Option<((u64, u64), Vec<ItemHash>)> {
    let Value::Array(parts) = value else { return None };
    let [Value::BulkString(id), Value::Array(fields)] = parts.as_slice() else { return None };
    let id = place(std::str::from_utf8(id).ok()?)?;
    let items = match fields.as_slice() {
        [_, Value::BulkString(bytes)] => unpack(bytes).collect(),
        _ => Vec::new(),
    };
    Some((id, items))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packed_ids_come_back() {
        let items = [ItemHash(1), ItemHash(u64::MAX)];
        assert_eq!(unpack(&pack(&items)).collect::<Vec<_>>(), items);
        assert_eq!(unpack(&[1, 2, 3]).count(), 0);
    }

    #[test]
    fn places_are_ordered_as_numbers() {
        assert_eq!(place("12-3"), Some((12, 3)));
        assert!(place("9-1") < place("10-0"));
        assert_eq!(place("$"), None);
    }

    #[test]
    fn a_place_is_reached_in_every_group() {
        let (mut here, mut there) = (Place::default(), Place::default());
        assert!(here.reaches(&there));
        there.set(3, (5, 1));
        assert!(!here.reaches(&there) && there.reaches(&here));
        here.set(3, (5, 1));
        here.set(1, (9, 0));
        assert!(here.reaches(&there) && !there.reaches(&here));
    }

    #[test]
    fn foreign_replies_hold_nothing() {
        assert!(entries(&Value::Nil).is_empty());
        assert!(entries(&Value::Array(vec![Value::Int(1), Value::Array(Vec::new())])).is_empty());
    }
}
