//! An event in pieces that it lends: what is read of it so far, and what rules look at.

use upnext_common::event::{Device, Event, EventBody, EventType};

/// Most props that are looked at in place.
const PROPS_MAX: usize = 16;

/// Pieces of an event; what its type does not have, or what was not read, is absent.
#[derive(Default)]
pub(crate) struct Parts<'a> {
    pub(crate) event_id: Option<&'a str>,
    pub(crate) event_time_ms: Option<i64>,
    pub(crate) user_id: Option<&'a str>,
    pub(crate) anonymous_id: Option<&'a str>,
    pub(crate) session_id: Option<&'a str>,
    pub(crate) surface: Option<&'a str>,
    pub(crate) decision_id: Option<&'a str>,
    pub(crate) device: Device,
    /// In the order in which they are written.
    pub(crate) props: Vec<(&'a str, &'a str)>,
    pub(crate) item_id: Option<&'a str>,
    pub(crate) item_ids: Option<Vec<&'a str>>,
    pub(crate) dwell_ms: Option<i64>,
    pub(crate) price_minor: Option<i64>,
    pub(crate) currency: Option<&'a str>,
    pub(crate) quantity: Option<i32>,
    pub(crate) query: Option<&'a str>,
}

impl<'a> Parts<'a> {
    /// Whether events of a type are about one item.
    pub(crate) fn has_item(kind: EventType) -> bool {
        kind.is_interaction() || kind == EventType::ItemHidden
    }

    pub(crate) fn of(event: &'a Event) -> Self {
        let mut parts = Self {
            event_id: Some(&event.event_id),
            event_time_ms: Some(event.event_time_ms),
            user_id: event.user_id.as_deref(),
            anonymous_id: event.anonymous_id.as_deref(),
            session_id: Some(&event.session_id),
            surface: Some(&event.surface),
            decision_id: event.decision_id.as_deref(),
            device: event.device,
            props: event.props.iter().map(|(key, text)| (key.as_str(), text.as_str())).collect(),
            item_id: event.body.item_id(),
            ..Self::default()
        };
        parts.add_body(&event.body);
        parts
    }

    fn add_body(&mut self, body: &'a EventBody) {
        match body {
            EventBody::ItemDwelled { dwell_ms, .. } => self.dwell_ms = Some(*dwell_ms),
            EventBody::ItemPurchased { price_minor, currency, quantity, .. } => {
                self.price_minor = Some(*price_minor);
                self.currency = Some(currency);
                self.quantity = Some(*quantity);
            }
            EventBody::ItemsShown { item_ids } => {
                self.item_ids = Some(item_ids.iter().map(String::as_str).collect());
            }
            EventBody::Searched { query } => self.query = Some(query),
            EventBody::ItemViewed { .. }
            | EventBody::ItemClicked { .. }
            | EventBody::ItemLiked { .. }
            | EventBody::ItemAddedToCart { .. }
            | EventBody::ItemHidden { .. }
            | EventBody::UserErased => {}
        }
    }

    /// As [`Event::key`].
    pub(crate) fn key(&self) -> Option<&'a str> {
        self.user_id.or(self.anonymous_id)
    }

    /// Whether an event of the type can be made of it, in which each prop stands once.
    pub(crate) fn is_whole(&self, kind: EventType) -> bool {
        let has_body = match kind {
            EventType::ItemViewed
            | EventType::ItemClicked
            | EventType::ItemLiked
            | EventType::ItemAddedToCart
            | EventType::ItemHidden => self.item_id.is_some(),
            EventType::ItemDwelled => self.item_id.is_some() && self.dwell_ms.is_some(),
            EventType::ItemPurchased => {
                self.item_id.is_some()
                    && self.price_minor.is_some()
                    && self.currency.is_some()
                    && self.quantity.is_some()
            }
            EventType::ItemsShown => self.item_ids.is_some(),
            EventType::Searched => self.query.is_some(),
            EventType::UserErased => true,
        };
        has_body
            && self.event_id.is_some()
            && self.event_time_ms.is_some()
            && self.session_id.is_some()
            && self.surface.is_some()
            && self.has_each_prop_once()
    }

    /// Few at a time, or else it is not looked at.
    fn has_each_prop_once(&self) -> bool {
        let props = self.props.as_slice();
        let is_first = |at: usize, key: &str| props[..at].iter().all(|(other, _)| *other != key);
        props.len() <= PROPS_MAX && props.iter().enumerate().all(|(at, (key, _))| is_first(at, key))
    }

    /// The event, with the contract's defaults where the writer has none; `None` where something required is absent.
    pub(crate) fn into_event(self, kind: EventType) -> Option<Event> {
        let item_id = self.item_id.map(str::to_owned);
        let body = match kind {
            EventType::ItemViewed => EventBody::ItemViewed { item_id: item_id? },
            EventType::ItemClicked => EventBody::ItemClicked { item_id: item_id? },
            EventType::ItemLiked => EventBody::ItemLiked { item_id: item_id? },
            EventType::ItemAddedToCart => EventBody::ItemAddedToCart { item_id: item_id? },
            EventType::ItemHidden => EventBody::ItemHidden { item_id: item_id? },
            EventType::ItemDwelled => {
                EventBody::ItemDwelled { item_id: item_id?, dwell_ms: self.dwell_ms? }
            }
            EventType::ItemPurchased => EventBody::ItemPurchased {
                item_id: item_id?,
                price_minor: self.price_minor?,
                currency: self.currency?.to_owned(),
                quantity: self.quantity?,
            },
            EventType::ItemsShown => {
                let item_ids = self.item_ids?.into_iter().map(str::to_owned).collect();
                EventBody::ItemsShown { item_ids }
            }
            EventType::Searched => EventBody::Searched { query: self.query?.to_owned() },
            EventType::UserErased => EventBody::UserErased,
        };
        let props = self.props.into_iter();
        Some(Event {
            event_id: self.event_id?.to_owned(),
            event_time_ms: self.event_time_ms?,
            user_id: self.user_id.map(str::to_owned),
            anonymous_id: self.anonymous_id.map(str::to_owned),
            session_id: self.session_id.unwrap_or_default().to_owned(),
            surface: self.surface.unwrap_or("unknown").to_owned(),
            decision_id: self.decision_id.map(str::to_owned),
            device: self.device,
            props: props.map(|(key, text)| (key.to_owned(), text.to_owned())).collect(),
            body,
        })
    }
}
