//! Item states from the store into the live columns: all of them once, then whatever changes; and the next generation
//! of them, once one was taken into service.
//!
//! Any trouble with the store ends a round; the next one begins with a full scan again, because what changed
//! meanwhile is not known. Answers go on from the columns as they are.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tracing::{info, warn};
use upnext_common::clock::Clock;
use upnext_common::config;
use upnext_common::drain::Drain;
use upnext_common::generation::Generation;
use upnext_common::item::ItemHash;
use upnext_common::metrics::{FreshnessLabels, Metrics};
use upnext_http::Health;
use upnext_state::ItemState;
use upnext_store::{Generations, Place, Reader, StoreError};

use crate::app::Readiness;
use crate::world::World;
use crate::worlds::{Served, Worlds};

/// Most items read from the store at once.
const REFRESHED_MAX: usize = 500;
/// Longest wait for changes before the drain is looked at again.
const CHANGES_WAIT: Duration = Duration::from_millis(500);
/// Pause after trouble with the store.
const RETRY: Duration = Duration::from_millis(200);
/// Attempts to reach the store for a generation.
const CONNECT_TRIES_MAX: usize = 50;
/// How often the store is asked which generation serves, and told which one answers are made from here.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How long an answer under way may still read the generation before: longer than any deadline.
const ANSWER_MAX: Duration = Duration::from_secs(5);
/// The name of this part in `/readyz?verbose`.
pub(crate) const PART: &str = "item_states";

/// Keeps the live columns' states fresh.
pub(crate) struct StateFollower {
    pub(crate) worlds: Arc<Worlds>,
    pub(crate) generations: Generations,
    pub(crate) store: Store,
    pub(crate) readiness: Arc<Readiness>,
    pub(crate) health: Health,
    /// Up to where changes have been applied.
    pub(crate) applied: watch::Sender<Place>,
    /// Which reader this is to others.
    pub(crate) name: String,
}

/// How the states of a generation are reached.
#[derive(Clone, Debug)]
pub(crate) struct Store {
    pub(crate) url: String,
    pub(crate) redis: config::Redis,
    pub(crate) clock: Clock,
    pub(crate) metrics: Metrics,
}

impl Store {
    /// A way to the states of one generation; connects in the background.
    pub(crate) fn reader(&self, generation: Generation) -> Result<Arc<Reader>, StoreError> {
        let key_prefix = generation.key_prefix(&self.redis.key_prefix);
        let redis = config::Redis { key_prefix, ..self.redis.clone() };
        Ok(Arc::new(Reader::connect(&self.url, &redis, self.clock.clone())?))
    }
}

/// A generation with all its item states, up to a place in its stream of changes.
struct Loaded {
    served: Served,
    place: Place,
}

/// What a round remembers between two looks at the generations.
#[derive(Default)]
struct Watch {
    looked_at: Option<Instant>,
    loading: Option<(Generation, JoinHandle<Result<Loaded, StoreError>>)>,
    /// Answers that were begun before then may still read the generation before.
    left: Option<(Generation, Instant)>,
}

impl StateFollower {
    /// Runs until the drain starts.
    pub(crate) async fn run(self, drain: Drain) {
        let mut in_trouble = false;
        let mut watch = Watch::default();
        while !drain.has_started() {
            match self.round(&drain, &mut watch, &mut in_trouble).await {
                Ok(()) => {}
                Err(error) => {
                    if !in_trouble {
                        warn!(%error, "item states are not refreshed, will retry");
                        in_trouble = true;
                    }
                    self.note(false, error.to_string());
                    tokio::select! {
                        () = tokio::time::sleep(RETRY) => {}
                        () = drain.started() => {}
                    }
                }
            }
        }
    }

    /// One scan, then changes until there is a gap, trouble, another generation or a drain.
    async fn round(
        &self,
        drain: &Drain,
        watch: &mut Watch,
        in_trouble: &mut bool,
    ) -> Result<(), StoreError> {
        let mut served = self.worlds.served();
        // Said before it is asked: whoever removes old states sees us, or we see what serves now.
        self.generations.report(&self.name, served.generation).await?;
        let serving = self.generations.serving().await?;
        let mut place = if serving == served.generation {
            let place = served.reader.changes_head().await?;
            let count = read_all(&served.reader, &served.world).await?;
            info!(items = count, "item states read");
            self.note(true, format!("{count} items read"));
            place
        } else {
            self.change_to(self.load(serving).await?, watch).await
        };
        *in_trouble = false;
        self.tell(&place);
        while !drain.has_started() {
            if let Some(loaded) = self.look(watch).await? {
                place = self.change_to(loaded, watch).await;
                self.tell(&place);
            }
            served = self.worlds.served();
            let changed = served.reader.changed_since(&place, CHANGES_WAIT).await?;
            if changed.has_gap {
                return Ok(());
            }
            let items: HashSet<ItemHash> = changed.items.into_iter().collect();
            let items: Vec<ItemHash> = items.into_iter().collect();
            for some in items.chunks(REFRESHED_MAX) {
                let blobs = served.reader.refresh(some).await?;
                let found = some.iter().copied().zip(blobs);
                let found = found.filter_map(|(item, blob)| Some((item, blob?)));
                apply(&served.world, found.collect());
            }
            if place != changed.next {
                self.observe(&changed.next);
            }
            place = changed.next;
            self.tell(&place);
        }
        Ok(())
    }

