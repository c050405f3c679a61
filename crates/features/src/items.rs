//! The items stage: signals to item states.

use upnext_common::item::ItemHash;
use upnext_common::topic::Topic;
use upnext_contract::unframe;
use upnext_kafka::{KafkaError, Outgoing, Record};
use upnext_state::{Applied, DecodeError, ItemState, Position, Signal, SignalBatch, SignalEntry};
use upnext_store::{Keys, SourcePosition};

use crate::late::Letter;
use crate::stage::{ReadError, Source, Stage, Unit};

pub(crate) struct Items;

impl Stage for Items {
    const STAGE: upnext_store::Stage = upnext_store::Stage::Items;
    const TOPIC: Topic = Topic::Signals;
    const VISIBLE_AT: &'static str = "item_store";
    const ENTRIES_PER_EVENT: usize = 8;
    type Entry = Signal;
    type State = ItemState;

    async fn read(&self, record: &Record) -> Result<Vec<Unit<Signal>>, ReadError> {
        let batch = batch_of(record.value.as_deref().unwrap_or_default())?;
        let (partition, epoch) = (batch.source_partition, batch.source_epoch);
        let unit = |entry: SignalEntry| Unit {
            source: Some((
                partition,
                SourcePosition { epoch, offset: entry.offset, index: entry.index },
            )),
            entry: entry.signal,
        };
        Ok(batch.entries.into_iter().map(unit).collect())
    }

    fn key(keys: &Keys, entry: &Signal) -> String {
        keys.item(entry.item)
    }

    fn decode(blob: &[u8]) -> Result<ItemState, DecodeError> {
        ItemState::decode(blob)
    }

    fn encode(state: &ItemState) -> Vec<u8> {
        state.encode()
    }

    fn apply(
        state: &mut ItemState,
        entry: &Signal,
        at: Position,
        _out: &mut Vec<Signal>,
    ) -> Applied {
        if state.apply(entry, at) { Applied::Counted } else { Applied::Replayed }
    }

    fn apply_again(
        state: &mut ItemState,
        entry: &Signal,
        at: Position,
        out: &mut Vec<Signal>,
    ) -> Applied {
        let at = at.max(state.position());
        Self::apply(state, entry, at, out)
    }

    fn time_ms(entry: &Signal) -> i64 {
        entry.time_ms
    }

    fn changed(entry: &Signal) -> Option<ItemHash> {
        Some(entry.item)
    }

    fn too_late(
        &self,
        _record: &Record,
        _entry: &Signal,
        _state: &ItemState,
        _now_ms: i64,
    ) -> Option<Outgoing> {
        None
    }

    async fn publish(
        &self,
        _source: Source,
        signals: Vec<SignalEntry>,
        letters: Vec<Letter>,
    ) -> Result<(), KafkaError> {
        debug_assert!(signals.is_empty() && letters.is_empty(), "items say nothing further");
        Ok(())
    }
}

/// The signals of one record.
pub(crate) fn batch_of(value: &[u8]) -> Result<SignalBatch, ReadError> {
    let (_, payload) = unframe(value).map_err(|error| ReadError::Unreadable(error.to_string()))?;
    SignalBatch::decode(payload).map_err(|error| ReadError::Unreadable(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn anything_but_a_framed_batch_is_unreadable() {
        let payload = SignalBatch { source_partition: 2, ..SignalBatch::default() }.encode();
        let mut framed = vec![0, 0, 0, 0, 9];
        framed.extend(&payload);
        assert_eq!(batch_of(&framed).unwrap().source_partition, 2);
        framed.push(1);
        for value in [&b""[..], b"\x01abcdef", &framed] {
            assert!(matches!(batch_of(value), Err(ReadError::Unreadable(_))), "{value:?}");
        }
    }
}
