//! `ts_ms,user_id,session_id,item_id,event_type[,value]`, quoted where a field holds a comma.

use upnext_common::event::{Device, Event, EventBody, EventType};

use super::{DatasetError, Words, event_id, words};

pub(super) const EXPECTED: &str = "ts_ms,user_id,session_id,item_id,event_type[,value]";
/// The ISO 4217 code for "no currency": CSV carries none.
const NO_CURRENCY: &str = "XXX";
const SURFACE: &str = "home";

/// Where each column stands in a row.
#[derive(Clone, Debug)]
pub(super) struct Columns {
    time: usize,
    user: usize,
    session: usize,
    item: usize,
    kind: usize,
    value: Option<usize>,
}

impl Columns {
    pub(super) fn read(header: &str) -> Option<Self> {
        let names = fields(header);
        let find = |name: &str| names.iter().position(|found| found.trim() == name);
        Some(Self {
            time: find("ts_ms")?,
            user: find("user_id")?,
            session: find("session_id")?,
            item: find("item_id")?,
            kind: find("event_type")?,
            value: find("value"),
        })
    }

    pub(super) fn event(
        &self,
        text: &str,
        line: u64,
        words: &Words,
    ) -> Result<Event, DatasetError> {
        let row = fields(text);
        let bad = |message: &str| DatasetError::BadRow { line, message: message.to_owned() };
        let field = |at: usize| row.get(at).map_or("", |field| field.trim());
        let time = field(self.time).parse::<i64>().map_err(|_| bad("ts_ms is not a number"))?;
        let (user, session, item) = (field(self.user), field(self.session), field(self.item));
        if item.is_empty() {
            return Err(bad("item_id is empty"));
        }
        if user.is_empty() && session.is_empty() {
            return Err(bad("neither user_id nor session_id is given"));
        }
        let word = field(self.kind);
        let kind = words.read(word).ok_or_else(|| DatasetError::UnknownWord {
            line,
            word: word.to_owned(),
            known: words::list(),
        })?;
        let value = self.value.map_or("", field);
        let value = if value.is_empty() { None } else { Some(value.parse::<f64>()) };
        let value = value.transpose().map_err(|_| bad("value is not a number"))?;
        let of = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        Ok(Event {
            event_id: event_id(text, line),
            event_time_ms: time,
            user_id: of(user),
            anonymous_id: if user.is_empty() { of(session) } else { None },
            session_id: if session.is_empty() { user } else { session }.to_owned(),
            surface: SURFACE.to_owned(),
            decision_id: None,
            device: Device::Unknown,
            props: std::collections::BTreeMap::new(),
            body: body(kind, item.to_owned(), value).ok_or_else(|| bad("no such event in CSV"))?,
        })
    }
}

/// `value` is milliseconds for a dwell and the price paid for a purchase.
fn body(kind: EventType, item_id: String, value: Option<f64>) -> Option<EventBody> {
    let value = value.unwrap_or(0.0);
    Some(match kind {
        EventType::ItemViewed => EventBody::ItemViewed { item_id },
        EventType::ItemClicked => EventBody::ItemClicked { item_id },
        EventType::ItemDwelled => EventBody::ItemDwelled { item_id, dwell_ms: rounded(value) },
        EventType::ItemLiked => EventBody::ItemLiked { item_id },
        EventType::ItemAddedToCart => EventBody::ItemAddedToCart { item_id },
        EventType::ItemPurchased => EventBody::ItemPurchased {
            item_id,
            price_minor: rounded(value * 100.0),
            currency: NO_CURRENCY.to_owned(),
            quantity: 1,
        },
        EventType::ItemHidden => EventBody::ItemHidden { item_id },
        EventType::ItemsShown | EventType::Searched | EventType::UserErased => return None,
    })
}

#[expect(clippy::cast_possible_truncation, reason = "clamped to what an i64 holds exactly")]
fn rounded(value: f64) -> i64 {
    value.round().clamp(-9.0e15, 9.0e15) as i64
}

/// The fields of one line; `""` inside quotes is a quote.
pub(super) fn fields(text: &str) -> Vec<String> {
    let mut fields = vec![String::new()];
    let mut is_quoted = false;
    let mut rest = text.chars().peekable();
    while let Some(character) = rest.next() {
        let field = fields.last_mut().expect("there is always a field");
        match character {
            '"' if is_quoted && rest.peek() == Some(&'"') => {
                rest.next();
                field.push('"');
            }
            '"' => is_quoted = !is_quoted,
            ',' if !is_quoted => fields.push(String::new()),
            other => field.push(other),
        }
    }
    fields
}
