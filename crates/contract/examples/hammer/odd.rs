//! Events that are well formed and break the contract: texts too long, empty or full of controls, extreme numbers.

use upnext_common::event::{Event, EventBody, EventType};
use upnext_contract::Encoder;
use upnext_contract::json::{Defaults, read_event};

use crate::dice::Dice;
use crate::writers;

pub(crate) const NOW_MS: i64 = 1_790_000_000_000;
pub(crate) const USER: &str = "u-17";

pub(crate) fn valid(kind: EventType) -> Event {
    let mut form = serde_json::json!({
        "type": kind.name(), "event_id": "0190a6e1-7f4e-7c3a-9a51-0242ac120002", "user_id": USER,
        "session_id": "s", "props": { "k": "v" }, "device": "tv",
    });
    for (name, value) in writers::body_of(kind) {
        form[name] = value;
    }
    read_event(&form, Defaults { now_ms: NOW_MS }).expect("a valid event")
}

/// Its Avro, without a frame.
pub(crate) fn written(event: &Event) -> Vec<u8> {
    let framed = Encoder::with_ids(|_| 1).event(event).expect("a small event");
    framed[5..].to_vec()
}

/// The Avro of an event with one or two things wrong.
pub(crate) fn content(dice: &mut Dice, kind: EventType) -> Vec<u8> {
    let mut event = valid(kind);
    for _ in 0..=dice.below(2) {
        match dice.below(9) {
            0 => event.event_id = text(dice),
            1 => event.event_time_ms = number(dice),
            2 => event.user_id = Some(text(dice)).filter(|text| text.len() < 99),
            3 => event.anonymous_id = Some(text(dice)),
            4 => event.session_id = text(dice),
            5 => event.surface = text(dice),
            6 => event.decision_id = Some(text(dice)),
            7 => event.props.extend((0..dice.below(80)).map(|_| (text(dice), text(dice)))),
            _ => worsen(dice, &mut event.body),
        }
    }
    written(&event)
}

fn worsen(dice: &mut Dice, body: &mut EventBody) {
    match body {
        EventBody::ItemViewed { item_id }
        | EventBody::ItemClicked { item_id }
        | EventBody::ItemLiked { item_id }
        | EventBody::ItemAddedToCart { item_id }
        | EventBody::ItemHidden { item_id } => *item_id = text(dice),
        EventBody::ItemDwelled { dwell_ms, .. } => *dwell_ms = number(dice),
        EventBody::ItemPurchased { price_minor, currency, quantity, .. } => match dice.below(3) {
            0 => *price_minor = number(dice),
            1 => *currency = text(dice),
            _ => *quantity = i32::try_from(number(dice)).unwrap_or(i32::MIN),
        },
        EventBody::ItemsShown { item_ids } => {
            *item_ids = (0..dice.below(600)).map(|_| text(dice)).collect();
        }
        EventBody::Searched { query } => *query = text(dice),
        EventBody::UserErased => {}
    }
}

fn text(dice: &mut Dice) -> String {
    match dice.below(6) {
        0 => String::new(),
        1 => "\u{0}\n\u{202e}".to_owned(),
        2 => "é".repeat(dice.below(700)),
        3 => String::from_utf8_lossy(&dice.bytes(40)).into_owned(),
        4 => "a~/\"b".to_owned(),
        _ => format!("t{}", dice.below(1_000)),
    }
}

fn number(dice: &mut Dice) -> i64 {
    match dice.below(6) {
        0 => i64::MIN,
        1 => i64::MAX,
        2 => -1,
        3 => NOW_MS / 1_000,
        4 => NOW_MS.saturating_mul(1_000),
        _ => dice.number().cast_signed() >> dice.below(64),
    }
}
