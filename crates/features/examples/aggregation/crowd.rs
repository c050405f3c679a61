//! Who does what: visitors whose sessions overlap, few items that most look at.

use std::collections::BTreeMap;

use upnext_common::event::{Device, Event, EventBody};
use uuid::Uuid;

/// Sessions under way at the same time.
const VISITORS: usize = 2_000;
const ITEMS: u64 = 10_000;
/// Events of a session on the average.
const SESSION_EVENTS: u64 = 12;
/// Items of one impression event.
const SHOWN: u64 = 6;

/// A deterministic source of numbers.
pub(crate) struct Die(u64);

impl Die {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// A number below `bound`.
    pub(crate) fn roll(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % bound
    }
}

/// Sessions that overlap; each ends some time and another of the `users` comes.
pub(crate) struct Crowd {
    die: Die,
    users: u64,
    visitors: Vec<(u64, u64)>,
    made: u64,
}

impl Crowd {
    pub(crate) fn new(seed: u64, users: u64) -> Self {
        let mut die = Die::new(seed);
        let visitors = (0..VISITORS).map(|at| (die.roll(users), at as u64)).collect();
        Self { die, users, visitors, made: 0 }
    }

    pub(crate) fn next(&mut self, now_ms: i64) -> Event {
        self.made += 1;
        let at = usize::try_from(self.die.roll(VISITORS as u64)).unwrap_or(0);
        if self.die.roll(SESSION_EVENTS) == 0 {
            self.visitors[at] = (self.die.roll(self.users), self.made + VISITORS as u64);
        }
        let (user, session) = self.visitors[at];
        let body = self.body();
        event(user, session, (self.made, now_ms), body)
    }

    fn body(&mut self) -> EventBody {
        let item_id = item(&mut self.die);
        match self.die.roll(20) {
            0..2 => EventBody::ItemsShown {
                item_ids: (0..SHOWN).map(|_| item(&mut self.die)).collect(),
            },
            2..8 => EventBody::ItemClicked { item_id },
            8 => EventBody::ItemAddedToCart { item_id },
            9 => EventBody::Searched { query: item_id },
            _ => EventBody::ItemViewed { item_id },
        }
    }
}

/// Small numbers are looked at most.
fn item(die: &mut Die) -> String {
    let (first, second) = (die.roll(ITEMS), die.roll(ITEMS));
    format!("i{:06}", first * second / ITEMS)
}

/// One event; `numbered` is its number and its time.
pub(crate) fn event(user: u64, session: u64, numbered: (u64, i64), body: EventBody) -> Event {
    let (number, now_ms) = numbered;
    Event {
        event_id: Uuid::from_u64_pair(user, number).to_string(),
        event_time_ms: now_ms,
        user_id: Some(format!("u{user:07}")),
        anonymous_id: None,
        session_id: format!("s{session:08}"),
        surface: "home".to_owned(),
        decision_id: None,
        device: Device::Mobile,
        props: BTreeMap::new(),
        body,
    }
}
