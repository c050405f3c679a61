//! What was read of an event so far.

use std::collections::BTreeMap;

use upnext_common::event::{Device, Event, EventBody, EventType};

#[derive(Default)]
pub(super) struct Parts {
    pub(super) event_id: Option<String>,
    pub(super) event_time_ms: Option<i64>,
    pub(super) user_id: Option<String>,
    pub(super) anonymous_id: Option<String>,
    pub(super) session_id: Option<String>,
    pub(super) surface: Option<String>,
    pub(super) decision_id: Option<String>,
    pub(super) device: Device,
    pub(super) props: BTreeMap<String, String>,
    pub(super) item_id: Option<String>,
    pub(super) item_ids: Option<Vec<String>>,
    pub(super) dwell_ms: Option<i64>,
    pub(super) price_minor: Option<i64>,
    pub(super) currency: Option<String>,
    pub(super) quantity: Option<i32>,
    pub(super) query: Option<String>,
}

impl Parts {
    /// Whether events of a type are about one item.
    pub(super) fn has_item(kind: EventType) -> bool {
        kind.is_interaction() || kind == EventType::ItemHidden
    }

    /// The event, with the contract's defaults where the writer has none; `None` where something required is absent.
    pub(super) fn into_event(self, kind: EventType) -> Option<Event> {
        let item_id = self.item_id;
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
                currency: self.currency?,
                quantity: self.quantity?,
            },
            EventType::ItemsShown => EventBody::ItemsShown { item_ids: self.item_ids? },
            EventType::Searched => EventBody::Searched { query: self.query? },
            EventType::UserErased => EventBody::UserErased,
        };
        Some(Event {
            event_id: self.event_id?,
            event_time_ms: self.event_time_ms?,
            user_id: self.user_id,
            anonymous_id: self.anonymous_id,
            session_id: self.session_id.unwrap_or_default(),
            surface: self.surface.unwrap_or_else(|| "unknown".to_owned()),
            decision_id: self.decision_id,
            device: self.device,
            props: self.props,
            body,
        })
    }
}
