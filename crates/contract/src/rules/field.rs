//! The fields that rules speak of, and what they see there.

use std::collections::BTreeMap;

use serde::Deserialize;
use upnext_common::event::{Event, EventBody, EventType};
use upnext_common::item::Item;

/// A field of events or items, by the name the rule files give it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub(crate) enum Field {
    Event(EventField),
    Item(ItemField),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum EventField {
    EventId,
    UserId,
    AnonymousId,
    SessionId,
    Surface,
    DecisionId,
    Props,
    #[serde(rename = "props.keys")]
    PropsKeys,
    #[serde(rename = "props.values")]
    PropsValues,
    ItemId,
    ItemIds,
    #[serde(rename = "item_ids.each")]
    ItemIdsEach,
    DwellMs,
    PriceMinor,
    Currency,
    Quantity,
    Query,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub(crate) enum ItemField {
    #[serde(rename = "item.item_id")]
    ItemId,
    #[serde(rename = "item.title")]
    Title,
    #[serde(rename = "item.category")]
    Category,
    #[serde(rename = "item.price")]
    Price,
    #[serde(rename = "item.attributes")]
    Attributes,
    #[serde(rename = "item.attributes.keys")]
    AttributesKeys,
    #[serde(rename = "item.attributes.values")]
    AttributesValues,
}

/// What stands in a field.
pub(crate) enum Seen<'a> {
    Text(&'a str),
    Number(f64),
    /// Entries of a list or map.
    Count(usize),
    /// Each text of a list.
    Each(&'a [String]),
    /// Each key of a map.
    Keys(&'a BTreeMap<String, String>),
    /// Each value of a map.
    Values(&'a BTreeMap<String, String>),
}

impl Field {
    /// RFC 6901 pointer to the field.
    pub(crate) fn pointer(self) -> &'static str {
        match self {
            Self::Event(field) => field.pointer(),
            Self::Item(field) => field.pointer(),
        }
    }
}

impl EventField {
    fn pointer(self) -> &'static str {
        match self {
            Self::EventId => "/event_id",
            Self::UserId => "/user_id",
            Self::AnonymousId => "/anonymous_id",
            Self::SessionId => "/session_id",
            Self::Surface => "/surface",
            Self::DecisionId => "/decision_id",
            Self::Props | Self::PropsKeys | Self::PropsValues => "/props",
            Self::ItemId => "/item_id",
            Self::ItemIds | Self::ItemIdsEach => "/item_ids",
            Self::DwellMs => "/dwell_ms",
            Self::PriceMinor => "/price_minor",
            Self::Currency => "/currency",
            Self::Quantity => "/quantity",
            Self::Query => "/query",
        }
    }

    /// Whether events of a type have the field.
    pub(crate) fn is_of(self, kind: EventType) -> bool {
        match self {
            Self::EventId
            | Self::UserId
            | Self::AnonymousId
            | Self::SessionId
            | Self::Surface
            | Self::DecisionId
            | Self::Props
            | Self::PropsKeys
            | Self::PropsValues => true,
            Self::ItemId => kind.is_interaction() || kind == EventType::ItemHidden,
            Self::ItemIds | Self::ItemIdsEach => kind == EventType::ItemsShown,
            Self::DwellMs => kind == EventType::ItemDwelled,
            Self::PriceMinor | Self::Currency | Self::Quantity => kind == EventType::ItemPurchased,
            Self::Query => kind == EventType::Searched,
        }
    }

    /// What the event has there; nothing where the field is absent.
    pub(crate) fn of(self, event: &Event) -> Option<Seen<'_>> {
        match self {
            Self::EventId => Some(Seen::Text(&event.event_id)),
            Self::UserId => event.user_id.as_deref().map(Seen::Text),
            Self::AnonymousId => event.anonymous_id.as_deref().map(Seen::Text),
            Self::SessionId => Some(Seen::Text(&event.session_id)),
            Self::Surface => Some(Seen::Text(&event.surface)),
            Self::DecisionId => event.decision_id.as_deref().map(Seen::Text),
            Self::Props => Some(Seen::Count(event.props.len())),
            Self::PropsKeys => Some(Seen::Keys(&event.props)),
            Self::PropsValues => Some(Seen::Values(&event.props)),
            Self::ItemId => event.body.item_id().map(Seen::Text),
            Self::ItemIds
            | Self::ItemIdsEach
            | Self::DwellMs
            | Self::PriceMinor
            | Self::Currency
            | Self::Quantity
            | Self::Query => self.of_body(&event.body),
        }
    }

    #[expect(clippy::cast_precision_loss, reason = "ranges of rules lie far below 2^53")]
    fn of_body(self, body: &EventBody) -> Option<Seen<'_>> {
        match (self, body) {
            (Self::ItemIds, EventBody::ItemsShown { item_ids }) => {
                Some(Seen::Count(item_ids.len()))
            }
            (Self::ItemIdsEach, EventBody::ItemsShown { item_ids }) => Some(Seen::Each(item_ids)),
            (Self::DwellMs, EventBody::ItemDwelled { dwell_ms, .. }) => {
                Some(Seen::Number(*dwell_ms as f64))
            }
            (Self::PriceMinor, EventBody::ItemPurchased { price_minor, .. }) => {
                Some(Seen::Number(*price_minor as f64))
            }
            (Self::Currency, EventBody::ItemPurchased { currency, .. }) => {
                Some(Seen::Text(currency))
            }
            (Self::Quantity, EventBody::ItemPurchased { quantity, .. }) => {
                Some(Seen::Number(f64::from(*quantity)))
            }
            (Self::Query, EventBody::Searched { query }) => Some(Seen::Text(query)),
            (_, _) => None,
        }
    }
}

impl ItemField {
    fn pointer(self) -> &'static str {
        match self {
            Self::ItemId => "/item_id",
            Self::Title => "/title",
            Self::Category => "/category",
            Self::Price => "/price",
            Self::Attributes | Self::AttributesKeys | Self::AttributesValues => "/attributes",
        }
    }

    /// What the item has there.
    pub(crate) fn of(self, item: &Item) -> Option<Seen<'_>> {
        match self {
            Self::ItemId => Some(Seen::Text(&item.item_id)),
            Self::Title => item.title.as_deref().map(Seen::Text),
            Self::Category => item.category.as_deref().map(Seen::Text),
            Self::Price => item.price.map(Seen::Number),
            Self::Attributes => Some(Seen::Count(item.attributes.len())),
            Self::AttributesKeys => Some(Seen::Keys(&item.attributes)),
            Self::AttributesValues => Some(Seen::Values(&item.attributes)),
        }
    }
}
