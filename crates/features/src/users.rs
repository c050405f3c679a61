//! The users stage: valid events to user states and signals.

use upnext_common::event::{Event, Subject};
use upnext_common::item::ItemHash;
use upnext_common::position::{SOURCE_EPOCH, SOURCE_OFFSET, SOURCE_PARTITION};
use upnext_common::topic::Topic;
use upnext_contract::{DecodeError as ValueError, Decoder};
use upnext_kafka::{KafkaError, Outgoing, Record};
use upnext_state::{Applied, DecodeError, Position, Signal, SignalEntry, UserState};
use upnext_store::{Keys, SourcePosition};

use crate::late::{self, Letter, Told};
use crate::outlet::Outlet;
use crate::stage::{ReadError, Source, Stage, Unit};

pub(crate) struct Users {
    pub(crate) decoder: Decoder,
    pub(crate) outlet: Outlet,
    /// The topic of dead letters.
    pub(crate) dead_letters: String,
    /// What others tell of; `None`: they are all ours to tell.
    pub(crate) told: Option<Told>,
}

/// A valid event with its record's timestamp.
pub(crate) struct Happened {
    pub(crate) event: Event,
    pub(crate) record_ms: i64,
}

impl Stage for Users {
    const STAGE: upnext_store::Stage = upnext_store::Stage::Users;
    const TOPIC: Topic = Topic::Valid;
    const VISIBLE_AT: &'static str = "store";
    const ENTRIES_PER_EVENT: usize = 1;
    type Entry = Happened;
    type State = UserState;

    async fn read(&self, record: &Record) -> Result<Vec<Unit<Happened>>, ReadError> {
        let event = event_of(&self.decoder, record).await?;
        let entry = Happened { event, record_ms: record.timestamp_ms };
        Ok(vec![Unit { entry, source: source_of(record) }])
    }

    fn key(keys: &Keys, entry: &Happened) -> String {
        // `read` lets nobody through who is nobody.
        keys.user(entry.event.subject().unwrap_or(Subject::Anonymous("")))
    }

    fn decode(blob: &[u8]) -> Result<UserState, DecodeError> {
        UserState::decode(blob)
    }

    fn encode(state: &UserState) -> Vec<u8> {
        state.encode()
    }

    fn apply(
        state: &mut UserState,
        entry: &Happened,
        at: Position,
        out: &mut Vec<Signal>,
    ) -> Applied {
        state.apply_at(&entry.event, entry.record_ms, at, out)
    }

    fn apply_again(
        state: &mut UserState,
        entry: &Happened,
        at: Position,
        out: &mut Vec<Signal>,
    ) -> Applied {
        let offset = at.next_offset.max(state.next_offset());
        let event_id = format!("{} again at {offset}", entry.event.event_id);
        let event = Event { event_id, ..entry.event.clone() };
        state.apply(&event, entry.record_ms, offset, out)
    }

    fn time_ms(entry: &Happened) -> i64 {
        entry.event.event_time_ms
    }

    fn changed(_entry: &Happened) -> Option<ItemHash> {
        None
    }

    fn too_late(
        &self,
        record: &Record,
        entry: &Happened,
        state: &UserState,
        now_ms: i64,
    ) -> Option<Outgoing> {
        let behind_ms = state.newest_ms() - entry.event.event_time_ms.min(entry.record_ms);
        Some(late::letter(&self.dead_letters, record, behind_ms, now_ms))
    }

    async fn publish(
        &self,
        source: Source,
        signals: Vec<SignalEntry>,
        letters: Vec<Letter>,
    ) -> Result<(), KafkaError> {
        let letters = match &self.told {
            Some(told) => told.left(source.partition, letters).await,
            None => letters,
        };
        let letters = letters.into_iter().map(|letter| letter.outgoing).collect();
        self.outlet.send(source, signals, letters).await
    }
}

/// The event of a valid record; it names somebody.
pub(crate) async fn event_of(decoder: &Decoder, record: &Record) -> Result<Event, ReadError> {
    let value = record.value.as_deref().unwrap_or_default();
    let event = decoder.event(value).await.map_err(|error| match error {
        ValueError::Refused(_) => ReadError::Unreadable(error.to_string()),
        ValueError::Trouble { .. } => ReadError::Trouble(error.to_string()),
    })?;
    if event.subject().is_none() {
        return Err(ReadError::Unreadable("the event names nobody".to_owned()));
    }
    Ok(event)
}

/// Where ingest read the event, from the headers it stamped.
pub(crate) fn source_of(record: &Record) -> Option<(i32, SourcePosition)> {
    let text = |name| std::str::from_utf8(record.header(name)?).ok();
    let partition = text(SOURCE_PARTITION)?.parse().ok()?;
    let offset = text(SOURCE_OFFSET)?.parse().ok()?;
    let epoch = match record.header(SOURCE_EPOCH) {
        Some(_) => text(SOURCE_EPOCH)?.parse().ok()?,
        None => 0,
    };
    Some((partition, SourcePosition { epoch, offset, index: 0 }))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use bytes::Bytes;

    use super::*;

    fn record(headers: &[(&str, &'static str)]) -> Record {
        let value = |text: &'static str| Some(Bytes::from_static(text.as_bytes()));
        Record {
            topic: Arc::from("t"),
            partition: 0,
            offset: 9,
            timestamp_ms: 0,
            key: None,
            value: None,
            headers: headers.iter().map(|(name, text)| ((*name).to_owned(), value(text))).collect(),
        }
    }

    #[test]
    fn the_source_is_read_from_its_headers_or_not_at_all() {
        let both = record(&[(SOURCE_PARTITION, "3"), (SOURCE_OFFSET, "41")]);
        let expected = SourcePosition { epoch: 0, offset: 41, index: 0 };
        assert_eq!(source_of(&both), Some((3, expected)));
        let later = [(SOURCE_PARTITION, "3"), (SOURCE_OFFSET, "41"), (SOURCE_EPOCH, "2")];
        let expected = SourcePosition { epoch: 2, ..expected };
        assert_eq!(source_of(&record(&later)), Some((3, expected)));
        let unread = [(SOURCE_PARTITION, "3"), (SOURCE_OFFSET, "41"), (SOURCE_EPOCH, "x")];
        assert_eq!(source_of(&record(&unread)), None);
        assert_eq!(source_of(&record(&[(SOURCE_PARTITION, "3")])), None);
        assert_eq!(source_of(&record(&[(SOURCE_PARTITION, "x"), (SOURCE_OFFSET, "41")])), None);
    }
}
