//! What the log says about one user.

mod codec;
mod merge;
mod parts;

use std::sync::Arc;

use upnext_common::event::{Event, EventBody, EventType};
use upnext_common::item::{ItemHash, stable_hash};

use crate::header::Position;
use crate::pair::PAIR_DISTANCE_MAX;
use crate::part::Part;
use crate::ring::{Ring, RingEvent};
use crate::signal::{Direction, Signal, What};
use crate::top::{Top, TopItem};
use crate::window::{Counts, Panes, SKEW_MS, WINDOWS};
use crate::wire::DecodeError;

/// Most event ids remembered to recognise a producer's repeat.
pub const SEEN_MAX: usize = 64;
/// Most items a user has hidden; the oldest is shown again first.
pub const HIDDEN_MAX: usize = 128;

const LONGEST_WINDOW_MS: i64 = WINDOWS[WINDOWS.len() - 1].width_ms;

/// What became of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Applied {
    Counted,
    /// Its event id is among the newest; nothing changed.
    Duplicate,
    /// Older than every window and than all remembered events; nothing changed.
    TooLate,
    /// The state has seen this offset already; nothing changed.
    Replayed,
}

/// State of one user: a deterministic function of the records of its partition up to its position.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct UserState {
    position: Position,
    /// Newest event time known, after clamping to the record's timestamp.
    newest_ms: i64,
    lifetime: [u64; EventType::ALL.len()],
    sessions: u64,
    panes: [Panes; WINDOWS.len()],
    ring: Ring,
    top: Top,
    /// Oldest first.
    hidden: Vec<ItemHash>,
    /// 32-bit hashes of the newest event ids, oldest first.
    seen: Vec<u32>,
}

impl UserState {
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// An empty state that has seen the log up to `position`.
    #[must_use]
    pub fn at_position(position: Position) -> Self {
        Self { position, ..Self::default() }
    }

