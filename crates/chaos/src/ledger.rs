//! What the producer sent, by number, and what has to become of it: known before ingest has seen any of it.

use bytes::Bytes;
use upnext_common::item::stable_hash;
use upnext_contract::Reason;
use upnext_kafka::{Header, Outgoing, Record};

/// The header that numbers what is sent.
pub(crate) const NUMBER: &str = "chaos.number";

/// What has to become of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It is valid, and then says this.
    Valid(Content),
    Dead(Reason),
}

/// Key, value and timestamp of a record, as one number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Content(u64);

impl Content {
    pub(crate) fn of(key: Option<&[u8]>, value: Option<&[u8]>, timestamp_ms: i64) -> Self {
        let length = |field: Option<&[u8]>| field.map_or(u64::MAX, |field| field.len() as u64);
        let mut all = Vec::with_capacity(1_024);
        all.extend_from_slice(&timestamp_ms.to_le_bytes());
        for field in [key, value] {
            all.extend_from_slice(&length(field).to_le_bytes());
            all.extend_from_slice(field.unwrap_or_default());
        }
        Self(stable_hash(&all))
    }

    pub(crate) fn of_record(record: &Record) -> Self {
        Self::of(record.key.as_deref(), record.value.as_deref(), record.timestamp_ms)
    }
}

/// One record as it was sent.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Entry {
    pub(crate) sent: Content,
    pub(crate) fate: Fate,
}

/// Everything that was sent, in order.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ledger {
    entries: Vec<Entry>,
}

impl Ledger {
    /// Writes a record down before it is sent. Gives the header that it bears.
    pub(crate) fn enter(&mut self, record: &Outgoing, fate: Fate) -> Header {
        let number = self.entries.len();
        let timestamp_ms = record.timestamp_ms.unwrap_or_default();
        let sent = Content::of(record.key.as_deref(), record.value.as_deref(), timestamp_ms);
        self.entries.push(Entry { sent, fate });
        (NUMBER.to_owned(), Some(Bytes::from(number.to_string())))
    }

    pub(crate) fn len(&self) -> u64 {
        self.entries.len() as u64
    }

    pub(crate) fn get(&self, number: u64) -> Option<&Entry> {
        self.entries.get(usize::try_from(number).ok()?)
    }

    /// How many have to be dead.
    pub(crate) fn dead(&self) -> u64 {
        self.entries.iter().filter(|entry| matches!(entry.fate, Fate::Dead(_))).count() as u64
    }
}

/// The number a record bears.
pub(crate) fn number_of(record: &Record) -> Option<u64> {
    std::str::from_utf8(record.header(NUMBER)?).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contents_tell_fields_apart() {
        let all = [
            Content::of(Some(b"ab"), Some(b"c"), 1),
            Content::of(Some(b"a"), Some(b"bc"), 1),
            Content::of(Some(b"ab"), Some(b"c"), 2),
            Content::of(Some(b"ab"), None, 1),
            Content::of(Some(b"ab"), Some(b""), 1),
            Content::of(None, Some(b"ab"), 1),
        ];
        for (at, one) in all.iter().enumerate() {
            assert!(all[at + 1..].iter().all(|other| other != one), "{at}");
        }
    }

    #[test]
    fn numbers_follow_each_other_and_lead_back() {
        let mut ledger = Ledger::default();
        let record = Outgoing { value: Some(Bytes::from_static(b"x")), ..Outgoing::default() };
        for number in 0..3 {
            let (name, text) = ledger.enter(&record, Fate::Dead(Reason::BadMagic));
            assert_eq!((name.as_str(), text.unwrap()), (NUMBER, Bytes::from(number.to_string())));
        }
        assert_eq!((ledger.len(), ledger.dead()), (3, 3));
        assert!(ledger.get(2).is_some() && ledger.get(3).is_none());
    }
}
