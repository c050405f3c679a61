//! What stands in the topics afterwards, and what a single pass over it says.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use upnext_common::item::ItemHash;
use upnext_common::position::{SOURCE_OFFSET, SOURCE_PARTITION};
use upnext_contract::{Decoder, unframe};
use upnext_kafka::Record;
use upnext_state::replay::{Replay, SignalReplay};
use upnext_state::signal::SignalBatch;

/// What stands in the topics.
#[derive(Default)]
pub(crate) struct Logs {
    pub(crate) raw: BTreeSet<(i32, i64)>,
    pub(crate) valid: Vec<Record>,
    pub(crate) dead: Vec<Record>,
    pub(crate) signals: Vec<Record>,
}

pub(crate) type SignalKey = (i32, i64, u32);

impl Logs {
    /// Raw positions that came out somewhere.
    pub(crate) fn outcomes(&self) -> BTreeSet<(i32, i64)> {
        let valid = self.valid.iter().map(source);
        let dead = self.dead.iter().map(dead_source);
        valid.chain(dead).collect()
    }

    pub(crate) fn check_nothing_is_lost(&self) {
        assert_eq!(self.outcomes(), self.raw);
        let valid: BTreeSet<_> = self.valid.iter().map(source).collect();
        let dead: BTreeSet<_> = self.dead.iter().map(dead_source).collect();
        assert!(valid.is_disjoint(&dead), "no record has two verdicts");
        assert!(!dead.is_empty(), "garbage was sent");
        let repeats = self.valid.len() + self.dead.len() - self.raw.len();
        eprintln!("{} records, {} repeats after crashes", self.raw.len(), repeats);
    }

    /// Single pass over the valid topic, each source position once: users, and the signals that follow.
    pub(crate) async fn users(&self, decoder: &Decoder) -> (Replay, BTreeMap<SignalKey, ItemHash>) {
        let mut replay = Replay::new();
        let mut said = BTreeMap::new();
        let mut last: HashMap<(i32, i32), i64> = HashMap::new();
        for record in &self.valid {
            let (from, position) = source(record);
            let newest = last.entry((record.partition, from)).or_insert(-1);
            if position <= *newest {
                continue;
            }
            *newest = position;
            let event = decoder.event(record.value.as_deref().unwrap_or_default()).await.unwrap();
            let replayed = replay.apply_at(&event, record.timestamp_ms, record.offset);
            for (signal, index) in replayed.signals.iter().zip(0..) {
                said.insert((record.partition, record.offset, index), signal.item);
            }
        }
        (replay, said)
    }

    /// Single pass over each signals partition: items' bytes, and the positions of what was heard.
    pub(crate) fn items(&self) -> (HashMap<ItemHash, Vec<u8>>, BTreeMap<SignalKey, ItemHash>) {
        let mut partitions: BTreeMap<i32, SignalReplay> = BTreeMap::new();
        let mut heard = BTreeMap::new();
        for record in &self.signals {
            let (_, payload) = unframe(record.value.as_deref().unwrap_or_default()).unwrap();
            let batch = SignalBatch::decode(payload).unwrap();
            for entry in &batch.entries {
                heard
                    .insert((batch.source_partition, entry.offset, entry.index), entry.signal.item);
            }
            partitions.entry(record.partition).or_default().apply(&batch, record.offset);
        }
        let items = partitions.into_values().flat_map(|replay| replay.items);
        (items.map(|(item, state)| (item, state.encode())).collect(), heard)
    }
}

pub(crate) fn source(record: &Record) -> (i32, i64) {
    (number(record, SOURCE_PARTITION), number(record, SOURCE_OFFSET))
}

fn dead_source(record: &Record) -> (i32, i64) {
    (number(record, "upnext.dlq.partition"), number(record, "upnext.dlq.offset"))
}

fn number<T: std::str::FromStr>(record: &Record, name: &str) -> T {
    let text = std::str::from_utf8(record.header(name).expect("the header stands")).unwrap();
    text.parse().ok().expect("the header is a number")
}