    /// # Errors
    /// When the bytes are not an encoded state of a known version.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        codec::decode(bytes)
    }

    /// Begins with the header. At most [`crate::USER_BYTES_MAX`] bytes, unless it was merged: a merged state is logged
    /// with a decision, but not stored.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        codec::encode(self)
    }

    /// Whether some version of the encoding writes this state so: today's to the byte, an older one up to what it
    /// rounded.
    #[must_use]
    pub fn is_written_as(&self, bytes: &[u8]) -> bool {
        codec::is_written_as(self, bytes)
    }

    /// By feature, for comparisons.
    #[must_use]
    pub fn parts(&self) -> Vec<Part> {
        parts::parts(self)
    }

    #[must_use]
    pub fn position(&self) -> Position {
        self.position
    }

    /// Offset after the last event that changed this state.
    #[must_use]
    pub fn next_offset(&self) -> i64 {
        self.position.next_offset
    }

    /// Event time of the newest event; 0 for an empty state.
    #[must_use]
    pub fn newest_ms(&self) -> i64 {
        self.newest_ms
    }

    /// Counts one event that stands at `offset` with the timestamp `record_ms`, and appends what it says
    /// about items to `out`. Anything but [`Applied::Counted`] leaves state and `out` as they were.
    pub fn apply(
        &mut self,
        event: &Event,
        record_ms: i64,
        offset: i64,
        out: &mut Vec<Signal>,
    ) -> Applied {
        let at = Position { next_offset: offset, ..self.position };
        self.apply_at(event, record_ms, at, out)
    }

    /// The same where the log may have been begun anew: `at` is the epoch and offset of the event. What an earlier epoch
    /// said stays, and is followed by what the later one says.
    pub fn apply_at(
        &mut self,
        event: &Event,
        record_ms: i64,
        at: Position,
        out: &mut Vec<Signal>,
    ) -> Applied {
        let id = stable_hash(event.event_id.as_bytes()) as u32;
        let time_ms = event.event_time_ms.min(record_ms);
        if at < self.position {
            return Applied::Replayed;
        }
        if self.seen.contains(&id) {
            return Applied::Duplicate;
        }
        if self.is_too_late(event.event_type(), time_ms) {
            return Applied::TooLate;
        }
        let after = Position { next_offset: at.next_offset + 1, ..at };
        if event.event_type() == EventType::UserErased {
            *self = Self::at_position(after);
            return Applied::Counted;
        }
        self.position = after;
        self.remember(id);
        self.count(event.event_type(), time_ms);
        let session = stable_hash(event.session_id.as_bytes());
        self.note(event, Moment { time_ms, session }, out);
        Applied::Counted
    }

    /// Whether nothing is known.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.lifetime.iter().all(|count| *count == 0)
    }

    /// The last events by event time, oldest first; impressions are counted, not remembered.
    #[must_use]
    pub fn recent(&self) -> &[RingEvent] {
        self.ring.events()
    }

    /// Items of interest, newest first, consecutive repeats collapsed: of one session, or of all.
    #[must_use]
    pub fn sequence(&self, session: Option<u64>) -> Vec<ItemHash> {
        let mut items = Vec::with_capacity(self.ring.events().len());
        items.extend(self.ring.sequence(session, i64::MAX));
        items
    }

    /// Events by type in each of [`WINDOWS`] ending at `now_ms`. Whole windows need a `now_ms` that is not
    /// more than [`SKEW_MS`] before the newest event.
    #[must_use]
    pub fn windows(&self, now_ms: i64) -> [Counts; WINDOWS.len()] {
        std::array::from_fn(|at| self.panes[at].counts(WINDOWS[at], now_ms))
    }

    /// Items the user comes back to, strongest at `now_ms` (or at the newest event, if that is later) first; at most
    /// [`crate::top::TOP_MAX`].
    #[must_use]
    pub fn top_items(&self, now_ms: i64) -> Vec<TopItem> {
        self.top.at(now_ms.max(self.newest_ms))
    }

    /// Hashes of the ids of recent events, by which a producer's repeat is known; oldest first.
    #[must_use]
    pub fn event_ids(&self) -> &[u32] {
        &self.seen
    }

    /// Items the user wants no more, oldest first.
    #[must_use]
    pub fn hidden(&self) -> &[ItemHash] {
        &self.hidden
    }

    /// Events of one type ever counted.
    #[must_use]
    pub fn lifetime(&self, kind: EventType) -> u64 {
        self.lifetime[usize::from(kind.code())]
    }

    /// Sessions with at least one interaction.
    #[must_use]
    pub fn sessions(&self) -> u64 {
        self.sessions
    }

    /// An erasure is never too late; an impression is once no window can hold it.
    fn is_too_late(&self, kind: EventType, time_ms: i64) -> bool {
        let in_window = time_ms >= self.newest_ms.saturating_sub(LONGEST_WINDOW_MS + SKEW_MS);
        let is_remembered = kind != EventType::ItemsShown && self.ring.takes(time_ms);
        kind != EventType::UserErased && !in_window && !is_remembered
    }

    fn remember(&mut self, id: u32) {
        if self.seen.len() == SEEN_MAX {
            self.seen.remove(0);
        }
        self.seen.push(id);
    }

    fn count(&mut self, kind: EventType, time_ms: i64) {
        self.newest_ms = self.newest_ms.max(time_ms);
        self.lifetime[usize::from(kind.code())] += 1;
        for (panes, window) in self.panes.iter_mut().zip(WINDOWS) {
            panes.add(window, kind, time_ms, self.newest_ms);
        }
    }

    fn note(&mut self, event: &Event, moment: Moment, out: &mut Vec<Signal>) {
        let kind = event.event_type();
        match &event.body {
            EventBody::ItemsShown { item_ids } => {
                out.extend(item_ids.iter().map(|id| moment.count(id, kind, false, false)));
                return;
            }
            EventBody::ItemHidden { item_id } => {
                out.push(moment.count(item_id, kind, false, false));
                self.hide(ItemHash::of(item_id));
            }
            EventBody::ItemViewed { item_id }
            | EventBody::ItemClicked { item_id }
            | EventBody::ItemDwelled { item_id, .. }
            | EventBody::ItemLiked { item_id }
            | EventBody::ItemAddedToCart { item_id }
            | EventBody::ItemPurchased { item_id, .. } => {
                self.interact(item_id, kind, moment, out);
            }
            EventBody::Searched { .. } | EventBody::UserErased => {}
        }
        let item = event.body.item_id().map(ItemHash::of);
        let Moment { time_ms, session } = moment;
        self.ring.insert(RingEvent { kind, item, time_ms, session });
    }

    fn hide(&mut self, item: ItemHash) {
        if self.hidden.contains(&item) {
            return;
        }
        if self.hidden.len() == HIDDEN_MAX {
            self.hidden.remove(0);
        }
        self.hidden.push(item);
    }

    /// Interest in one item: counts it, and pairs it with what came before in its session.
    fn interact(&mut self, id: &str, kind: EventType, moment: Moment, out: &mut Vec<Signal>) {
        let item = ItemHash::of(id);
        let Moment { time_ms, session } = moment;
        let before = self.ring.sequence(Some(session), time_ms);
        let before: Vec<ItemHash> = before.take(PAIR_DISTANCE_MAX).collect();
        let is_repeat = before.first() == Some(&item);
        let opens_session = !self.ring.knows_session(session);
        self.sessions += u64::from(opens_session);
        self.top.add(item, time_ms, session);
        out.push(moment.count(id, kind, is_repeat, opens_session));
        if is_repeat {
            return;
        }
        for (earlier, distance) in before.into_iter().zip(1..).filter(|(other, _)| *other != item) {
            let pair = |other, direction| What::Pair { other, distance, direction };
            let forward = pair(item, Direction::Forward);
            out.push(Signal { item: earlier, time_ms, what: forward });
            out.push(Signal { item, time_ms, what: pair(earlier, Direction::Backward) });
        }
    }
}

/// When and in which session something happened.
#[derive(Clone, Copy, Debug)]
struct Moment {
    time_ms: i64,
    session: u64,
}

impl Moment {
    fn count(self, id: &str, kind: EventType, is_repeat: bool, opens_session: bool) -> Signal {
        let what = What::Count { item_id: Arc::from(id), kind, is_repeat, opens_session };
        Signal { item: ItemHash::of(id), time_ms: self.time_ms, what }
    }
}

#[cfg(test)]
mod tests;
