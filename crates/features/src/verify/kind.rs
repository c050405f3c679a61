//! What differs between the two logs: whom a record speaks of, and how that is counted.

use std::future::Future;

use upnext_common::event::Event;
use upnext_common::item::stable_hash;
use upnext_contract::Decoder;
use upnext_kafka::Record;
use upnext_state::{Applied, DecodeError, ItemState, Part, Position, Signal, UserState};
use upnext_store::{Keys, SourcePosition, Stage};

use super::sample::Sample;
use crate::stage::ReadError;
use crate::{items, users};

/// Position in the log of the hop before, and its partition.
pub(crate) type Source = (i32, SourcePosition);

/// One entry of a record.
#[derive(Debug)]
pub(crate) struct Told<E> {
    /// Where its state stands, and what it says; `None` for whom is not of the sample.
    pub(crate) entry: Option<(String, E)>,
    pub(crate) source: Option<Source>,
}

/// One of the two logs, as the state crate reads it: nothing of the worker's.
pub(crate) trait Kind: Send + Sync {
    const STAGE: Stage;
    /// Whether its log consists of signals.
    const HEARS: bool;
    type Entry: Send;
    type State: Default + Clone + Send;

    fn read(
        &self,
        record: &Record,
    ) -> impl Future<Output = Result<Vec<Told<Self::Entry>>, ReadError>> + Send;

    /// Whether whoever stands under `key` is of the sample.
    fn is_sampled(&self, key: &str) -> bool;

    /// Counts an entry that stands at `at`; whether that changed the state.
    fn apply(
        state: &mut Self::State,
        entry: &Self::Entry,
        at: Position,
        said: &mut Vec<Signal>,
    ) -> bool;

    /// What the entry itself says about an item.
    fn signal(entry: &Self::Entry) -> Option<&Signal>;

    fn position(state: &Self::State) -> Position;
    fn encode(state: &Self::State) -> Vec<u8>;
    /// Whether the store may hold these bytes for that state: as they are written today, or by an earlier version.
    fn is_written_as(state: &Self::State, blob: &[u8]) -> bool;
    fn decode(blob: &[u8]) -> Result<Self::State, DecodeError>;
    fn parts(state: &Self::State) -> Vec<Part>;
}

/// Valid events and the states of users.
pub(crate) struct OfUsers {
    pub(crate) decoder: Decoder,
    pub(crate) keys: Keys,
    pub(crate) sample: Sample,
}

impl Kind for OfUsers {
    const STAGE: Stage = Stage::Users;
    const HEARS: bool = false;
    type Entry = (Event, i64);
    type State = UserState;

    async fn read(&self, record: &Record) -> Result<Vec<Told<Self::Entry>>, ReadError> {
        let source = users::source_of(record);
        // A valid record's key is its subject's id: most of a sample need not be decoded.
        if record.key.as_deref().is_some_and(|key| !self.sample.takes(stable_hash(key))) {
            return Ok(vec![Told { entry: None, source }]);
        }
        let event = users::event_of(&self.decoder, record).await?;
        let key = event.subject().map(|subject| self.keys.user(subject));
        let key = key.filter(|key| self.is_sampled(key));
        Ok(vec![Told { entry: key.map(|key| (key, (event, record.timestamp_ms))), source }])
    }

    fn is_sampled(&self, key: &str) -> bool {
        let id = self.keys.subject_of(key).map(|subject| subject.id().as_bytes());
        id.is_some_and(|id| self.sample.takes(stable_hash(id)))
    }

    fn apply(
        state: &mut UserState,
        (event, record_ms): &Self::Entry,
        at: Position,
        said: &mut Vec<Signal>,
    ) -> bool {
        state.apply_at(event, *record_ms, at, said) == Applied::Counted
    }

    fn signal(_entry: &Self::Entry) -> Option<&Signal> {
        None
    }

    fn position(state: &UserState) -> Position {
        state.position()
    }

    fn encode(state: &UserState) -> Vec<u8> {
        state.encode()
    }

    fn is_written_as(state: &UserState, blob: &[u8]) -> bool {
        state.is_written_as(blob)
    }

    fn decode(blob: &[u8]) -> Result<UserState, DecodeError> {
        UserState::decode(blob)
    }

    fn parts(state: &UserState) -> Vec<Part> {
        state.parts()
    }
}

/// Signals and the states of items.
pub(crate) struct OfItems {
    pub(crate) keys: Keys,
    pub(crate) sample: Sample,
}

impl Kind for OfItems {
    const STAGE: Stage = Stage::Items;
    const HEARS: bool = true;
    type Entry = Signal;
    type State = ItemState;

    async fn read(&self, record: &Record) -> Result<Vec<Told<Signal>>, ReadError> {
        let batch = items::batch_of(record.value.as_deref().unwrap_or_default())?;
        let (partition, epoch) = (batch.source_partition, batch.source_epoch);
        let told = batch.entries.into_iter().map(|entry| {
            let key = self.keys.item(entry.signal.item);
            let is_sampled = self.sample.is_everyone() || self.is_sampled(&key);
            Told {
                source: Some((
                    partition,
                    SourcePosition { epoch, offset: entry.offset, index: entry.index },
                )),
                entry: is_sampled.then_some((key, entry.signal)),
            }
        });
        Ok(told.collect())
    }

    fn is_sampled(&self, key: &str) -> bool {
        let item = self.keys.item_of(key);
        item.is_some_and(|item| self.sample.takes(stable_hash(&item.0.to_le_bytes())))
    }

    fn apply(state: &mut ItemState, entry: &Signal, at: Position, _said: &mut Vec<Signal>) -> bool {
        state.apply(entry, at)
    }

    fn signal(entry: &Signal) -> Option<&Signal> {
        Some(entry)
    }

    fn position(state: &ItemState) -> Position {
        state.position()
    }

    fn encode(state: &ItemState) -> Vec<u8> {
        state.encode()
    }

    fn is_written_as(state: &ItemState, blob: &[u8]) -> bool {
        state.encode() == blob
    }

    fn decode(blob: &[u8]) -> Result<ItemState, DecodeError> {
        ItemState::decode(blob)
    }

    fn parts(state: &ItemState) -> Vec<Part> {
        state.parts()
    }
}
