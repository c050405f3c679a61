//! The last events of a user by event time: what sequences, sessions and pairs are read from.

use upnext_common::event::EventType;
use upnext_common::item::ItemHash;

/// Most events remembered.
pub const RING_MAX: usize = 64;

/// One remembered event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RingEvent {
    pub kind: EventType,
    /// `None` for a search.
    pub item: Option<ItemHash>,
    pub time_ms: i64,
    /// Stable hash of the session id.
    pub session: u64,
}

impl RingEvent {
    /// The item, where the event shows interest in one.
    #[must_use]
    pub fn interaction(&self) -> Option<ItemHash> {
        self.item.filter(|_| self.kind.is_interaction())
    }
}

/// At most [`RING_MAX`] events, oldest first; equal times stand in order of arrival.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Ring(Vec<RingEvent>);

impl Ring {
    pub(crate) fn events(&self) -> &[RingEvent] {
        &self.0
    }

    /// Whether an event of that time would be kept.
    pub(crate) fn takes(&self, time_ms: i64) -> bool {
        self.0.len() < RING_MAX || self.0.first().is_some_and(|oldest| oldest.time_ms <= time_ms)
    }

    /// Puts the event in its place; the oldest makes room.
    pub(crate) fn insert(&mut self, event: RingEvent) {
        if !self.takes(event.time_ms) {
            return;
        }
        if self.0.len() == RING_MAX {
            self.0.remove(0);
        }
        let at = self.0.partition_point(|known| known.time_ms <= event.time_ms);
        self.0.insert(at, event);
    }

    /// Whether the session has shown interest in anything yet.
    pub(crate) fn knows_session(&self, session: u64) -> bool {
        self.0.iter().any(|event| event.session == session && event.kind.is_interaction())
    }

    /// Items of interest, newest first, consecutive repeats collapsed: of one session or of all, none after
    /// `until_ms`.
    pub(crate) fn sequence(
        &self,
        session: Option<u64>,
        until_ms: i64,
    ) -> impl Iterator<Item = ItemHash> + '_ {
        let mut newer = None;
        self.0
            .iter()
            .rev()
            .filter(move |event| event.time_ms <= until_ms)
            .filter(move |event| session.is_none_or(|session| session == event.session))
            .filter_map(RingEvent::interaction)
            .filter(move |item| newer.replace(*item) != Some(*item))
    }

    /// The newest events of both. What happened at the same time is ordered by what it is, since nobody knows which
    /// part saw it first; a ring that is alone keeps its order of arrival.
    pub(crate) fn merged(&self, other: &Self) -> Self {
        if self.0.is_empty() || other.0.is_empty() {
            return if self.0.is_empty() { other.clone() } else { self.clone() };
        }
        let mut events: Vec<RingEvent> = self.0.iter().chain(&other.0).copied().collect();
        events.sort_unstable_by_key(|event| (event.time_ms, event.session, event.item, event.kind));
        let surplus = events.len().saturating_sub(RING_MAX);
        events.drain(..surplus);
        Self(events)
    }

    /// Events that are in order already.
    pub(crate) fn from_ordered(events: Vec<RingEvent>) -> Self {
        debug_assert!(events.is_sorted_by_key(|event| event.time_ms));
        Self(events)
    }
}

#[cfg(test)]
mod tests;
