//! The items a user comes back to: decayed weight, number of times, number of sessions.

use std::borrow::Cow;
use std::cmp::Reverse;

use upnext_common::item::ItemHash;

use crate::half_life::DAY_MS;
use crate::weight::{Fade, Weight};

/// Most items kept per user.
pub const TOP_MAX: usize = 32;
/// Half-life of an interaction's weight.
pub const TOP_HALF_LIFE_MS: i64 = 30 * DAY_MS;
/// Interactions with one item and sessions of it are counted no further.
pub(crate) const REPEATS_MAX: u32 = (1 << 27) - 1;
pub(crate) const SESSIONS_MAX: u32 = (1 << 24) - 1;

/// One item as it is read at a moment.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TopItem {
    pub item: ItemHash,
    /// Interactions, each halved every 30 days.
    pub weight: f64,
    /// Interactions in all, consecutive ones too.
    pub repeats: u32,
    /// Distinct sessions they came from.
    pub sessions: u32,
    pub last_ms: i64,
}

/// Low bits of a key: the item's place in its list.
const PLACE_BITS: u32 = 8;
const PLACE_MASK: u128 = (1 << PLACE_BITS) - 1;
const RANK_MASK: u128 = (1 << 106) - 1;

/// An interaction's weight, halved every 30 days.
pub(crate) type TopWeight = Weight<TOP_HALF_LIFE_MS>;

/// One item as it is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Kept {
    pub(crate) item: ItemHash,
    pub(crate) weight: TopWeight,
    pub(crate) repeats: u32,
    pub(crate) sessions: u32,
    pub(crate) last_ms: i64,
    /// Low half of the last session's hash.
    pub(crate) session: u32,
}

impl Kept {
    pub(crate) fn once(item: ItemHash, time_ms: i64, session: u32) -> Self {
        let weight = TopWeight::one(time_ms);
        Self { item, weight, repeats: 1, sessions: 1, last_ms: time_ms, session }
    }

    /// Adds interactions; those of the newest session are no further session where `more` is of that one too.
    fn add(&mut self, more: &Self, is_same_session: bool) {
        self.weight.add(&more.weight);
        self.repeats = REPEATS_MAX.min(self.repeats + more.repeats);
        let sessions = (self.sessions + more.sessions).saturating_sub(u32::from(is_same_session));
        self.sessions = SESSIONS_MAX.min(sessions);
        let newest = (self.last_ms, self.session).max((more.last_ms, more.session));
        (self.last_ms, self.session) = newest;
    }

    /// Less for what is stronger or, if equally strong, later: of the strength 16 bits of exponent and the 42 that a
    /// mantissa has, 48 bits of time, and the item's place.
    fn key(&self, place: u8) -> u128 {
        let (exponent, mantissa) = self.weight.rank();
        let exponent =
            exponent.clamp(i64::from(i16::MIN), i64::from(i16::MAX)) - i64::from(i16::MIN);
        let time = self.last_ms.clamp(0, (1 << 48) - 1);
        let strength = u128::from(exponent.unsigned_abs()) << 42 | u128::from(mantissa >> 22);
        let rank = strength << 48 | u128::from(time.unsigned_abs());
        (RANK_MASK - rank) << PLACE_BITS | u128::from(place)
    }

    /// Stronger is greater; of equally strong ones the later, then the one with the smaller hash.
    fn strength(&self) -> (i64, u64, i64, Reverse<ItemHash>) {
        let (exponent, mantissa) = self.weight.rank();
        (exponent, mantissa, self.last_ms, Reverse(self.item))
    }
}

/// At most [`TOP_MAX`] items where events made it: a newcomer replaces the weakest. What was merged has all that its
/// parts have, by item, an item perhaps several times.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Top(pub(crate) Vec<Kept>);

impl Top {
    pub(crate) fn add(&mut self, item: ItemHash, time_ms: i64, session: u64) {
        let one = Kept::once(item, time_ms, session as u32);
        if let Some(known) = self.0.iter_mut().find(|known| known.item == item) {
            known.add(&one, known.session == one.session);
        } else if self.0.len() < TOP_MAX {
            self.0.push(one);
        } else if let Some(weakest) = self.0.iter_mut().min_by_key(|known| known.strength()) {
            *weakest = one;
        }
    }

    /// The strongest [`TOP_MAX`], strongest first, at a moment that no interaction is after.
    pub(crate) fn at(&self, now_ms: i64) -> Vec<TopItem> {
        let fade = Fade::to(now_ms);
        let read = |kept: &Kept| TopItem {
            item: kept.item,
            weight: kept.weight.at(fade),
            repeats: kept.repeats,
            sessions: kept.sessions,
            last_ms: kept.last_ms,
        };
        let folded = self.folded();
        ranked(&folded).take(TOP_MAX).filter_map(|at| folded.get(at)).map(read).collect()
    }

    /// What both know, side by side in one order: folding or cutting it here would make the order of merges count.
    pub(crate) fn merged(&self, other: &Self) -> Self {
        let mut all = [self.0.as_slice(), other.0.as_slice()].concat();
        all.sort_unstable_by_key(|kept| {
            let numbers = (kept.repeats, kept.sessions, kept.weight.units, kept.weight.depth);
            (kept.item, kept.last_ms, kept.session, numbers)
        });
        Self(all)
    }

    /// Each item once: of what was merged, its parts put together. A session that two parts end with is one.
    fn folded(&self) -> Cow<'_, [Kept]> {
        if !self.0.is_sorted_by_key(|kept| kept.item) {
            return Cow::Borrowed(&self.0);
        }
        let mut folded: Vec<Kept> = Vec::with_capacity(self.0.len());
        for kept in &self.0 {
            match folded.last_mut().filter(|last| last.item == kept.item) {
                Some(last) => last.add(kept, last.session == kept.session),
                None => folded.push(*kept),
            }
        }
        Cow::Owned(folded)
    }
}

/// Places of the items, strongest first. What decides is packed into one number each, which sorts faster than items do.
fn ranked(items: &[Kept]) -> impl Iterator<Item = usize> + use<> {
    let mut keys: Vec<u128> = items.iter().zip(0..).map(|(kept, at)| kept.key(at)).collect();
    keys.sort_unstable();
    if keys.windows(2).any(|pair| pair[0] >> PLACE_BITS == pair[1] >> PLACE_BITS) {
        // Equally strong at the very same moment: their hashes decide.
        keys.sort_by_cached_key(|key| {
            let place = (key & PLACE_MASK) as usize;
            (key >> PLACE_BITS, items.get(place).map(|kept| kept.item))
        });
    }
    keys.into_iter().map(|key| (key & PLACE_MASK) as usize)
}

#[cfg(test)]
mod tests;
