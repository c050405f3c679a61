//! Events for tests: made by hand, or at random around one day.

use std::collections::BTreeMap;

use proptest::prelude::*;
use upnext_common::event::{Device, Event, EventBody, EventType};

use crate::half_life::DAY_MS;

pub(crate) const NOON_MS: i64 = 1_700_000_000_000;

/// One event of a user in a session; its id is unique for `number`.
pub(crate) fn event(number: u64, time_ms: i64, session: u64, body: EventBody) -> Event {
    Event {
        event_id: format!("e{number}"),
        event_time_ms: time_ms,
        user_id: Some("u1".to_owned()),
        anonymous_id: None,
        session_id: format!("s{session}"),
        surface: "home".to_owned(),
        decision_id: None,
        device: Device::Unknown,
        props: BTreeMap::new(),
        body,
    }
}

pub(crate) fn body(kind: EventType, item: u64) -> EventBody {
    let item_id = format!("m{item}");
    match kind {
        EventType::ItemViewed => EventBody::ItemViewed { item_id },
        EventType::ItemClicked => EventBody::ItemClicked { item_id },
        EventType::ItemDwelled => EventBody::ItemDwelled { item_id, dwell_ms: 900 },
        EventType::ItemLiked => EventBody::ItemLiked { item_id },
        EventType::ItemAddedToCart => EventBody::ItemAddedToCart { item_id },
        EventType::ItemPurchased => {
            let currency = "EUR".to_owned();
            EventBody::ItemPurchased { item_id, price_minor: 100, currency, quantity: 1 }
        }
        EventType::ItemHidden => EventBody::ItemHidden { item_id },
        EventType::ItemsShown => {
            EventBody::ItemsShown { item_ids: vec![item_id, format!("m{}", item + 1)] }
        }
        EventType::Searched => EventBody::Searched { query: item_id },
        EventType::UserErased => EventBody::UserErased,
    }
}

pub(crate) fn view(number: u64, time_ms: i64, item: u64) -> Event {
    event(number, time_ms, 0, body(EventType::ItemViewed, item))
}

/// Properties are held against this many histories each.
pub(crate) fn cases() -> ProptestConfig {
    ProptestConfig::with_cases(4_000)
}

/// Up to `most` events with distinct ids, in order of time, over minutes, 30 hours or 200 days; no erasures.
pub(crate) fn events(most: usize) -> impl Strategy<Value = Vec<Event>> {
    let spans =
        prop_oneof![1 => Just(200_000_i64), 3 => Just(108_000_000), 1 => Just(200 * DAY_MS)];
    let one = (0..1_000_000_i64, 0..9_u8, 0..40_u64, 0..5_u64);
    (spans, proptest::collection::vec(one, 1..most)).prop_map(|(span_ms, mut rows)| {
        rows.sort_unstable();
        let numbered = rows.into_iter().zip(0..);
        let made = numbered.map(|((share, code, item, session), number)| {
            let kind = EventType::from_code(code).unwrap();
            let time_ms = NOON_MS + share * span_ms / 1_000_000;
            event(number, time_ms, session, body(kind, item))
        });
        made.collect()
    })
}

/// Histories as they are: most are short, some fill every bounded memory of a user.
pub(crate) fn histories() -> impl Strategy<Value = Vec<Event>> {
    prop_oneof![12 => events(24), 3 => events(90), 1 => events(240)]
}

/// An event and its record's timestamp.
pub(crate) type Logged = (Event, i64);

/// A log in order of arrival, with what logs have: late events, event ids again, times after the record's, and now and
/// then an erasure.
pub(crate) fn logs() -> impl Strategy<Value = Vec<Logged>> {
    (histories(), any::<u64>()).prop_map(|(events, seed)| {
        let mut die = Die(seed | 1);
        let arrived = delayed(&events, 3_000_000, seed);
        let mut newest_ms = 0;
        let logged = arrived.into_iter().map(|mut event| {
            newest_ms = event.event_time_ms.max(newest_ms);
            match die.roll(40) {
                0 => event.event_id = format!("e{}", die.roll(20)),
                1 => event.event_time_ms += 90 * DAY_MS,
                2 if die.roll(4) == 0 => event.body = EventBody::UserErased,
                _ => {}
            }
            (event, newest_ms)
        });
        logged.collect()
    })
}

/// The same events, each delayed by less than `late_ms`; those of one moment stay in order.
pub(crate) fn delayed(events: &[Event], late_ms: u64, seed: u64) -> Vec<Event> {
    let mut die = Die(seed | 1);
    let mut order: Vec<(i64, usize)> = Vec::new();
    let mut before = (i64::MIN, 0);
    for (at, event) in events.iter().enumerate() {
        let time_ms = event.event_time_ms;
        let delay_ms = if time_ms == before.0 { before.1 } else { die.roll(late_ms).cast_signed() };
        before = (time_ms, delay_ms);
        order.push((time_ms + delay_ms, at));
    }
    order.sort_unstable();
    order.into_iter().map(|(_, at)| events[at].clone()).collect()
}

/// A deterministic source of numbers.
struct Die(u64);

impl Die {
    /// A number below `bound`.
    fn roll(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }
}
