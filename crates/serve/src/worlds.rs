//! Which generation of state answers are made from: columns and users' states change over together.
//!
//! A request takes what is served once and keeps it: its user and its items are of one generation. The next one is
//! loaded beside it; whatever the catalogue or a new artifact brings meanwhile goes to both.

use std::sync::Arc;

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use upnext_common::generation::Generation;
use upnext_common::item::Item;
use upnext_common::metrics::Metrics;
use upnext_model::artifact::Artifact;
use upnext_store::Reader;

use crate::world::World;

/// One generation as answers see it.
pub(crate) struct Served {
    pub(crate) generation: Generation,
    pub(crate) world: Arc<World>,
    /// Where its users' states are read.
    pub(crate) reader: Arc<Reader>,
}

pub(crate) struct Worlds {
    served: ArcSwap<Served>,
    /// The next one's, while it is loaded.
    next: Mutex<Option<Arc<World>>>,
    /// Held while an artifact is taken into use, so that none is forgotten on the way from one world to the next.
    adopting: Mutex<()>,
}

impl Worlds {
    pub(crate) fn new(served: Served) -> Self {
        Self {
            served: ArcSwap::from_pointee(served),
            next: Mutex::default(),
            adopting: Mutex::default(),
        }
    }

    /// What answers are made from now. A request takes it once.
    pub(crate) fn served(&self) -> Arc<Served> {
        self.served.load_full()
    }

    /// The world of what is served now.
    pub(crate) fn world(&self) -> Arc<World> {
        Arc::clone(&self.served.load().world)
    }

    /// Applies catalogue records to what is served and to what will be.
    pub(crate) fn apply_items(&self, records: &[(i64, Item)]) {
        // In this order: whoever begins the next one takes over what stands in this one after it has begun.
        self.world().apply_items(records);
        if let Some(next) = self.next() {
            next.apply_items(records);
        }
    }

    /// Takes an artifact into use, its vectors made first. For a thread that may take its time.
    pub(crate) fn adopt(&self, artifact: &Arc<Artifact>) {
        let adopting = self.adopting.lock();
        self.world().adopt(Arc::clone(artifact));
        drop(adopting);
    }

    /// Makes beforehand what answers would have to make otherwise.
    pub(crate) fn refresh(&self, now_ms: i64) {
        let world = self.world();
        world.refresh_vectors();
        world.refresh_lists(now_ms);
    }

    /// An empty world with the catalogue of the one that is served, to load the next generation into.
    pub(crate) fn begin(&self, metrics: &Metrics) -> Arc<World> {
        let begun = Arc::new(World::new(metrics.clone()));
        *self.next.lock() = Some(Arc::clone(&begun));
        begun.apply_items(&self.world().catalogue());
        begun
    }

    /// From now on answers are made from this. Makes vectors and lists first: for a thread that may take its time.
    pub(crate) fn take_over(&self, served: Served, now_ms: i64) {
        let adopting = self.adopting.lock();
        let before = self.world();
        let artifact = before.prepared().artifact().cloned();
        if let Some(artifact) = artifact.filter(|_| !Arc::ptr_eq(&before, &served.world)) {
            served.world.adopt(artifact);
        }
        served.world.refresh_vectors();
        served.world.refresh_lists(now_ms);
        self.served.store(Arc::new(served));
        *self.next.lock() = None;
        drop(adopting);
    }

    /// Resolves once everything that stands in the world that is served by then is retrievable. Cancel safe.
    pub(crate) async fn indexed(&self) {
        loop {
            let world = self.world();
            world.indexed().await;
            if Arc::ptr_eq(&world, &self.world()) {
                return;
            }
        }
    }

    fn next(&self) -> Option<Arc<World>> {
        self.next.lock().clone()
    }
}

#[cfg(test)]
mod tests;
