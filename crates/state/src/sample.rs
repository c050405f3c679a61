//! Events for tests: made by hand, or at random around one day.

use std::collections::BTreeMap;

use proptest::prelude::*;
use upnext_common::event::{Device, Event, EventBody, EventType};

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

/// Up to `most` events with distinct ids, in order of time, over 30 hours; no erasures.
pub(crate) fn events(most: usize) -> impl Strategy<Value = Vec<Event>> {
    let one = (0..108_000_000_i64, 0..9_u8, 0..40_u64, 0..5_u64);
    proptest::collection::vec(one, 1..most).prop_map(|mut rows| {
        rows.sort();
        let numbered = rows.into_iter().zip(0..);
        let made = numbered.map(|((after_ms, code, item, session), number)| {
            let kind = EventType::from_code(code).unwrap();
            event(number, NOON_MS + after_ms, session, body(kind, item))
        });
        made.collect()
    })
}

/// The same events, each delayed by less than `late_ms`.
pub(crate) fn delayed(events: &[Event], late_ms: u64, seed: u64) -> Vec<Event> {
    let mut state = seed | 1;
    let mut order: Vec<(i64, usize)> = Vec::new();
    for (at, event) in events.iter().enumerate() {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        order.push((event.event_time_ms + (state % late_ms).cast_signed(), at));
    }
    order.sort_unstable();
    order.into_iter().map(|(_, at)| events[at].clone()).collect()
}
