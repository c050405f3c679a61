//! A seeded crowd: how much each user has done, and what.

use std::collections::BTreeMap;

use upnext_common::event::{Device, Event, EventBody};
use upnext_state::UserState;

const DAY_MS: i64 = 86_400_000;
/// When everybody's histories end.
pub(crate) const NOW_MS: i64 = 1_760_000_000_000;
/// How far back they go.
const SPAN_MS: i64 = 180 * DAY_MS;
const ITEMS: f64 = 50_000.0;
/// Nobody has more events.
pub(crate) const EVENTS_MAX: u64 = 100_000;

/// A deterministic source of numbers.
pub(crate) struct Die(u64);

impl Die {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }

    /// A number below `bound`.
    pub(crate) fn roll(&mut self, bound: u64) -> u64 {
        (self.next() >> 11) % bound
    }

    /// A number in (0, 1].
    fn share(&mut self) -> f64 {
        ((self.next() >> 11) + 1) as f64 / (1_u64 << 53) as f64
    }
}

/// How many events a user has: most few, few very many (sessions by a Pareto law with exponent 1.2, six events each in
/// the mean). Median 9, mean about 28, one in a hundred above 300.
pub(crate) fn events_of(die: &mut Die) -> u64 {
    let sessions = whole(die.share().powf(-1.0 / 1.2).min(20_000.0));
    let length = |die: &mut Die| 1 + whole(die.share().ln() / (5.0_f64 / 6.0).ln());
    (0..sessions).map(|_| length(die)).sum::<u64>().min(EVENTS_MAX)
}

/// The state of a user after `events` events of ordinary life.
pub(crate) fn lived(user: u64, events: u64) -> UserState {
    let mut die = Die::new(user);
    let mut state = UserState::new();
    let mut signals = Vec::new();
    let mut met: Vec<u64> = Vec::new();
    let sessions = events.div_ceil(6);
    let mut made = 0;
    for session in 0..sessions {
        // Sessions lie evenly over the span, each somewhere in its share of it.
        let share_ms = SPAN_MS / sessions.cast_signed();
        let within_ms = die.roll(share_ms.cast_unsigned().max(1)).cast_signed();
        let mut time_ms = NOW_MS - SPAN_MS + share_ms * session.cast_signed() + within_ms;
        for _ in 0..6.min(events - made) {
            time_ms = (time_ms + 1_000 + die.roll(60_000).cast_signed()).min(NOW_MS);
            let item = item(&mut die, &mut met);
            let event = event((user, made, session), time_ms, body(&mut die, item));
            state.apply(&event, NOW_MS, made.cast_signed(), &mut signals);
            signals.clear();
            made += 1;
        }
    }
    state
}

/// The state of a user who does `events` things within a minute, all different.
pub(crate) fn bot(events: u64) -> UserState {
    let mut die = Die::new(events);
    let mut state = UserState::new();
    for number in 0..events {
        let time_ms = NOW_MS + (number * 60_000 / events).cast_signed();
        let item = die.roll(1 << 40);
        let event = event((0, number, number), time_ms, body(&mut die, item));
        state.apply(&event, time_ms, number.cast_signed(), &mut Vec::new());
    }
    state
}

/// The whole part of a number that is not negative.
fn whole(number: f64) -> u64 {
    #[expect(clippy::cast_sign_loss, reason = "it is not negative")]
    let whole = number as u64;
    whole
}

/// One in four times an item the user has met before, else one of the catalogue, where few are met by many.
fn item(die: &mut Die, met: &mut Vec<u64>) -> u64 {
    if !met.is_empty() && die.roll(4) == 0 {
        let at = usize::try_from(die.roll(met.len() as u64)).unwrap_or(0);
        return met[at];
    }
    let item = whole(ITEMS * die.share().powi(3));
    if met.len() < 40 {
        met.push(item);
    }
    item
}

fn body(die: &mut Die, item: u64) -> EventBody {
    let item_id = format!("item-{item}");
    match die.roll(100) {
        0..50 => EventBody::ItemViewed { item_id },
        50..72 => EventBody::ItemClicked { item_id },
        72..80 => EventBody::ItemDwelled { item_id, dwell_ms: 9_000 },
        80..83 => EventBody::ItemLiked { item_id },
        83..88 => EventBody::ItemAddedToCart { item_id },
        88..90 => {
            let currency = "EUR".to_owned();
            EventBody::ItemPurchased { item_id, price_minor: 990, currency, quantity: 1 }
        }
        90 => EventBody::ItemHidden { item_id },
        91..97 => EventBody::ItemsShown { item_ids: vec![item_id] },
        _ => EventBody::Searched { query: item_id },
    }
}

/// Names: user, event, session.
fn event(names: (u64, u64, u64), time_ms: i64, body: EventBody) -> Event {
    let (user, number, session) = names;
    Event {
        event_id: format!("{user:016x}-{number:016x}"),
        event_time_ms: time_ms,
        user_id: Some(format!("user-{user}")),
        anonymous_id: None,
        session_id: format!("{user}-{session}"),
        surface: "home".to_owned(),
        decision_id: None,
        device: Device::Unknown,
        props: BTreeMap::new(),
        body,
    }
}
