//! The fields that rules speak of, and what they see there.

use std::collections::BTreeMap;

use serde::Deserialize;
use upnext_common::event::EventType;
use upnext_common::item::Item;

use crate::parts::Parts;

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
    Each(&'a [&'a str]),
    /// Each key of a map.
    Keys(Entries<'a>),
    /// Each value of a map.
    Values(Entries<'a>),
}

/// A map's entries.
#[derive(Clone, Copy)]
pub(crate) enum Entries<'a> {
    Map(&'a BTreeMap<String, String>),
    Pairs(&'a [(&'a str, &'a str)]),
}

impl<'a> Entries<'a> {
    pub(crate) fn iter(self) -> impl Iterator<Item = (&'a str, &'a str)> {
        let (map, pairs) = match self {
            Self::Map(map) => (Some(map), &[][..]),
            Self::Pairs(pairs) => (None, pairs),
        };
        let map = map.into_iter().flatten().map(|(key, text)| (key.as_str(), text.as_str()));
        map.chain(pairs.iter().copied())
    }
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
    #[expect(clippy::cast_precision_loss, reason = "ranges of rules lie far below 2^53")]
    pub(crate) fn of<'a>(self, event: &'a Parts<'_>) -> Option<Seen<'a>> {
        let entries = Entries::Pairs(&event.props);
        match self {
            Self::EventId => event.event_id.map(Seen::Text),
            Self::UserId => event.user_id.map(Seen::Text),
            Self::AnonymousId => event.anonymous_id.map(Seen::Text),
            Self::SessionId => event.session_id.map(Seen::Text),
            Self::Surface => event.surface.map(Seen::Text),
            Self::DecisionId => event.decision_id.map(Seen::Text),
            Self::Props => Some(Seen::Count(event.props.len())),
            Self::PropsKeys => Some(Seen::Keys(entries)),
            Self::PropsValues => Some(Seen::Values(entries)),
            Self::ItemId => event.item_id.map(Seen::Text),
            Self::ItemIds => event.item_ids.as_ref().map(|ids| Seen::Count(ids.len())),
            Self::ItemIdsEach => event.item_ids.as_deref().map(Seen::Each),
            Self::DwellMs => event.dwell_ms.map(|dwell_ms| Seen::Number(dwell_ms as f64)),
            Self::PriceMinor => event.price_minor.map(|price| Seen::Number(price as f64)),
            Self::Currency => event.currency.map(Seen::Text),
            Self::Quantity => event.quantity.map(|count| Seen::Number(f64::from(count))),
            Self::Query => event.query.map(Seen::Text),
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
            Self::AttributesKeys => Some(Seen::Keys(Entries::Map(&item.attributes))),
            Self::AttributesValues => Some(Seen::Values(Entries::Map(&item.attributes))),
        }
    }
}
