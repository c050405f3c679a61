//! Item states from the store into the live columns: all of them once, then whatever changes.
//!
//! Any trouble with the store ends a round; the next one begins with a full scan again, because what changed
//! meanwhile is not known. Answers go on from the columns as they are.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::sync::watch;
use tracing::{info, warn};
use upnext_common::clock::Clock;
use upnext_common::drain::Drain;
use upnext_common::item::ItemHash;
use upnext_common::metrics::{FreshnessLabels, Metrics};
use upnext_http::Health;
use upnext_state::ItemState;
use upnext_store::{Place, Reader, StoreError};

use crate::app::Readiness;
use crate::world::World;

/// Most items read from the store at once.
const REFRESHED_MAX: usize = 500;
/// Longest wait for changes before the drain is looked at again.
const CHANGES_WAIT: Duration = Duration::from_millis(500);
/// Pause after trouble with the store.
const RETRY: Duration = Duration::from_millis(200);
/// The name of this part in `/readyz?verbose`.
pub(crate) const PART: &str = "item_states";

/// Keeps the live columns' states fresh.
pub(crate) struct StateFollower {
    pub(crate) reader: Arc<Reader>,
    pub(crate) world: Arc<World>,
    pub(crate) readiness: Arc<Readiness>,
    pub(crate) health: Health,
    /// Up to where changes have been applied.
    pub(crate) applied: watch::Sender<Place>,
    pub(crate) metrics: Metrics,
    pub(crate) clock: Clock,
}

impl StateFollower {
    /// Runs until the drain starts.
    pub(crate) async fn run(self, drain: Drain) {
        let mut in_trouble = false;
        while !drain.has_started() {
            match self.round(&drain, &mut in_trouble).await {
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

    /// One scan, then changes until there is a gap, trouble or a drain.
    async fn round(&self, drain: &Drain, in_trouble: &mut bool) -> Result<(), StoreError> {
        let mut place = self.reader.changes_head().await?;
        let count = self.reader.all_items(|batch| self.apply(batch)).await?;
        info!(items = count, "item states read");
        *in_trouble = false;
        self.note(true, format!("{count} items read"));
        self.tell(&place);
        while !drain.has_started() {
            let changed = self.reader.changed_since(&place, CHANGES_WAIT).await?;
            if changed.has_gap {
                return Ok(());
            }
            let items: HashSet<ItemHash> = changed.items.into_iter().collect();
            let items: Vec<ItemHash> = items.into_iter().collect();
            for some in items.chunks(REFRESHED_MAX) {
                let blobs = self.reader.refresh(some).await?;
                let found = some.iter().copied().zip(blobs);
                self.apply(found.filter_map(|(item, blob)| Some((item, blob?))).collect());
            }
            if place != changed.next {
                self.observe(&changed.next);
            }
            place = changed.next;
            self.tell(&place);
        }
        Ok(())
    }

    fn apply<B: AsRef<[u8]>>(&self, batch: Vec<(ItemHash, B)>) {
        let states =
            batch.into_iter().filter_map(|(item, blob)| match ItemState::decode(blob.as_ref()) {
                Ok(state) => Some((item, state)),
                Err(error) => {
                    warn!(%error, "a stored item state is not understood");
                    None
                }
            });
        self.world.apply_states(&states.collect::<Vec<_>>());
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
            let age_ms = (self.clock.now_ms() - stored_ms).max(0);
            let labels = FreshnessLabels { at: "columns", since: "store" };
            self.metrics.state.freshness.get_or_create(&labels).observe(age_ms as f64 / 1_000.0);
        }
    }

    fn tell(&self, place: &Place) {
        self.applied.send_replace(place.clone());
    }
}
