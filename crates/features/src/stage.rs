//! What differs between the two stages: what a record holds, whose state it changes, and how.

use std::future::Future;

use upnext_common::item::ItemHash;
use upnext_common::topic::Topic;
use upnext_kafka::{KafkaError, Outgoing, Record};
use upnext_state::{Applied, DecodeError, Position, Signal, SignalEntry};
use upnext_store::{Keys, SourcePosition};

use crate::late::Letter;

/// One stage; everything else is the worker's.
pub(crate) trait Stage: Send + Sync + 'static {
    const STAGE: upnext_store::Stage;
    const TOPIC: Topic;
    /// What freshness calls the place where this stage's work can be seen.
    const VISIBLE_AT: &'static str;
    /// About how many entries come of one event.
    const ENTRIES_PER_EVENT: usize;
    /// What changes one state.
    type Entry: Send + Sync;
    type State: Default + Send + Sync;

    /// The entries of a record, in order.
    fn read(
        &self,
        record: &Record,
    ) -> impl Future<Output = Result<Vec<Unit<Self::Entry>>, ReadError>> + Send;

    /// Where the state of whom the entry is about stands in the store.
    fn key(keys: &Keys, entry: &Self::Entry) -> String;

    fn decode(blob: &[u8]) -> Result<Self::State, DecodeError>;

    /// The blob; begins with the state's position.
    fn encode(state: &Self::State) -> Vec<u8>;

    /// Applies an entry that stands at `at`; what it says about items goes to `out`.
    fn apply(
        state: &mut Self::State,
        entry: &Self::Entry,
        at: Position,
        out: &mut Vec<Signal>,
    ) -> Applied;

    /// [`crate::Weakened::NaiveIncrements`]: counts an entry that the state has seen already.
    fn apply_again(
        state: &mut Self::State,
        entry: &Self::Entry,
        at: Position,
        out: &mut Vec<Signal>,
    ) -> Applied;

    /// When it happened, as the event says.
    fn time_ms(entry: &Self::Entry) -> i64;

    /// The item whose columns serving has to read again.
    fn changed(entry: &Self::Entry) -> Option<ItemHash>;

    /// The dead letter of an entry that came too late for this state. `None` where nothing can be late.
    fn too_late(
        &self,
        record: &Record,
        entry: &Self::Entry,
        state: &Self::State,
        now_ms: i64,
    ) -> Option<Outgoing>;

    /// Makes signals and dead letters durable: resolves once every one is acknowledged.
    fn publish(
        &self,
        source: Source,
        signals: Vec<SignalEntry>,
        letters: Vec<Letter>,
    ) -> impl Future<Output = Result<(), KafkaError>> + Send;
}

/// One entry of a record and where the hop before had it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Unit<E> {
    pub(crate) entry: E,
    /// Source partition and position there; `None` where nobody noted it.
    pub(crate) source: Option<(i32, SourcePosition)>,
}

/// The partition whose records say something, and which incarnation of its topic it is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Source {
    pub(crate) partition: i32,
    pub(crate) epoch: u32,
}

/// Why a record was not read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ReadError {
    /// It never will be: skipped, by everyone who reads this log.
    #[error("{0}")]
    Unreadable(String),
    /// Worth a retry.
    #[error("{0}")]
    Trouble(String),
}
