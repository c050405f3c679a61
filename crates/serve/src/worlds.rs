//! Which generation of state answers are made from: columns and users' states change over together.
//!
//! A request takes what is served once and keeps it: its user and its items are of one generation. The next one is
//! loaded beside it; whatever the catalogue or a new artifact brings meanwhile goes to both.

use std::sync::Arc;

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use tokio::sync::watch;
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
    /// Told whenever something else is served.
    swaps: watch::Sender<()>,
    /// The next one's, while it is loaded.
    next: Mutex<Option<Arc<World>>>,
    /// Held while an artifact is taken into use, so that none is forgotten on the way from one world to the next.
    adopting: Mutex<()>,
}

/// The world of the next generation, while it is loaded. Given up when dropped before it was taken over.
pub(crate) struct Next {
    worlds: Arc<Worlds>,
    pub(crate) world: Arc<World>,
}

impl Next {
    /// Takes over the catalogue of the world that is served. For a thread that may take its time.
    pub(crate) fn fill(&self) {
        self.world.apply_items(&self.worlds.world().catalogue());
    }
}

impl Drop for Next {
    fn drop(&mut self) {
        let mut next = self.worlds.next.lock();
        if next.as_ref().is_some_and(|next| Arc::ptr_eq(next, &self.world)) {
            *next = None;
        }
    }
}

impl Worlds {
    pub(crate) fn new(served: Served) -> Self {
        Self {
            served: ArcSwap::from_pointee(served),
            swaps: watch::Sender::new(()),
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
        let mut world = self.world();
        loop {
            // In this order: whoever begins the next one takes over what stands in this one after it has begun.
            world.apply_items(records);
            if let Some(next) = self.next() {
                next.apply_items(records);
            }
            // What was taken over in between is neither of the two.
            let present = self.world();
            if Arc::ptr_eq(&world, &present) {
                return;
            }
            world = present;
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

    /// An empty world to load the next generation into; from now on it gets what the catalogue brings.
    pub(crate) fn begin(self: &Arc<Self>, metrics: &Metrics) -> Next {
        let world = Arc::new(World::new(metrics.clone()));
        *self.next.lock() = Some(Arc::clone(&world));
        Next { worlds: Arc::clone(self), world }
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
        self.swaps.send_replace(());
        drop(adopting);
    }

    /// Resolves once everything that stands in the world that is served by then is retrievable. Cancel safe.
    pub(crate) async fn indexed(&self) {
        loop {
            let served = self.served();
            tokio::select! {
                () = served.world.indexed() => {}
                // Nobody makes vectors of a world that was left.
                () = self.is_left(&served) => continue,
            }
            if Arc::ptr_eq(&served.world, &self.world()) {
                return;
            }
        }
    }

    /// Resolves once something else is served. Cancel safe.
    pub(crate) async fn is_left(&self, served: &Arc<Served>) {
        let mut swaps = self.swaps.subscribe();
        // The sender lives as long as we do.
        swaps.wait_for(|()| !Arc::ptr_eq(served, &self.served())).await.ok();
    }

    fn next(&self) -> Option<Arc<World>> {
        self.next.lock().clone()
    }
}

#[cfg(test)]
mod tests;
