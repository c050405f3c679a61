//! What is known of the asker when a question is put: the items to go on from, and what was seen before.

use std::collections::HashMap;

use upnext_common::item::ItemHash;
use upnext_state::{RingEvent, UserState};

use crate::live::LiveItems;

/// Most items that an answer goes on from.
pub const CONTEXT_ITEMS_MAX: usize = 20;
/// A question that names no session goes on with that of the newest event, if it is at most this old.
const FRESH_MS: i64 = 30 * 60_000;
const DAY_MS: f64 = 86_400_000.0;

/// The asker's side of every feature row. Items that are unknown to the live items are left out.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Context {
    /// Newest first, consecutive repeats collapsed: this session's, else the newest of earlier ones.
    pub items: Vec<u32>,
    /// Whether `items` are this session's.
    pub is_session: bool,
    /// What this user interacted with before, by item.
    pub repeats: HashMap<u32, Repeat>,
    /// Items of the session before this one.
    pub previous_session: Vec<u32>,
}

/// One user's past with one item.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Repeat {
    /// Interactions in all.
    pub count: f64,
    /// Distinct sessions they came from.
    pub sessions: f64,
    /// Part of the user's recent interest, 0..1.
    pub share: f64,
    /// Since the last one.
    pub days: f64,
}

/// The question, as far as a context depends on it.
#[derive(Clone, Copy, Debug)]
pub struct Ask<'a> {
    pub now_ms: i64,
    pub session: Option<u64>,
    /// Newest events of the session that are not stored, oldest first.
    pub seeds: &'a [ItemHash],
}

impl Context {
    #[must_use]
    pub fn new(live: &LiveItems, user: Option<&UserState>, ask: &Ask<'_>) -> Self {
        let Some(user) = user else {
            let items = known(live, ask.seeds.iter().rev().copied());
            return Self { is_session: !items.is_empty(), items, ..Self::default() };
        };
        let session = ask.session.or_else(|| fresh_session(user, ask.now_ms));
        let of_session = session.map(|session| user.sequence(Some(session))).unwrap_or_default();
        let mut items = known(live, ask.seeds.iter().rev().copied().chain(of_session));
        let is_session = !items.is_empty();
        if !is_session {
            items = known(live, user.sequence(None).into_iter());
        }
        let previous_session = previous(user, session)
            .map(|previous| known(live, user.sequence(Some(previous)).into_iter()));
        Self {
            items,
            is_session,
            repeats: repeats(live, user, ask.now_ms),
            previous_session: previous_session.unwrap_or_default(),
        }
    }

    /// The item being looked at: the newest of this session.
    #[must_use]
    pub fn in_view(&self) -> Option<u32> {
        self.items.first().copied().filter(|_| self.is_session)
    }

    /// Whether the user is known to have interacted with the item before.
    #[must_use]
    pub fn has_seen(&self, item: u32) -> bool {
        self.repeats.contains_key(&item) || self.items.contains(&item)
    }
}

/// The first 20 that are known, consecutive repeats collapsed.
fn known(live: &LiveItems, items: impl Iterator<Item = ItemHash>) -> Vec<u32> {
    let mut found = Vec::with_capacity(CONTEXT_ITEMS_MAX);
    for index in items.filter_map(|item| live.index_of(item)) {
        if found.last() == Some(&index) {
            continue;
        }
        if found.len() == CONTEXT_ITEMS_MAX {
            break;
        }
        found.push(index);
    }
    found
}

fn fresh_session(user: &UserState, now_ms: i64) -> Option<u64> {
    let newest = user.recent().iter().rev().find(|event| is_interaction(event))?;
    (now_ms.saturating_sub(newest.time_ms) <= FRESH_MS).then_some(newest.session)
}

fn previous(user: &UserState, session: Option<u64>) -> Option<u64> {
    let earlier = user.recent().iter().rev().filter(|event| is_interaction(event));
    earlier.map(|event| event.session).find(|found| Some(*found) != session)
}

fn is_interaction(event: &RingEvent) -> bool {
    event.kind.is_interaction()
}

fn repeats(live: &LiveItems, user: &UserState, now_ms: i64) -> HashMap<u32, Repeat> {
    let top = user.top_items(now_ms);
    let total: f64 = top.iter().map(|item| item.weight).sum();
    let mut repeats = HashMap::with_capacity(top.len());
    for item in top {
        let Some(index) = live.index_of(item.item) else {
            continue;
        };
        #[expect(clippy::cast_precision_loss, reason = "spans of milliseconds are below 2^53")]
        let elapsed_ms = now_ms.saturating_sub(item.last_ms).max(0) as f64;
        let share = if total > 0.0 { item.weight / total } else { 0.0 };
        let (count, sessions) = (f64::from(item.repeats), f64::from(item.sessions));
        repeats.insert(index, Repeat { count, sessions, share, days: elapsed_ms / DAY_MS });
    }
    repeats
}