    /// Now and then: tells from which generation answers are made here, asks which one should be, and has that one
    /// loaded. `Some` once it is.
    async fn look(&self, watch: &mut Watch) -> Result<Option<Loaded>, StoreError> {
        if watch.looked_at.is_some_and(|last| last.elapsed() < LOOK_EVERY) {
            return Ok(None);
        }
        watch.looked_at = Some(Instant::now());
        let in_use = self.worlds.served().generation;
        let read = watch.left.filter(|(_, until)| Instant::now() < *until);
        self.generations.report(&self.name, read.map_or(in_use, |(left, _)| left)).await?;
        let serving = self.generations.serving().await?;
        let is_wanted = |loading: &(Generation, _)| loading.0 == serving;
        let is_over = serving == in_use || !watch.loading.as_ref().is_some_and(is_wanted);
        if let Some((_, loading)) = watch.loading.take_if(|_| is_over) {
            loading.abort();
        }
        if serving == in_use {
            return Ok(None);
        }
        let Some((_, loading)) = &mut watch.loading else {
            info!(%serving, "another generation of state serves, it is loaded");
            let load = load(self.beginning(serving)?);
            watch.loading = Some((serving, tokio::spawn(load)));
            return Ok(None);
        };
        if !loading.is_finished() {
            return Ok(None);
        }
        let loaded = loading.await;
        watch.loading = None;
        // One that died is begun anew with the next look.
        loaded.ok().transpose()
    }

    /// A generation as it is before its item states are read.
    fn beginning(&self, generation: Generation) -> Result<Served, StoreError> {
        let before = self.worlds.served();
        // One that was served before comes back only if the store has lost what it knew: the columns are worth more
        // than nothing until it knows again.
        let is_loss = generation < before.generation;
        let world = if is_loss {
            Arc::clone(&before.world)
        } else {
            self.worlds.begin(&self.store.metrics)
        };
        Ok(Served { generation, world, reader: self.store.reader(generation)? })
    }

    async fn load(&self, generation: Generation) -> Result<Loaded, StoreError> {
        load(self.beginning(generation)?).await
    }

    /// From now on answers are made from it. Its vectors and lists are made on a thread of their own.
    async fn change_to(&self, loaded: Loaded, watch: &mut Watch) -> Place {
        let Loaded { served, place } = loaded;
        let generation = served.generation;
        let left = self.worlds.served().generation;
        let (worlds, clock) = (Arc::clone(&self.worlds), self.store.clock.clone());
        let (sender, receiver) = oneshot::channel();
        let change = move || {
            worlds.take_over(served, clock.now_ms());
            sender.send(()).ok();
        };
        let thread = std::thread::Builder::new().name("generation".to_owned()).spawn(change);
        match thread {
            // Without a thread the sender is gone and the wait is over.
            Ok(_) | Err(_) => receiver.await.ok(),
        };
        watch.left = Some((left, Instant::now() + ANSWER_MAX));
        info!(%generation, "answers are made from another generation of state");
        self.note(true, format!("generation {generation}"));
        place
    }

    /// The store being away makes nobody unready: answers do not need it.
    fn note(&self, is_fresh: bool, detail: String) {
        self.readiness.states.store(true, Ordering::Release);
        let detail = if is_fresh { detail } else { format!("stale: {detail}") };
        self.health.set_ready(PART, true, detail);
    }

    /// How long what was noted last took from the store to the columns, by the store's clock and ours.
    fn observe(&self, newest: &Place) {
        if let Some(stored_ms) = newest.newest_ms() {
            let age_ms = (self.store.clock.now_ms() - stored_ms).max(0);
            let labels = FreshnessLabels { at: "columns", since: "store" };
            self.store
                .metrics
                .state
                .freshness
                .get_or_create(&labels)
                .observe(age_ms as f64 / 1_000.0);
        }
    }

    fn tell(&self, place: &Place) {
        self.applied.send_replace(place.clone());
    }
}

/// Waits for the connection, then reads all item states, and what changed meanwhile from there on.
async fn load(served: Served) -> Result<Loaded, StoreError> {
    let mut tries = 0;
    let place = loop {
        match served.reader.changes_head().await {
            Err(error) if error.fault().may_retry() && tries < CONNECT_TRIES_MAX => {
                tries += 1;
                tokio::time::sleep(RETRY).await;
            }
            head => break head?,
        }
    };
    let count = read_all(&served.reader, &served.world).await?;
    info!(generation = %served.generation, items = count, "item states read");
    Ok(Loaded { served, place })
}

async fn read_all(reader: &Reader, world: &World) -> Result<usize, StoreError> {
    reader.all_items(|batch| apply(world, batch)).await
}

fn apply<B: AsRef<[u8]>>(world: &World, batch: Vec<(ItemHash, B)>) {
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
