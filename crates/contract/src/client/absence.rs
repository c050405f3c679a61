//! What the registry does not have, and when that may be believed.
//!
//! A producer writes an id it has registered, but the registry that is asked may hear of it later than the record
//! arrives. So a "no" counts only if it was said long enough (the grace) after the record was known to exist, or
//! after the same id was asked for first; until then the partition waits and the id is asked for again. A "no" is
//! repeated to later records for a while; a record that was redriven wants one that was said after it came.
//!
//! Ids that are made up, a new one in each record, would cost a call each. Once many are absent within a minute, one
//! listing of all ids answers for all that are not in it.

use std::collections::{HashSet, VecDeque};
use std::time::{Duration, Instant};

use super::bounded::Bounded;
use crate::framing::SchemaKey;

/// Absent ids that are remembered.
const IDS_MAX: usize = 10_000;
/// How soon an absent id is asked for again within its grace.
const ASK_AGAIN: Duration = Duration::from_secs(2);
/// So many absent ids within so long are a flood.
const FLOOD_IDS: usize = 16;
const FLOOD_SPAN: Duration = Duration::from_secs(60);
/// How soon a registry that could not list its ids is asked for it again.
const LIST_AGAIN: Duration = Duration::from_secs(60);

/// What is known of the record for which a schema is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Need {
    /// A moment at which the record stood in its log already: when it was read, or earlier.
    pub since: Instant,
    /// Whether it came back from the dead letters, perhaps because its schema has been registered by now.
    pub is_redriven: bool,
}

/// How long an answer must be waited for, and how long it is good.
#[derive(Clone, Copy, Debug)]
pub(super) struct Patience {
    pub(super) grace: Duration,
    pub(super) ttl: Duration,
}

/// What to do about an id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Word {
    /// There is no such schema.
    Absent,
    /// Too early to say; asking would not help now.
    Wait,
    Ask,
    /// Ask for all ids there are.
    List,
}

pub(super) struct Absences {
    patience: Patience,
    ids: Bounded<SchemaKey, Absence>,
    /// When the last ids were found absent first, oldest first.
    recent: VecDeque<Instant>,
    listing: Option<Listing>,
    list_at: Option<Instant>,
}

/// When the registry said no, first and last.
#[derive(Clone, Copy)]
struct Absence {
    first: Instant,
    last: Instant,
}

struct Listing {
    ids: HashSet<u32>,
    at: Instant,
}

impl Absences {
    pub(super) fn new(patience: Patience) -> Self {
        Self {
            patience,
            ids: Bounded::new(IDS_MAX),
            recent: VecDeque::new(),
            listing: None,
            list_at: None,
        }
    }

    pub(super) fn word_on(&self, key: SchemaKey, need: Need, now: Instant) -> Word {
        let absence = self.ids.get(&key).copied();
        let listed = self.not_listed(key);
        let said = [absence, listed];
        if said.iter().flatten().any(|absence| self.is_final(*absence, need, now)) {
            return Word::Absent;
        }
        let told_at = need.since + self.patience.grace;
        if self.is_flood(now) && absence.is_none() {
            return if now < told_at {
                Word::Wait
            } else if self.may_list(key, now) {
                Word::List
            } else {
                Word::Ask
            };
        }
        let Some(Absence { first, last }) = absence else { return Word::Ask };
        // Asked again soon, and at the moments from which on the answer counts.
        let moments = [last + ASK_AGAIN, told_at, first + self.patience.grace];
        let due = moments.into_iter().filter(|moment| *moment > last).min();
        if due.is_some_and(|due| now < due) && !(need.is_redriven && last < need.since) {
            Word::Wait
        } else {
            Word::Ask
        }
    }

    /// The registry said at `at` that there is no such id.
    pub(super) fn note(&mut self, key: SchemaKey, at: Instant) {
        let first = self.ids.get(&key).map_or(at, |found| found.first);
        if first == at {
            if self.recent.len() == FLOOD_IDS {
                self.recent.pop_front();
            }
            self.recent.push_back(at);
        }
        self.ids.put(key, Absence { first, last: at });
    }

    /// All ids there were at `at`; `None`: the registry cannot tell.
    pub(super) fn note_listing(&mut self, ids: Option<HashSet<u32>>, at: Instant) {
        self.list_at = Some(if ids.is_some() { at } else { at + LIST_AGAIN });
        self.listing = ids.map(|ids| Listing { ids, at });
    }

    fn is_final(&self, said: Absence, need: Need, now: Instant) -> bool {
        let Patience { grace, ttl } = self.patience;
        let is_told_late = said.last >= said.first + grace || said.last >= need.since + grace;
        let is_fresh =
            if need.is_redriven { said.last >= need.since } else { now < said.last + ttl };
        is_told_late && is_fresh
    }

    /// What the listing says against an id. It was asked for nothing before, so that it has no earlier "no".
    fn not_listed(&self, key: SchemaKey) -> Option<Absence> {
        let (listing, SchemaKey::Id(id)) = (self.listing.as_ref()?, key) else { return None };
        // With no grace at all, the listing alone would be enough: it is not, for an id that nobody asked for.
        let first = listing.at + Duration::from_nanos(1);
        (!listing.ids.contains(&id)).then_some(Absence { first, last: listing.at })
    }

    fn is_flood(&self, now: Instant) -> bool {
        self.recent.len() == FLOOD_IDS
            && self.recent.front().is_some_and(|oldest| now < *oldest + FLOOD_SPAN)
            || self.listing.as_ref().is_some_and(|listing| now < listing.at + FLOOD_SPAN)
    }

    fn may_list(&self, key: SchemaKey, now: Instant) -> bool {
        let is_listed = match (key, &self.listing) {
            (SchemaKey::Id(id), Some(listing)) => listing.ids.contains(&id),
            (SchemaKey::Id(_), None) => false,
            (SchemaKey::Guid(_), _) => true,
        };
        !is_listed && self.list_at.is_none_or(|at| now >= at)
    }
}

#[cfg(test)]
mod tests;
