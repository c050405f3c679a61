//! What the log says about one item: decayed counters, openings, and what follows it in sessions.

mod codec;
mod parts;

use upnext_common::event::EventType;

use crate::half_life::{DAY_MS, HOUR_MS, factor, scaled};
pub use crate::header::Position as ItemPosition;
use crate::pair::{PAIR_HALF_LIFE_MS, Pair, Pairs, weight};
use crate::part::Part;
use crate::signal::{Signal, What};
use crate::wire::DecodeError;

/// How long what was counted takes to count half.
pub const HALF_LIVES_MS: [i64; 4] = [HOUR_MS, DAY_MS, 7 * DAY_MS, 30 * DAY_MS];

/// Happenings of one kind at four half-lives and undecayed.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Tally {
    pub h1: f64,
    pub h24: f64,
    pub d7: f64,
    /// Kept for interest alone; 0 for single event types.
    pub d30: f64,
    pub total: u64,
}

impl Tally {
    fn scale(&mut self, factors: &[f64; 4]) {
        self.h1 = scaled(self.h1, factors[0]);
        self.h24 = scaled(self.h24, factors[1]);
        self.d7 = scaled(self.d7, factors[2]);
        self.d30 = scaled(self.d30, factors[3]);
    }

    fn add(&mut self, weights: &[f64; 4]) {
        self.h1 += weights[0];
        self.h24 += weights[1];
        self.d7 += weights[2];
        self.total += 1;
    }
}

/// State of one item: a deterministic function of the signals of its partition up to its position.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ItemState {
    position: ItemPosition,
    /// Empty until a [`What::Count`] has named it.
    item_id: String,
    /// The moment at which every decayed value below is stated.
    at_ms: i64,
    first_seen_ms: Option<i64>,
    last_seen_ms: i64,
    counts: [Tally; EventType::ALL.len()],
    interest: Tally,
    /// Sessions opened with it, half-life 7 days.
    openings: f64,
    pairs: Pairs,
}

/// An item's decayed values at a moment.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ItemMoment {
    pub counts: [Tally; EventType::ALL.len()],
    /// Interactions that are not consecutive repeats: the recipe's T and count.
    pub interest: Tally,
    /// Session-opening interactions, half-life 7 days.
    pub openings: f64,
    /// What [`ItemState::pairs`] and [`ItemState::pair_total`] are to be multiplied by.
    pub pair_factor: f64,
}

impl ItemMoment {
    #[must_use]
    pub fn of(&self, kind: EventType) -> Tally {
        self.counts[usize::from(kind.code())]
    }
}

impl ItemState {
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// An empty state whose list keeps up to `pairs_max` pairs instead of 64: it shows what the bound loses. It is
    /// for reading; its bytes are decodable only up to the bound.
    #[must_use]
    pub fn with_pairs_max(pairs_max: usize) -> Self {
        Self { pairs: Pairs::with_max(pairs_max), ..Self::default() }
    }

