//! The JSON form of events and items: what comes over HTTP and stands in JSON lines.

mod object;

use serde_json::{Map, Value, json};
use upnext_common::event::{Device, Event, EventBody, EventType};
use upnext_common::item::Item;
use uuid::Uuid;

use crate::verdict::{Reason, Rejection};
use object::Object;

/// What is filled in where an event does not say.
#[derive(Clone, Copy, Debug)]
pub struct Defaults {
    /// Time of an event without `event_time`.
    pub now_ms: i64,
}

/// Reads one event. Unknown fields, wrong types and missing ones are rejections that point at the place.
///
/// # Errors
/// As a rejection, with the same reasons as on the dead-letter topic.
pub fn read_event(value: &Value, defaults: Defaults) -> Result<Event, Rejection> {
    let mut object = Object::of(value)?;
    let kind = read_type(&mut object)?;
    let event = Event {
        event_id: object.optional_text("event_id")?.unwrap_or_else(|| Uuid::new_v4().to_string()),
        event_time_ms: object.optional_integer("event_time")?.unwrap_or(defaults.now_ms),
        user_id: object.optional_text("user_id")?,
        anonymous_id: object.optional_text("anonymous_id")?,
        session_id: object.optional_text("session_id")?.unwrap_or_default(),
        surface: object.optional_text("surface")?.unwrap_or_else(|| "unknown".to_owned()),
        decision_id: object.optional_text("decision_id")?,
        device: read_device(&mut object)?,
        props: object.scalars("props")?,
        body: read_body(kind, &mut object)?,
    };
    object.nothing_left()?;
    if event.key().is_none() {
        let detail = "neither user_id nor anonymous_id is given";
        return Err(Rejection::new(Reason::Missing, "/user_id", detail));
    }
    Ok(event)
}

fn read_type(object: &mut Object<'_>) -> Result<EventType, Rejection> {
    let name = object.text("type")?;
    EventType::from_name(&name).ok_or_else(|| {
        let known = EventType::ALL.map(EventType::name).join(", ");
        Rejection::new(Reason::Enum, "/type", format!("`{name}` is not one of {known}"))
    })
}

fn read_device(object: &mut Object<'_>) -> Result<Device, Rejection> {
    let Some(name) = object.optional_text("device")? else {
        return Ok(Device::default());
    };
    Device::from_name(&name).ok_or_else(|| {
        let known = Device::ALL.map(Device::name).join(", ");
        Rejection::new(Reason::Enum, "/device", format!("`{name}` is not one of {known}"))
    })
}

fn read_body(kind: EventType, object: &mut Object<'_>) -> Result<EventBody, Rejection> {
    Ok(match kind {
        EventType::ItemViewed => EventBody::ItemViewed { item_id: object.text("item_id")? },
        EventType::ItemClicked => EventBody::ItemClicked { item_id: object.text("item_id")? },
        EventType::ItemLiked => EventBody::ItemLiked { item_id: object.text("item_id")? },
        EventType::ItemAddedToCart => {
            EventBody::ItemAddedToCart { item_id: object.text("item_id")? }
        }
        EventType::ItemHidden => EventBody::ItemHidden { item_id: object.text("item_id")? },
        EventType::ItemDwelled => EventBody::ItemDwelled {
            item_id: object.text("item_id")?,
            dwell_ms: object.integer("dwell_ms")?,
        },
        EventType::ItemPurchased => EventBody::ItemPurchased {
            item_id: object.text("item_id")?,
            price_minor: object.integer("price_minor")?,
            currency: object.text("currency")?,
            quantity: object.small_integer("quantity")?,
        },
        EventType::ItemsShown => EventBody::ItemsShown { item_ids: object.texts("item_ids")? },
        EventType::Searched => EventBody::Searched { query: object.text("query")? },
        EventType::UserErased => EventBody::UserErased,
    })
}

/// The same form back: [`read_event`] of it gives the event.
#[must_use]
pub fn write_event(event: &Event) -> Value {
    let mut object = Map::new();
    let mut put = |name: &str, value: Value| {
        object.insert(name.to_owned(), value);
    };
    put("type", event.event_type().name().into());
    put("event_id", event.event_id.as_str().into());
    put("event_time", event.event_time_ms.into());
    for (name, text) in [
        ("user_id", &event.user_id),
        ("anonymous_id", &event.anonymous_id),
        ("decision_id", &event.decision_id),
    ] {
        if let Some(text) = text {
            put(name, text.as_str().into());
        }
    }
    put("session_id", event.session_id.as_str().into());
    put("surface", event.surface.as_str().into());
    put("device", event.device.name().into());
    if !event.props.is_empty() {
        put("props", json!(event.props));
    }
    write_body(&event.body, put);
    Value::Object(object)
}

fn write_body(body: &EventBody, mut put: impl FnMut(&str, Value)) {
    if let Some(item_id) = body.item_id() {
        put("item_id", item_id.into());
    }
    match body {
        EventBody::ItemDwelled { dwell_ms, .. } => put("dwell_ms", (*dwell_ms).into()),
        EventBody::ItemPurchased { price_minor, currency, quantity, .. } => {
            put("price_minor", (*price_minor).into());
            put("currency", currency.as_str().into());
            put("quantity", (*quantity).into());
        }
        EventBody::ItemsShown { item_ids } => put("item_ids", json!(item_ids)),
        EventBody::Searched { query } => put("query", query.as_str().into()),
        EventBody::ItemViewed { .. }
        | EventBody::ItemClicked { .. }
        | EventBody::ItemLiked { .. }
        | EventBody::ItemAddedToCart { .. }
        | EventBody::ItemHidden { .. }
        | EventBody::UserErased => {}
    }
}

/// Reads one catalogue item: `{"item_id", "title"?, "category"?, "price"?, "attributes"{}?}`. Scalars among the
/// attributes become text. The rules on items are not applied here; see [`crate::Checks::check_item`].
///
/// # Errors
/// As a rejection that points at the place.
pub fn read_item(value: &Value) -> Result<Item, Rejection> {
    let mut object = Object::of(value)?;
    let item = Item {
        item_id: object.text("item_id")?,
        title: object.optional_text("title")?,
        category: object.optional_text("category")?,
        price: object.optional_number("price")?,
        attributes: object.scalars("attributes")?,
        hidden: false,
        deleted: false,
    };
    object.nothing_left()?;
    Ok(item)
}

/// The same form back.
#[must_use]
pub fn write_item(item: &Item) -> Value {
    let mut object = Map::new();
    object.insert("item_id".to_owned(), item.item_id.as_str().into());
    for (name, text) in [("title", &item.title), ("category", &item.category)] {
        if let Some(text) = text {
            object.insert(name.to_owned(), text.as_str().into());
        }
    }
    if let Some(price) = item.price {
        object.insert("price".to_owned(), price.into());
    }
    if !item.attributes.is_empty() {
        object.insert("attributes".to_owned(), json!(item.attributes));
    }
    Value::Object(object)
}

#[cfg(test)]
mod tests;
