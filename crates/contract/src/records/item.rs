//! Catalogue items on the wire.

use apache_avro::types::Value;
use upnext_common::item::Item;

use crate::fields::Fields;
use crate::verdict::Rejection;
use crate::wire::Out;

pub(crate) fn write(item: &Item, out: &mut Out) {
    out.text(&item.item_id)
        .optional_text(item.title.as_deref())
        .optional_text(item.category.as_deref())
        .optional(item.price, |out, price| {
            out.double(price);
        })
        .block(item.attributes.iter(), |out, (name, value)| {
            out.text(name).text(value);
        })
        .flag(item.hidden)
        .flag(item.deleted);
}

pub(crate) fn read(value: Value) -> Result<Item, Rejection> {
    let mut fields = Fields::of(value, "")?;
    Ok(Item {
        item_id: fields.text("item_id")?,
        title: fields.optional_text("title")?,
        category: fields.optional_text("category")?,
        price: fields.optional_double("price")?,
        attributes: fields.text_map("attributes")?,
        hidden: fields.flag_or("hidden", false)?,
        deleted: fields.flag_or("deleted", false)?,
    })
}
