//! The items a user comes back to: decayed weight, number of times, number of sessions.

use upnext_common::item::ItemHash;

use crate::half_life::{DAY_MS, decay};

/// Most items kept per user.
pub const TOP_MAX: usize = 32;
/// Half-life of an interaction's weight.
pub const TOP_HALF_LIFE_MS: i64 = 30 * DAY_MS;

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

/// One item as it is kept.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Kept {
    pub(crate) item: ItemHash,
    /// Weight at `last_ms`. Kept as f32, which is how it is encoded: nothing is lost on the way.
    pub(crate) weight: f32,
    pub(crate) repeats: u32,
    pub(crate) sessions: u32,
    pub(crate) last_ms: i64,
    /// Low half of the last session's hash.
    pub(crate) session: u32,
}

impl Kept {
    fn weight_at(&self, now_ms: i64) -> f64 {
        decay(f64::from(self.weight), now_ms - self.last_ms, TOP_HALF_LIFE_MS)
    }

    /// Adds one interaction, or as many as another list has seen.
    fn add(&mut self, more: &Self) {
        let newest_ms = self.last_ms.max(more.last_ms);
        self.weight = (self.weight_at(newest_ms) + more.weight_at(newest_ms)) as f32;
        self.repeats = self.repeats.saturating_add(more.repeats);
        let shared = u32::from(self.session == more.session);
        self.sessions = self.sessions.saturating_add(more.sessions - shared);
        if more.last_ms >= self.last_ms {
            self.session = more.session;
        }
        self.last_ms = newest_ms;
    }
}

/// At most [`TOP_MAX`] items. A newcomer replaces the weakest.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Top(pub(crate) Vec<Kept>);

impl Top {
    pub(crate) fn add(&mut self, item: ItemHash, time_ms: i64, session: u64, newest_ms: i64) {
        let session = session as u32;
        let one = Kept { item, weight: 1.0, repeats: 1, sessions: 1, last_ms: time_ms, session };
        self.take(&one, newest_ms);
    }

    fn take(&mut self, more: &Kept, newest_ms: i64) {
        if let Some(known) = self.0.iter_mut().find(|known| known.item == more.item) {
            known.add(more);
        } else if self.0.len() < TOP_MAX {
            self.0.push(*more);
        } else if let Some(weakest) = self.weakest(newest_ms) {
            self.0[weakest] = *more;
        }
    }

    fn weakest(&self, newest_ms: i64) -> Option<usize> {
        let rank = |kept: &Kept| (kept.weight_at(newest_ms), kept.last_ms, kept.item);
        let by_rank = |a: &(f64, i64, ItemHash), b: &(f64, i64, ItemHash)| {
            a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)).then(b.2.cmp(&a.2))
        };
        let ranked = self.0.iter().map(rank).enumerate();
        ranked.min_by(|a, b| by_rank(&a.1, &b.1)).map(|(at, _)| at)
    }

    /// Strongest first.
    pub(crate) fn at(&self, now_ms: i64) -> Vec<TopItem> {
        let read = |kept: &Kept| TopItem {
            item: kept.item,
            weight: kept.weight_at(now_ms),
            repeats: kept.repeats,
            sessions: kept.sessions,
            last_ms: kept.last_ms,
        };
        let mut items: Vec<TopItem> = self.0.iter().map(read).collect();
        items.sort_by(|a, b| b.weight.total_cmp(&a.weight).then(a.item.cmp(&b.item)));
        items
    }

    /// The strongest items of both lists together.
    pub(crate) fn merged(&self, other: &Self, newest_ms: i64) -> Self {
        let mut all = self.0.clone();
        for kept in &other.0 {
            match all.iter_mut().find(|known| known.item == kept.item) {
                Some(known) => known.add(kept),
                None => all.push(*kept),
            }
        }
        all.sort_by(|a, b| {
            let strength = b.weight_at(newest_ms).total_cmp(&a.weight_at(newest_ms));
            strength.then(b.last_ms.cmp(&a.last_ms)).then(a.item.cmp(&b.item))
        });
        all.truncate(TOP_MAX);
        Self(all)
    }
}

#[cfg(test)]
mod tests;
