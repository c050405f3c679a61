//! The short way from bytes to an event, with no tree of values in between: a plan made once per writer's schema.
//!
//! It knows only what is right. A schema with a type it does not expect has no plan; a value with anything it does not
//! expect (an end too early, a byte too many, an unusual block, a length out of the ordinary) is `None`, and the long
//! way says what is wrong with it. So verdicts have one author; that both ways read the same event is a test.

mod cursor;
mod skip;

use apache_avro::schema::{RecordField, Schema};
use upnext_common::event::{Device, Event, EventType};

use crate::parts::Parts;

use cursor::Cursor;
use skip::Skip;

/// Longest content that is read here. The long way's limits cannot be met by anything shorter.
const CONTENT_BYTES_MAX: usize = 64 << 10;

/// How the values of one schema are read, field by field in the writer's order.
#[derive(Debug)]
pub(crate) struct Plan {
    kind: EventType,
    steps: Vec<Step>,
}

/// What is done with a field.
#[derive(Debug)]
enum Step {
    EventId,
    EventTime,
    UserId(Presence),
    AnonymousId(Presence),
    SessionId,
    Surface,
    DecisionId(Presence),
    /// The device of each of the writer's symbols.
    Device(Vec<Device>),
    Props,
    ItemId,
    ItemIds,
    DwellMs,
    PriceMinor,
    Currency,
    Quantity,
    Query,
    Skip(Skip),
}

/// How a text that may be absent is written.
#[derive(Clone, Copy, Debug)]
enum Presence {
    Always,
    /// A union with null; the byte of the branch that is the text.
    Branch {
        text: u8,
        null: u8,
    },
}

impl Plan {
    /// `None` when the schema lacks something required, or has it in a form for the long way.
    pub(crate) fn of(kind: EventType, schema: &Schema) -> Option<Self> {
        let Schema::Record(record) = schema else { return None };
        let steps = record.fields.iter().map(|field| step(kind, field)).collect::<Option<_>>()?;
        Some(Self { kind, steps })
    }

    pub(crate) fn read(&self, content: &[u8]) -> Option<Event> {
        self.parts(content)?.into_event(self.kind)
    }

    /// What the content lends of an event; not necessarily all that the event needs.
    pub(crate) fn parts<'a>(&self, content: &'a [u8]) -> Option<Parts<'a>> {
        if content.len() > CONTENT_BYTES_MAX {
            return None;
        }
        let mut from = Cursor::new(content);
        let mut parts = Parts::default();
        for step in &self.steps {
            step.take(&mut from, &mut parts)?;
        }
        from.is_done().then_some(parts)
    }
}

impl Step {
    fn take<'a>(&self, from: &mut Cursor<'a>, parts: &mut Parts<'a>) -> Option<()> {
        match self {
            Self::EventId => parts.event_id = Some(from.str()?),
            Self::EventTime => parts.event_time_ms = Some(from.long()?),
            Self::UserId(presence) => parts.user_id = presence.text(from)?,
            Self::AnonymousId(presence) => parts.anonymous_id = presence.text(from)?,
            Self::SessionId => parts.session_id = Some(from.str()?),
            Self::Surface => parts.surface = Some(from.str()?),
            Self::DecisionId(presence) => parts.decision_id = presence.text(from)?,
            Self::Device(devices) => parts.device = *devices.get(from.index()?)?,
            Self::Props => parts.props = from.str_pairs()?,
            Self::ItemId => parts.item_id = Some(from.str()?),
            Self::ItemIds => parts.item_ids = Some(from.strs()?),
            Self::DwellMs => parts.dwell_ms = Some(from.long()?),
            Self::PriceMinor => parts.price_minor = Some(from.long()?),
            Self::Currency => parts.currency = Some(from.str()?),
            Self::Quantity => parts.quantity = Some(from.int()?),
            Self::Query => parts.query = Some(from.str()?),
            Self::Skip(skip) => skip.pass(from)?,
        }
        Some(())
    }
}

impl Presence {
    fn of(schema: &Schema) -> Option<Self> {
        if matches!(schema, Schema::String) {
            return Some(Self::Always);
        }
        let Schema::Union(union) = schema else { return None };
        match union.variants() {
            [Schema::Null, Schema::String] => Some(Self::Branch { null: 0, text: 2 }),
            [Schema::String, Schema::Null] => Some(Self::Branch { null: 2, text: 0 }),
            _ => None,
        }
    }

    /// The inner `None` is an absent text.
    fn text<'a>(self, from: &mut Cursor<'a>) -> Option<Option<&'a str>> {
        let Self::Branch { text, null } = self else { return from.str().map(Some) };
        let branch = from.byte()?;
        if branch == text { from.str().map(Some) } else { (branch == null).then_some(None) }
    }
}

fn step(kind: EventType, field: &RecordField) -> Option<Step> {
    let schema = &field.schema;
    let when = |is_so: bool, step: Step| is_so.then_some(step);
    let is_text = matches!(schema, Schema::String);
    let is_long = matches!(schema, Schema::Long);
    match field.name.as_str() {
        "event_id" => when(is_text, Step::EventId),
        "event_time" => when(matches!(schema, Schema::TimestampMillis), Step::EventTime),
        "user_id" => Presence::of(schema).map(Step::UserId),
        "anonymous_id" => Presence::of(schema).map(Step::AnonymousId),
        "session_id" => when(is_text, Step::SessionId),
        "surface" => when(is_text, Step::Surface),
        "decision_id" => Presence::of(schema).map(Step::DecisionId),
        "device" => devices(schema).map(Step::Device),
        "props" => when(is_map_of_text(schema), Step::Props),
        "item_id" if Parts::has_item(kind) => when(is_text, Step::ItemId),
        "item_ids" if kind == EventType::ItemsShown => when(is_list_of_text(schema), Step::ItemIds),
        "dwell_ms" if kind == EventType::ItemDwelled => when(is_long, Step::DwellMs),
        "query" if kind == EventType::Searched => when(is_text, Step::Query),
        name @ ("price_minor" | "currency" | "quantity") if kind == EventType::ItemPurchased => {
            match name {
                "price_minor" => when(is_long, Step::PriceMinor),
                "currency" => when(is_text, Step::Currency),
                _ => when(matches!(schema, Schema::Int), Step::Quantity),
            }
        }
        _ => Skip::of(schema).map(Step::Skip),
    }
}

/// A symbol we do not know yet is the contract's default, as Avro has it.
fn devices(schema: &Schema) -> Option<Vec<Device>> {
    let Schema::Enum(kind) = schema else { return None };
    Some(kind.symbols.iter().map(|name| Device::from_name(name).unwrap_or_default()).collect())
}

fn is_map_of_text(schema: &Schema) -> bool {
    matches!(schema, Schema::Map(map) if matches!(*map.types, Schema::String))
}

fn is_list_of_text(schema: &Schema) -> bool {
    matches!(schema, Schema::Array(list) if matches!(*list.items, Schema::String))
}

#[cfg(test)]
pub(crate) mod tests;
