//! Item states from the store into the live columns: all of them once, then whatever changes; and the next generation
//! of them, once one was taken into service.
//!
//! Any trouble with the store ends a round; the next one begins with a full scan again, because what changed
//! meanwhile is not known. Answers go on from the columns as they are.

mod loading;
mod reporting;

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::sync::watch;
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
use upnext_store::{Generations, Place, Reader, StoreError};

pub(crate) use loading::Log;
pub(crate) use reporting::Reporter;

use crate::app::Readiness;
use crate::worlds::Worlds;
use loading::{Loaded, Loader, apply, aside, read_all};

/// Most items read from the store at once.
const REFRESHED_MAX: usize = 500;
/// Longest wait for changes before the drain is looked at again.
const CHANGES_WAIT: Duration = Duration::from_millis(500);
/// Pause after trouble with the store.
const RETRY: Duration = Duration::from_millis(200);
/// How often the store is asked which generation serves.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How long the store does not answer before a daemon that has just started goes without it.
const AWAY_AFTER: Duration = Duration::from_secs(2);
/// How long an answer under way may still read the generation before: longer than any deadline.
const ANSWER_MAX: Duration = Duration::from_secs(5);
/// The same while vectors and lists of the next one are made: longer than that may take.
const LEAVING_MAX: Duration = Duration::from_secs(3_600);
/// The name of this part in `/readyz?verbose`.
pub(crate) const PART: &str = "item_states";

/// Keeps the live columns' states fresh.
pub(crate) struct StateFollower {
    pub(crate) worlds: Arc<Worlds>,
    pub(crate) generations: Arc<Generations>,
    pub(crate) reporter: Arc<Reporter>,
    pub(crate) store: Store,
    pub(crate) log: Log,
    pub(crate) readiness: Arc<Readiness>,
    pub(crate) health: Health,
    /// Up to where changes have been applied.
    pub(crate) applied: watch::Sender<Place>,
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

/// What a round remembers between two looks at the generations.
#[derive(Default)]
struct Watch {
    looked_at: Option<Instant>,
    loading: Option<(Generation, JoinHandle<Result<Loaded, StoreError>>)>,
    /// Since when rounds end in trouble.
    trouble: Option<Instant>,
}

impl Drop for Watch {
    fn drop(&mut self) {
        if let Some((_, loading)) = &self.loading {
            loading.abort();
        }
    }
}

impl StateFollower {
    /// Runs until the drain starts.
    pub(crate) async fn run(self, drain: Drain) {
        let mut watch = Watch::default();
        while !drain.has_started() {
            let Err(error) = self.round(&drain, &mut watch).await else { continue };
            let since = *watch.trouble.get_or_insert_with(|| {
                warn!(%error, "item states are not refreshed, will retry");
                Instant::now()
            });
            self.note_trouble(since, &error);
            tokio::select! {
                () = tokio::time::sleep(RETRY) => {}
                () = drain.started() => {}
            }
        }
    }

    /// One scan, then changes until there is a gap, trouble, another generation or a drain.
    async fn round(&self, drain: &Drain, watch: &mut Watch) -> Result<(), StoreError> {
        // Said before it is asked: whoever removes old states sees us, or we see what serves now.
        self.reporter.report().await?;
        let serving = self.generations.serving().await?;
        let mut served = self.worlds.served();
        let has_any = self.readiness.states.load(Ordering::Acquire);
        let mut place = if serving == served.generation || has_any {
            // Another generation is loaded beside the one that answers are made from.
            let place = served.reader.changes_head().await?;
            let count = read_all(&served.reader, &served.world).await?;
            info!(items = count, "item states read");
            self.note_fresh(format!("{count} items read"));
            place
        } else {
            let loaded = self.loader().load(serving).await?;
            let Some(place) = self.change_to(loaded).await else { return Ok(()) };
            place
        };
        watch.trouble = None;
        self.tell(&place);
        while !drain.has_started() {
            if let Some(loaded) = self.look(watch).await? {
                let Some(changed) = self.change_to(loaded).await else { return Ok(()) };
                place = changed;
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

    /// Now and then: asks which generation answers should be made from, and has that one loaded. `Some` once it is.
    async fn look(&self, watch: &mut Watch) -> Result<Option<Loaded>, StoreError> {
        if watch.looked_at.is_some_and(|last| last.elapsed() < LOOK_EVERY) {
            return Ok(None);
        }
        watch.looked_at = Some(Instant::now());
        let serving = self.generations.serving().await?;
        let in_use = self.worlds.served().generation;
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
            self.note_fresh(format!("generation {in_use}; {serving} is loaded"));
            watch.loading = Some((serving, tokio::spawn(self.loader().load(serving))));
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

    fn loader(&self) -> Loader {
        let (worlds, store, log) = (Arc::clone(&self.worlds), self.store.clone(), self.log.clone());
        Loader { worlds, store, log }
    }

    /// From now on answers are made from it. Its vectors and lists are made on a thread of their own. `None` when the
    /// system has none to give.
    async fn change_to(&self, loaded: Loaded) -> Option<Place> {
        let Loaded { served, place, next } = loaded;
        let generation = served.generation;
        let left = self.worlds.served().generation;
        self.reporter.note_left(left, LEAVING_MAX);
        let (worlds, clock) = (Arc::clone(&self.worlds), self.store.clock.clone());
        let change = move || {
            worlds.take_over(served, clock.now_ms());
            drop(next);
        };
        aside("generation", change).await?;
        self.reporter.note_left(left, ANSWER_MAX);
        info!(%generation, "answers are made from another generation of state");
        self.note_fresh(format!("generation {generation}"));
        Some(place)
    }

    fn note_fresh(&self, detail: String) {
        self.readiness.states.store(true, Ordering::Release);
        self.health.set_ready(PART, true, detail);
    }

    /// The store being away makes nobody unready: answers do not need it. But who has just started waits a moment
    /// before it says so.
    fn note_trouble(&self, since: Instant, error: &StoreError) {
        let detail = format!("stale: {error}");
        if since.elapsed() >= AWAY_AFTER {
            self.readiness.states.store(true, Ordering::Release);
        }
        let is_ready = self.readiness.states.load(Ordering::Acquire);
        self.health.set_ready(PART, is_ready, detail);
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

#[cfg(test)]
mod tests;
