//! A generation of item states, loaded beside the one that is served.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;
use tracing::{info, warn};
use upnext_common::generation::Generation;
use upnext_common::item::ItemHash;
use upnext_common::topic::Topic;
use upnext_kafka::{KafkaError, admin};
use upnext_state::ItemState;
use upnext_store::{Place, Reader, Stage, StoreError};

use super::{RETRY, Store};
use crate::world::World;
use crate::worlds::{Next, Served, Worlds};

/// Attempts to reach the store for a generation.
const CONNECT_TRIES_MAX: usize = 50;
/// Pause between two looks at how far a generation has come.
const LOOK_AGAIN: Duration = Duration::from_millis(200);

/// Where the log is that states are made of.
#[derive(Clone, Debug)]
pub(crate) struct Log {
    pub(crate) brokers: String,
    pub(crate) topic_prefix: String,
}

/// A generation with all its item states, up to a place in its stream of changes.
pub(super) struct Loaded {
    pub(super) served: Served,
    pub(super) place: Place,
    /// Held until it is taken over; without one, the columns in use are kept.
    pub(super) next: Option<Next>,
}

/// Loads one.
#[derive(Clone)]
pub(super) struct Loader {
    pub(super) worlds: Arc<Worlds>,
    pub(super) store: Store,
    pub(super) log: Log,
}

impl Loader {
    /// Waits for the connection, then reads all item states, and what changed meanwhile from there on.
    ///
    /// A generation from before the one in use comes back only if the store has lost what it knew. As long as states of
    /// the one in use stand, they are worth more than one that knows less: it is waited for. If they are gone too, the
    /// columns are kept, and brought up to date as its states are.
    pub(super) async fn load(self, generation: Generation) -> Result<Loaded, StoreError> {
        let before = self.worlds.served();
        let reader = self.store.reader(generation)?;
        connected(&reader).await?;
        let is_loss = generation < before.generation;
        let next = if is_loss && !before.reader.holds_state().await? {
            None
        } else {
            if is_loss {
                self.caught_up(generation, &reader).await?;
            }
            Some(self.begun().await?)
        };
        let world = next.as_ref().map_or(&before.world, |next| &next.world);
        let served = Served { generation, world: Arc::clone(world), reader };
        let place = served.reader.changes_head().await?;
        let count = read_all(&served.reader, &served.world).await?;
        info!(%generation, items = count, "item states read");
        Ok(Loaded { served, place, next })
    }

    /// An empty world with the catalogue of the one that is served.
    async fn begun(&self) -> Result<Next, StoreError> {
        let next = self.worlds.begin(&self.store.metrics);
        let fill = move || {
            next.fill();
            next
        };
        let cause = || "the system gives no thread to load with".to_owned();
        let filled = aside("catalogue", fill).await;
        filled.ok_or_else(|| StoreError::Unavailable { cause: cause() })
    }

    /// Waits until everything that stands in the logs now is in its state, however long the broker is away.
    async fn caught_up(&self, generation: Generation, reader: &Reader) -> Result<(), StoreError> {
        let prefix = &self.log.topic_prefix;
        let logs =
            [(Stage::Users, Topic::Valid.name(prefix)), (Stage::Items, generation.signals(prefix))];
        for (stage, topic) in logs {
            let ends = self.ends(&topic).await;
            for (partition, end) in (0..).zip(ends) {
                while reader.watermark(stage, partition).await?.map_or(0, |at| at.next_offset) < end
                {
                    tokio::time::sleep(LOOK_AGAIN).await;
                }
            }
        }
        Ok(())
    }

    async fn ends(&self, topic: &str) -> Vec<i64> {
        loop {
            match admin::end_offsets(&self.log.brokers, topic).await {
                Ok(ends) => return ends,
                // Nothing was ever said there.
                Err(KafkaError::Topic { .. }) => return Vec::new(),
                Err(_) => tokio::time::sleep(RETRY).await,
            }
        }
    }
}

async fn connected(reader: &Reader) -> Result<(), StoreError> {
    let mut tries = 0;
    loop {
        match reader.changes_head().await {
            Err(error) if error.fault().may_retry() && tries < CONNECT_TRIES_MAX => {
                tries += 1;
                tokio::time::sleep(RETRY).await;
            }
            head => return head.map(drop),
        }
    }
}

/// What may take its time, on a thread of its own; `None` when it came to nothing.
pub(super) async fn aside<T: Send + 'static>(
    name: &str,
    work: impl FnOnce() -> T + Send + 'static,
) -> Option<T> {
    let (sender, receiver) = oneshot::channel();
    let work = move || {
        sender.send(work()).ok();
    };
    match std::thread::Builder::new().name(name.to_owned()).spawn(work) {
        // Without a thread the sender is gone and the wait is over.
        Ok(_) | Err(_) => receiver.await.ok(),
    }
}

/// Applies all item states of a store; how many there are.
pub(super) async fn read_all(reader: &Reader, world: &World) -> Result<usize, StoreError> {
    reader.all_items(|batch| apply(world, batch)).await
}

pub(super) fn apply<B: AsRef<[u8]>>(world: &World, batch: Vec<(ItemHash, B)>) {
    let states =
        batch.into_iter().filter_map(|(item, blob)| match ItemState::decode(blob.as_ref()) {
            Ok(state) => Some((item, state)),
            Err(error) => {
                warn!(%error, "a stored item state is not understood");
                None
            }
        });
    world.apply_states(&states.collect::<Vec<_>>());
}
