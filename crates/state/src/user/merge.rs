//! Several states as one, for reading: the anonymous part of a user's history and the known one.
//!
//! Merging is commutative and associative, and an empty state is neutral to every reading. Whatever is bounded is
//! therefore bounded in a way that does not depend on the order of merges: counts add up to their limits, panes are
//! forgotten by the newest event of all, the ring keeps the newest 64 under one order of all events, and what could
//! only be cut after the last merge, top items and hidden items, is cut when it is read or not at all.

use upnext_common::item::ItemHash;

use super::UserState;
use crate::header::Position;
use crate::window::WINDOWS;

/// Most parts of a user whose merged state can be decoded again.
pub(super) const PARTS_MAX: usize = 4;

impl UserState {
    /// Both states as one. The result has no position and remembers no event ids: events are applied to its parts,
    /// never to it. No more than four states go into one whose bytes are to be decoded.
    #[must_use]
    pub fn merge(&self, other: &Self) -> Self {
        let newest_ms = self.newest_ms.max(other.newest_ms);
        let mut panes = self.panes.clone();
        for ((panes, other), window) in panes.iter_mut().zip(&other.panes).zip(WINDOWS) {
            *panes = panes.merged(other, window, newest_ms);
        }
        let mut lifetime = self.lifetime;
        for (count, more) in lifetime.iter_mut().zip(other.lifetime) {
            *count = count.saturating_add(more);
        }
        Self {
            position: Position::default(),
            newest_ms,
            lifetime,
            sessions: self.sessions.saturating_add(other.sessions),
            panes,
            ring: self.ring.merged(&other.ring),
            top: self.top.merged(&other.top),
            hidden: united(&self.hidden, &other.hidden),
            seen: Vec::new(),
        }
    }
}

/// The items of both, by hash; a list that is alone stays as it is.
fn united(first: &[ItemHash], second: &[ItemHash]) -> Vec<ItemHash> {
    if first.is_empty() || second.is_empty() {
        return [first, second].concat();
    }
    let mut all = [first, second].concat();
    all.sort_unstable();
    all.dedup();
    all
}
