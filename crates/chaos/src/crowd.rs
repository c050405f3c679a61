//! A seeded crowd: users with sessions, late events, repeated ids, erasures, a few bots.

use std::collections::{BTreeMap, VecDeque};

use upnext_common::event::{Device, Event, EventBody};

use crate::die::Die;

const START_MS: i64 = 1_700_000_000_000;
/// Simulated time from the first event to the last, so that windows empty and sessions end.
const SPAN_MS: u64 = 3 * 24 * 3_600_000;
/// How late an event may be: later than the longest window.
const LATE_MS: u64 = 30 * 3_600_000;
const REMEMBERED: usize = 2_000;
const BOTS: u64 = 5;
const ITEMS: u64 = 1_000;

/// Who is in it and how it behaves.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Habits {
    pub(crate) users: u64,
    /// Events to come, by which simulated time is stretched.
    pub(crate) events: u64,
    /// One event in so many is sent once more, ids and all; 0: none.
    pub(crate) repeat_every: u64,
    /// One event in so many is of a bot; 0: none.
    pub(crate) bot_every: u64,
    /// One event in so many erases its user, whatever was wrong about them; 0: none.
    pub(crate) erase_every: u64,
}

#[derive(Clone, Debug)]
pub(crate) struct Crowd {
    die: Die,
    habits: Habits,
    made: u64,
    now_ms: i64,
    newest: VecDeque<Event>,
}

impl Crowd {
    pub(crate) fn new(seed: u64, habits: Habits) -> Self {
        let die = Die::new(seed);
        Self { die, habits, made: 0, now_ms: START_MS, newest: VecDeque::new() }
    }

    /// The timestamp of the record that is sent next.
    pub(crate) fn now_ms(&self) -> i64 {
        self.now_ms
    }

    /// The next event; some are late, some were told before.
    pub(crate) fn next(&mut self) -> Event {
        let step_ms = (2 * SPAN_MS / self.habits.events.max(1)).max(2);
        self.now_ms += self.die.roll(step_ms).cast_signed();
        if self.habits.repeat_every > 0 && self.die.one_in(self.habits.repeat_every) {
            return self.repeated();
        }
        let late_ms = if self.die.one_in(20) { self.die.roll(LATE_MS) } else { 0 };
        self.fresh(late_ms)
    }

    /// An event from long ago.
    pub(crate) fn late(&mut self) -> Event {
        let late_ms = LATE_MS / 2 + self.die.roll(LATE_MS / 2);
        self.fresh(late_ms)
    }

    /// One of the newest events, as it was.
    pub(crate) fn repeated(&mut self) -> Event {
        let count = self.newest.len() as u64;
        if count == 0 {
            return self.fresh(0);
        }
        // Mostly of the last few, within reach of the ids that a user remembers.
        let back = self.die.roll(count) * self.die.roll(count) / count;
        self.newest[(count - 1 - back) as usize].clone()
    }

    fn fresh(&mut self, late_ms: u64) -> Event {
        self.made += 1;
        let user = self.user();
        let is_anonymous = user.is_multiple_of(5);
        let event = Event {
            event_id: format!("00000000-0000-4000-8000-{:012x}", self.made),
            event_time_ms: self.now_ms - late_ms.cast_signed(),
            user_id: (!is_anonymous).then(|| format!("u{user}")),
            anonymous_id: is_anonymous.then(|| format!("a{user}")),
            session_id: format!("s{user}-{}", (self.now_ms - START_MS) / 3_600_000),
            surface: "home".to_owned(),
            decision_id: None,
            device: Device::Mobile,
            props: BTreeMap::new(),
            body: self.body(),
        };
        if self.newest.len() == REMEMBERED {
            self.newest.pop_front();
        }
        self.newest.push_back(event.clone());
        event
    }

    /// At first everybody once, then some more often than others.
    fn user(&mut self) -> u64 {
        let users = self.habits.users;
        if self.made <= users {
            return self.made - 1;
        }
        if self.habits.bot_every > 0 && self.die.one_in(self.habits.bot_every) {
            return self.die.roll(BOTS);
        }
        if self.die.one_in(2) {
            return self.die.roll(users);
        }
        self.die.roll(users) * self.die.roll(users) / users
    }

    fn body(&mut self) -> EventBody {
        if self.habits.erase_every > 0 && self.die.one_in(self.habits.erase_every) {
            return EventBody::UserErased;
        }
        let item = self.die.roll(ITEMS) * self.die.roll(ITEMS) / ITEMS;
        let item_id = format!("i{item}");
        match self.die.roll(200) {
            0..5 => EventBody::ItemHidden { item_id },
            5..10 => EventBody::Searched { query: item_id },
            10..30 => {
                let more = (0..self.die.roll(5)).map(|at| format!("i{}", at * 7)).collect();
                EventBody::ItemsShown { item_ids: [vec![item_id], more].concat() }
            }
            30..40 => {
                let currency = "EUR".to_owned();
                EventBody::ItemPurchased { item_id, price_minor: 900, currency, quantity: 1 }
            }
            40..50 => EventBody::ItemDwelled { item_id, dwell_ms: 4_000 },
            50..60 => EventBody::ItemLiked { item_id },
            60..70 => EventBody::ItemAddedToCart { item_id },
            70..120 => EventBody::ItemClicked { item_id },
            _ => EventBody::ItemViewed { item_id },
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    const HABITS: Habits =
        Habits { users: 200, events: 5_000, repeat_every: 50, bot_every: 10, erase_every: 100 };

    #[test]
    fn the_seed_says_everything() {
        let events = |seed| {
            let mut crowd = Crowd::new(seed, HABITS);
            (0..500).map(|_| crowd.next()).collect::<Vec<_>>()
        };
        assert_eq!(events(3), events(3));
        assert_ne!(events(3), events(4));
    }

    #[test]
    fn everyone_comes_some_are_late_and_some_repeat() {
        let mut crowd = Crowd::new(1, HABITS);
        let (mut users, mut ids, mut late) = (HashSet::new(), HashSet::new(), 0);
        for _ in 0..5_000 {
            let event = crowd.next();
            late += u64::from(event.event_time_ms + 24 * 3_600_000 < crowd.now_ms());
            users.insert(event.key().map(ToOwned::to_owned));
            ids.insert(event.event_id);
        }
        assert_eq!(users.len(), 200);
        assert!((4_800..4_990).contains(&ids.len()), "{}", ids.len());
        assert!(late > 10, "{late}");
        let passed_ms = crowd.now_ms() - START_MS;
        assert!((2..4).contains(&(passed_ms / 86_400_000)), "{passed_ms}");
    }

    #[test]
    fn a_crowd_without_repeats_repeats_nothing() {
        let mut crowd = Crowd::new(1, Habits { repeat_every: 0, ..HABITS });
        let ids: HashSet<String> = (0..3_000).map(|_| crowd.next().event_id).collect();
        assert_eq!(ids.len(), 3_000);
    }
}
