//! The stream that tells serving which items to read again.

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
    pub next: String,
    /// Entries after the place asked from are gone already: read all items again.
    pub has_gap: bool,
}

pub(crate) fn pack(items: &[ItemHash]) -> Vec<u8> {
    items.iter().flat_map(|item| item.0.to_be_bytes()).collect()
}

fn unpack(bytes: &[u8]) -> impl Iterator<Item = ItemHash> + '_ {
    let words = bytes.chunks_exact(8).filter_map(|word| word.try_into().ok());
    words.map(|word| ItemHash(u64::from_be_bytes(word)))
}

/// Milliseconds and number of a stream id.
pub(crate) fn place(id: &str) -> Option<(u64, u64)> {
    let (ms, number) = id.split_once('-')?;
    Some((ms.parse().ok()?, number.parse().ok()?))
}

/// The entries of a reply to XRANGE: pairs of id and fields.
pub(crate) fn entries(reply: &Value) -> Vec<(String, Vec<ItemHash>)> {
    let Value::Array(entries) = reply else { return Vec::new() };
    entries.iter().filter_map(entry).collect()
}

fn entry(value: &Value) -> Option<(String, Vec<ItemHash>)> {
    let Value::Array(parts) = value else { return None };
    let [Value::BulkString(id), Value::Array(fields)] = parts.as_slice() else { return None };
    let id = String::from_utf8(id.clone()).ok()?;
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
    fn foreign_replies_hold_nothing() {
        assert!(entries(&Value::Nil).is_empty());
        assert!(entries(&Value::Array(vec![Value::Int(1), Value::Array(Vec::new())])).is_empty());
    }
}
