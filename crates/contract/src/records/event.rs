//! Events on the wire: one schema per type, one head in common.

use apache_avro::types::Value;
use upnext_common::event::{Device, Event, EventBody, EventType};

use crate::fields::Fields;
use crate::verdict::Rejection;
use crate::wire::Out;

pub(crate) fn write(event: &Event, out: &mut Out) {
    out.text(&event.event_id)
        .long(event.event_time_ms)
        .optional_text(event.user_id.as_deref())
        .optional_text(event.anonymous_id.as_deref())
        .text(&event.session_id)
        .text(&event.surface)
        .optional_text(event.decision_id.as_deref())
        .int(device_index(event.device))
        .block(event.props.iter(), |out, (key, value)| {
            out.text(key).text(value);
        });
    write_body(&event.body, out);
}

fn write_body(body: &EventBody, out: &mut Out) {
    match body {
        EventBody::ItemViewed { item_id }
        | EventBody::ItemClicked { item_id }
        | EventBody::ItemLiked { item_id }
        | EventBody::ItemAddedToCart { item_id }
        | EventBody::ItemHidden { item_id } => out.text(item_id),
        EventBody::ItemDwelled { item_id, dwell_ms } => out.text(item_id).long(*dwell_ms),
        EventBody::ItemPurchased { item_id, price_minor, currency, quantity } => {
            out.text(item_id).long(*price_minor).text(currency).int(*quantity)
        }
        EventBody::ItemsShown { item_ids } => out.block(item_ids.iter(), |out, item_id| {
            out.text(item_id);
        }),
        EventBody::Searched { query } => out.text(query),
        EventBody::UserErased => out,
    };
}

/// The event of a decoded value, resolved to the contract's schema of `kind`.
pub(crate) fn read(kind: EventType, value: Value) -> Result<Event, Rejection> {
    let mut fields = Fields::of(value, "")?;
    Ok(Event {
        event_id: fields.text("event_id")?,
        event_time_ms: fields.moment_ms("event_time")?,
        user_id: fields.optional_text("user_id")?,
        anonymous_id: fields.optional_text("anonymous_id")?,
        session_id: fields.text_or("session_id", "")?,
        surface: fields.text_or("surface", "unknown")?,
        decision_id: fields.optional_text("decision_id")?,
        device: read_device(&mut fields)?,
        props: fields.text_map("props")?,
        body: read_body(kind, &mut fields)?,
    })
}

/// A symbol we do not know yet is the contract's default, as Avro has it.
fn read_device(fields: &mut Fields) -> Result<Device, Rejection> {
    let symbol = fields.symbol("device")?;
    Ok(symbol.and_then(|symbol| Device::from_name(&symbol)).unwrap_or_default())
}

fn read_body(kind: EventType, fields: &mut Fields) -> Result<EventBody, Rejection> {
    let mut item_id = || fields.text("item_id");
    Ok(match kind {
        EventType::ItemViewed => EventBody::ItemViewed { item_id: item_id()? },
        EventType::ItemClicked => EventBody::ItemClicked { item_id: item_id()? },
        EventType::ItemLiked => EventBody::ItemLiked { item_id: item_id()? },
        EventType::ItemAddedToCart => EventBody::ItemAddedToCart { item_id: item_id()? },
        EventType::ItemHidden => EventBody::ItemHidden { item_id: item_id()? },
        EventType::ItemDwelled => {
            EventBody::ItemDwelled { item_id: item_id()?, dwell_ms: fields.long("dwell_ms")? }
        }
        EventType::ItemPurchased => EventBody::ItemPurchased {
            item_id: item_id()?,
            price_minor: fields.long("price_minor")?,
            currency: fields.text("currency")?,
            quantity: fields.int("quantity")?,
        },
        EventType::ItemsShown => EventBody::ItemsShown { item_ids: fields.texts("item_ids")? },
        EventType::Searched => EventBody::Searched { query: fields.text("query")? },
        EventType::UserErased => EventBody::UserErased,
    })
}

/// Place of the device among the enum's symbols.
fn device_index(device: Device) -> i32 {
    match device {
        Device::Unknown => 0,
        Device::Desktop => 1,
        Device::Mobile => 2,
        Device::Tablet => 3,
        Device::Tv => 4,
    }
}
