//! Tells the store which generation answers are made from here, whatever else is under way: old states go only when
//! nobody has said so for a while.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;
use upnext_common::drain::Drain;
use upnext_common::generation::Generation;
use upnext_store::{Generations, StoreError};

use crate::worlds::Worlds;

/// Pause between two reports: several fit into the time for which one counts.
const REPORT_EVERY: Duration = Duration::from_secs(1);

/// Says what is read here. On a task of its own: loading a generation may take longer than a report counts.
pub(crate) struct Reporter {
    worlds: Arc<Worlds>,
    generations: Arc<Generations>,
    /// Which reader this is to others.
    name: String,
    /// Answers that were begun before then may still read the generation before.
    left: Mutex<Option<(Generation, Instant)>>,
}

impl Reporter {
    pub(crate) fn new(worlds: Arc<Worlds>, generations: Arc<Generations>, name: String) -> Self {
        Self { worlds, generations, name, left: Mutex::default() }
    }

    /// Runs until the drain starts; what was said last counts for longer than that takes.
    pub(crate) async fn run(&self, drain: Drain) {
        while !drain.has_started() {
            // Whoever follows the states tells of the trouble; this is said again in a moment.
            self.report().await.ok();
            tokio::select! {
                () = tokio::time::sleep(REPORT_EVERY) => {}
                () = drain.started() => {}
            }
        }
    }

    /// # Errors
    /// When the store does not answer.
    pub(super) async fn report(&self) -> Result<(), StoreError> {
        let in_use = self.worlds.served().generation;
        let left = self.left.lock().filter(|(_, until)| Instant::now() < *until);
        let read = left.map_or(in_use, |(left, _)| left.min(in_use));
        self.generations.report(&self.name, read).await
    }

    /// Answers are made from another generation from now on, or soon; until then some are still made from this one.
    pub(super) fn note_left(&self, generation: Generation, within: Duration) {
        *self.left.lock() = Some((generation, Instant::now() + within));
    }
}
