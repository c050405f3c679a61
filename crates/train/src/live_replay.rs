//! The whole system's state in memory: events in, live items and user states out, by the code that serves.

use std::collections::BTreeSet;

use tracing::warn;
use upnext_common::event::{Event, Subject};
use upnext_common::item::{Item, ItemHash};
use upnext_model::live::LiveItems;
use upnext_state::replay::OwnedSubject;
use upnext_state::{Replay, UserState};

/// A replay whose items are live. Changed items are read again only when somebody looks.
#[derive(Debug, Default)]
pub struct LiveReplay {
    replay: Replay,
    live: LiveItems,
    changed: BTreeSet<ItemHash>,
}

impl LiveReplay {
    /// Knows the catalogue and no event yet.
    #[must_use]
    pub fn new(items: &[Item]) -> Self {
        Self::of(Replay::new(), items)
    }

    /// The same, applied from here on by `replay`.
    #[must_use]
    pub fn of(replay: Replay, items: &[Item]) -> Self {
        let mut live = LiveItems::new();
        for item in items {
            if let Err(collision) = live.put_item(item) {
                warn!(%collision, "item is left out");
            }
        }
        Self { replay, live, changed: BTreeSet::new() }
    }

    pub fn apply(&mut self, event: &Event, record_ms: i64) {
        let replayed = self.replay.apply(event, record_ms);
        self.changed.extend(replayed.signals.iter().map(|signal| signal.item));
    }

    /// Everything applied so far is visible from here on.
    pub fn refresh(&mut self) {
        for hash in std::mem::take(&mut self.changed) {
            let Some(state) = self.replay.items.get(&hash) else {
                continue;
            };
            if let Err(collision) = self.live.put_state(hash, state) {
                warn!(%collision, "item is left out");
            }
        }
    }

    /// As of the last [`refresh`](Self::refresh).
    #[must_use]
    pub fn live(&self) -> &LiveItems {
        &self.live
    }

    #[must_use]
    pub fn user(&self, subject: Subject<'_>) -> Option<&UserState> {
        self.replay.users.get(&OwnedSubject::from(subject))
    }
}