    /// # Errors
    /// When the bytes are not an encoded state of a known version.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        codec::decode(bytes)
    }

    /// Begins with the header.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        codec::encode(self)
    }

    /// By feature, for comparisons.
    #[must_use]
    pub fn parts(&self) -> Vec<Part> {
        parts::parts(self)
    }

    #[must_use]
    pub fn position(&self) -> ItemPosition {
        self.position
    }

    /// Takes one signal that stands at `at` (offset of its batch, index in it, and epoch). Returns false and
    /// changes nothing when the state has seen that position already.
    pub fn apply(&mut self, signal: &Signal, at: ItemPosition) -> bool {
        if at < self.position {
            return false;
        }
        self.position = ItemPosition { next_index: at.next_index + 1, ..at };
        self.age_to(signal.time_ms);
        match &signal.what {
            What::Count { item_id, kind, is_repeat, opens_session } => {
                if self.item_id.is_empty() {
                    item_id.as_ref().clone_into(&mut self.item_id);
                }
                let is_interest = kind.is_interaction() && !is_repeat;
                self.count(*kind, signal.time_ms, is_interest, *opens_session);
            }
            What::Pair { other, distance, direction } => {
                let late = factor(self.at_ms - signal.time_ms, PAIR_HALF_LIFE_MS);
                self.pairs.add(*other, weight(*distance, *direction) * late);
            }
        }
        true
    }

    fn count(&mut self, kind: EventType, time_ms: i64, is_interest: bool, opens_session: bool) {
        let first_ms = self.first_seen_ms.unwrap_or(time_ms);
        self.first_seen_ms = Some(first_ms.min(time_ms));
        self.last_seen_ms = self.last_seen_ms.max(time_ms);
        let weights = factors(self.at_ms - time_ms);
        self.counts[usize::from(kind.code())].add(&weights);
        if is_interest {
            self.interest.add(&weights);
            self.interest.d30 += weights[3];
        }
        if opens_session {
            self.openings += weights[2];
        }
    }

    /// States all decayed values at `time_ms`, unless they stand later already.
    fn age_to(&mut self, time_ms: i64) {
        let elapsed_ms = time_ms - self.at_ms;
        if elapsed_ms <= 0 {
            return;
        }
        self.at_ms = time_ms;
        let factors = factors(elapsed_ms);
        for tally in self.counts.iter_mut().filter(|tally| tally.total > 0) {
            tally.scale(&factors);
        }
        self.interest.scale(&factors);
        self.openings = scaled(self.openings, factors[2]);
        self.pairs.age(elapsed_ms);
    }

    /// The id as text; empty while only pairs have spoken of it.
    #[must_use]
    pub fn item_id(&self) -> &str {
        &self.item_id
    }

    /// Decayed values at `now_ms` (or at the newest signal, if that is later).
    #[must_use]
    pub fn at(&self, now_ms: i64) -> ItemMoment {
        let elapsed_ms = now_ms - self.at_ms;
        let factors = factors(elapsed_ms);
        let mut counts = self.counts;
        counts.iter_mut().for_each(|tally| tally.scale(&factors));
        let mut interest = self.interest;
        interest.scale(&factors);
        let openings = scaled(self.openings, factors[2]);
        let pair_factor = factor(elapsed_ms, PAIR_HALF_LIFE_MS);
        ItemMoment { counts, interest, openings, pair_factor }
    }

    /// The moment of the newest signal, at which [`Self::pairs`] are stated.
    #[must_use]
    pub fn at_ms(&self) -> i64 {
        self.at_ms
    }

    /// The strongest pairs in no particular order, at most 64, stated at [`Self::at_ms`].
    #[must_use]
    pub fn pairs(&self) -> &[Pair] {
        &self.pairs.kept
    }

    /// Weight of all pairs ever, the dropped ones too, stated at [`Self::at_ms`].
    #[must_use]
    pub fn pair_total(&self) -> f64 {
        self.pairs.total
    }

    /// Undecayed count of one event type.
    #[must_use]
    pub fn total(&self, kind: EventType) -> u64 {
        self.counts[usize::from(kind.code())].total
    }

    #[must_use]
    pub fn shown_total(&self) -> u64 {
        self.total(EventType::ItemsShown)
    }

    #[must_use]
    pub fn clicked_total(&self) -> u64 {
        self.total(EventType::ItemClicked)
    }

    /// Undecayed interest: interactions that are not consecutive repeats.
    #[must_use]
    pub fn interest_total(&self) -> u64 {
        self.interest.total
    }

    /// Event time of the first event that named it; `None` while only pairs have.
    #[must_use]
    pub fn first_seen_ms(&self) -> Option<i64> {
        self.first_seen_ms
    }

    #[must_use]
    pub fn last_seen_ms(&self) -> i64 {
        self.last_seen_ms
    }
}

fn factors(elapsed_ms: i64) -> [f64; 4] {
    HALF_LIVES_MS.map(|half_life_ms| factor(elapsed_ms, half_life_ms))
}

#[cfg(test)]
mod tests;
