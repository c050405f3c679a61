//! A seeded crowd: who does what when, and a die.

use std::collections::BTreeMap;

use upnext_common::event::{Device, Event, EventBody};

pub(crate) const START_MS: i64 = 1_700_000_000_000;
const USERS: u64 = 40;
const ITEMS: u64 = 60;

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

/// Users with sessions, in the order in which things happen.
pub(crate) struct Crowd {
    pub(crate) die: Die,
    users: u64,
    items: u64,
    made: u64,
    now_ms: i64,
}

impl Crowd {
    pub(crate) fn new(seed: u64) -> Self {
        Self::of(seed, USERS, ITEMS)
    }

    pub(crate) fn of(seed: u64, users: u64, items: u64) -> Self {
        Self { die: Die::new(seed), users, items, made: 0, now_ms: START_MS }
    }

    /// The next event and its record's timestamp. One in fifty repeats an event id, some are late.
    pub(crate) fn next(&mut self) -> (Event, i64) {
        self.made += 1;
        self.now_ms += self.die.roll(4_000).cast_signed();
        let late_ms = if self.die.roll(20) == 0 { self.die.roll(100_000_000) } else { 0 };
        // Few users do most.
        let user = self.die.roll(self.users) * self.die.roll(self.users) / self.users;
        let number = if self.die.roll(50) == 0 { self.made.saturating_sub(7) } else { self.made };
        let is_anonymous = user.is_multiple_of(5);
        let event = Event {
            event_id: format!("e{number}"),
            event_time_ms: self.now_ms - late_ms.cast_signed(),
            user_id: (!is_anonymous).then(|| format!("u{user}")),
            anonymous_id: is_anonymous.then(|| format!("a{user}")),
            session_id: format!("s{user}-{}", self.made / 300),
            surface: "home".to_owned(),
            decision_id: None,
            device: Device::Mobile,
            props: BTreeMap::new(),
            body: self.body(),
        };
        (event, self.now_ms)
    }

    fn body(&mut self) -> EventBody {
        let item_id = format!("m{}", self.die.roll(self.items));
        match self.die.roll(40) {
            0 => EventBody::ItemHidden { item_id },
            1 => EventBody::Searched { query: item_id },
            2..5 => EventBody::ItemsShown { item_ids: vec![item_id, "m1".to_owned()] },
            5 if self.die.roll(8) == 0 => EventBody::UserErased,
            6..9 => {
                let currency = "EUR".to_owned();
                EventBody::ItemPurchased { item_id, price_minor: 900, currency, quantity: 1 }
            }
            9..20 => EventBody::ItemClicked { item_id },
            _ => EventBody::ItemViewed { item_id },
        }
    }
}
