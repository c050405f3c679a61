//! What a user did: the ten event types, one head in common.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// One thing that happened, as the contract accepted it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// Producer's unique id, uuid text.
    pub event_id: String,
    /// When it happened, milliseconds since the epoch.
    pub event_time_ms: i64,
    pub user_id: Option<String>,
    pub anonymous_id: Option<String>,
    pub session_id: String,
    pub surface: String,
    /// The decision whose answer led to this event, for attribution.
    pub decision_id: Option<String>,
    pub device: Device,
    pub props: BTreeMap<String, String>,
    pub body: EventBody,
}

impl Event {
    /// The record key: `user_id`, else `anonymous_id`. `None` when the event names neither.
    #[must_use]
    pub fn key(&self) -> Option<&str> {
        self.user_id.as_deref().or(self.anonymous_id.as_deref())
    }

    /// Whose state this event belongs to.
    #[must_use]
    pub fn subject(&self) -> Option<Subject<'_>> {
        match (&self.user_id, &self.anonymous_id) {
            (Some(user), _) => Some(Subject::User(user)),
            (None, Some(anonymous)) => Some(Subject::Anonymous(anonymous)),
            (None, None) => None,
        }
    }

    #[must_use]
    pub fn event_type(&self) -> EventType {
        self.body.event_type()
    }
}

/// Whose state it is: known and anonymous ids are different name spaces.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Subject<'a> {
    User(&'a str),
    Anonymous(&'a str),
}

impl<'a> Subject<'a> {
    /// The id alone, which is the key of the subject's records.
    #[must_use]
    pub fn id(self) -> &'a str {
        match self {
            Self::User(id) | Self::Anonymous(id) => id,
        }
    }
}

/// What differs from one event type to the next.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum EventBody {
    ItemViewed { item_id: String },
    ItemClicked { item_id: String },
    ItemDwelled { item_id: String, dwell_ms: i64 },
    ItemLiked { item_id: String },
    ItemAddedToCart { item_id: String },
    ItemPurchased { item_id: String, price_minor: i64, currency: String, quantity: i32 },
    ItemHidden { item_id: String },
    ItemsShown { item_ids: Vec<String> },
    Searched { query: String },
    UserErased,
}

impl EventBody {
    #[must_use]
    pub fn event_type(&self) -> EventType {
        match self {
            Self::ItemViewed { .. } => EventType::ItemViewed,
            Self::ItemClicked { .. } => EventType::ItemClicked,
            Self::ItemDwelled { .. } => EventType::ItemDwelled,
            Self::ItemLiked { .. } => EventType::ItemLiked,
            Self::ItemAddedToCart { .. } => EventType::ItemAddedToCart,
            Self::ItemPurchased { .. } => EventType::ItemPurchased,
            Self::ItemHidden { .. } => EventType::ItemHidden,
            Self::ItemsShown { .. } => EventType::ItemsShown,
            Self::Searched { .. } => EventType::Searched,
            Self::UserErased => EventType::UserErased,
        }
    }

    /// The single item this event is about; `None` for lists, searches and erasures.
    #[must_use]
    pub fn item_id(&self) -> Option<&str> {
        match self {
            Self::ItemViewed { item_id }
            | Self::ItemClicked { item_id }
            | Self::ItemDwelled { item_id, .. }
            | Self::ItemLiked { item_id }
            | Self::ItemAddedToCart { item_id }
            | Self::ItemPurchased { item_id, .. }
            | Self::ItemHidden { item_id } => Some(item_id),
            Self::ItemsShown { .. } | Self::Searched { .. } | Self::UserErased => None,
        }
    }
}

/// The closed list of event types. Its order is part of the encoding of state: append only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[repr(u8)]
pub enum EventType {
    ItemViewed = 0,
    ItemClicked = 1,
    ItemDwelled = 2,
    ItemLiked = 3,
    ItemAddedToCart = 4,
    ItemPurchased = 5,
    ItemHidden = 6,
    ItemsShown = 7,
    Searched = 8,
    UserErased = 9,
}

impl EventType {
    pub const ALL: [Self; 10] = [
        Self::ItemViewed,
        Self::ItemClicked,
        Self::ItemDwelled,
        Self::ItemLiked,
        Self::ItemAddedToCart,
        Self::ItemPurchased,
        Self::ItemHidden,
        Self::ItemsShown,
        Self::Searched,
        Self::UserErased,
    ];

    /// The Avro record name, also the `type` of events over HTTP.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::ItemViewed => "ItemViewed",
            Self::ItemClicked => "ItemClicked",
            Self::ItemDwelled => "ItemDwelled",
            Self::ItemLiked => "ItemLiked",
            Self::ItemAddedToCart => "ItemAddedToCart",
            Self::ItemPurchased => "ItemPurchased",
            Self::ItemHidden => "ItemHidden",
            Self::ItemsShown => "ItemsShown",
            Self::Searched => "Searched",
            Self::UserErased => "UserErased",
        }
    }

    /// The short word used in CSV files and in `windows` of a user's features.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::ItemViewed => "view",
            Self::ItemClicked => "click",
            Self::ItemDwelled => "dwell",
            Self::ItemLiked => "like",
            Self::ItemAddedToCart => "cart",
            Self::ItemPurchased => "purchase",
            Self::ItemHidden => "hide",
            Self::ItemsShown => "shown",
            Self::Searched => "search",
            Self::UserErased => "erase",
        }
    }

    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.word() == word)
    }

    #[must_use]
    pub fn from_code(code: u8) -> Option<Self> {
        Self::ALL.get(usize::from(code)).copied()
    }

    #[must_use]
    pub fn code(self) -> u8 {
        self as u8
    }

    /// Whether it shows interest in one item: these feed a user's sequence and co-visitation.
    #[must_use]
    pub fn is_interaction(self) -> bool {
        match self {
            Self::ItemViewed
            | Self::ItemClicked
            | Self::ItemDwelled
            | Self::ItemLiked
            | Self::ItemAddedToCart
            | Self::ItemPurchased => true,
            Self::ItemHidden | Self::ItemsShown | Self::Searched | Self::UserErased => false,
        }
    }
}

/// The caller's device. `Unknown` is the contract's default.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Device {
    #[default]
    Unknown,
    Desktop,
    Mobile,
    Tablet,
    Tv,
}

impl Device {
    pub const ALL: [Self; 5] = [Self::Unknown, Self::Desktop, Self::Mobile, Self::Tablet, Self::Tv];

    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Desktop => "desktop",
            Self::Mobile => "mobile",
            Self::Tablet => "tablet",
            Self::Tv => "tv",
        }
    }

    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|device| device.name() == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_words_and_codes_come_back() {
        for kind in EventType::ALL {
            assert_eq!(EventType::from_name(kind.name()), Some(kind));
            assert_eq!(EventType::from_word(kind.word()), Some(kind));
            assert_eq!(EventType::from_code(kind.code()), Some(kind));
        }
        assert_eq!(EventType::from_code(10), None);
        for device in Device::ALL {
            assert_eq!(Device::from_name(device.name()), Some(device));
        }
    }
}
