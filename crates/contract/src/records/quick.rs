//! The short way from bytes to an event, for values written with our own schema: no tree of values in between.
//!
//! It knows only what is right. Whatever it does not expect (an end too early, a byte too many, an unusual block, a
//! length out of the ordinary) is `None`, and the long way says what is wrong with it. So verdicts have one author;
//! that both ways read the same event is a test.

use std::collections::BTreeMap;

use upnext_common::event::{Device, Event, EventBody, EventType};

/// Longest content that is read here. The long way's limits cannot be met by anything shorter.
const CONTENT_BYTES_MAX: usize = 64 << 10;
/// Most entries of a list or map that are read here.
const ENTRIES_MAX: i64 = 1_000;

pub(crate) fn read(kind: EventType, content: &[u8]) -> Option<Event> {
    if content.len() > CONTENT_BYTES_MAX {
        return None;
    }
    let mut from = Cursor { left: content };
    let event = Event {
        event_id: from.text()?,
        event_time_ms: from.long()?,
        user_id: from.optional_text()?,
        anonymous_id: from.optional_text()?,
        session_id: from.text()?,
        surface: from.text()?,
        decision_id: from.optional_text()?,
        device: from.device()?,
        props: from.props()?,
        body: read_body(kind, &mut from)?,
    };
    from.left.is_empty().then_some(event)
}

fn read_body(kind: EventType, from: &mut Cursor<'_>) -> Option<EventBody> {
    Some(match kind {
        EventType::ItemViewed => EventBody::ItemViewed { item_id: from.text()? },
        EventType::ItemClicked => EventBody::ItemClicked { item_id: from.text()? },
        EventType::ItemLiked => EventBody::ItemLiked { item_id: from.text()? },
        EventType::ItemAddedToCart => EventBody::ItemAddedToCart { item_id: from.text()? },
        EventType::ItemHidden => EventBody::ItemHidden { item_id: from.text()? },
        EventType::ItemDwelled => {
            EventBody::ItemDwelled { item_id: from.text()?, dwell_ms: from.long()? }
        }
        EventType::ItemPurchased => EventBody::ItemPurchased {
            item_id: from.text()?,
            price_minor: from.long()?,
            currency: from.text()?,
            quantity: i32::try_from(from.long()?).ok()?,
        },
        EventType::ItemsShown => EventBody::ItemsShown { item_ids: from.texts()? },
        EventType::Searched => EventBody::Searched { query: from.text()? },
        EventType::UserErased => EventBody::UserErased,
    })
}

struct Cursor<'a> {
    left: &'a [u8],
}

impl Cursor<'_> {
    fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.left.split_first()?;
        self.left = rest;
        Some(*first)
    }

    /// A zigzag varint of at most 64 bits.
    fn long(&mut self) -> Option<i64> {
        let mut zigzag = 0_u64;
        for shift in (0..63).step_by(7) {
            let byte = self.byte()?;
            zigzag |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Some((zigzag >> 1).cast_signed() ^ -(zigzag & 1).cast_signed());
            }
        }
        let last = self.byte().filter(|byte| *byte <= 1)?;
        zigzag |= u64::from(last) << 63;
        Some((zigzag >> 1).cast_signed() ^ -(zigzag & 1).cast_signed())
    }

    fn text(&mut self) -> Option<String> {
        let length = usize::try_from(self.long()?).ok()?;
        let (text, rest) = self.left.split_at_checked(length)?;
        self.left = rest;
        std::str::from_utf8(text).ok().map(str::to_owned)
    }

    fn optional_text(&mut self) -> Option<Option<String>> {
        match self.byte()? {
            0 => Some(None),
            2 => self.text().map(Some),
            _ => None,
        }
    }

    /// The enum's symbols, in the order of the schema.
    fn device(&mut self) -> Option<Device> {
        let index = usize::try_from(self.long()?).ok()?;
        Device::ALL.get(index).copied()
    }

    fn props(&mut self) -> Option<BTreeMap<String, String>> {
        let mut props = BTreeMap::new();
        self.blocks(|from| {
            let key = from.text()?;
            props.insert(key, from.text()?);
            Some(())
        })?;
        Some(props)
    }

    fn texts(&mut self) -> Option<Vec<String>> {
        let mut texts = Vec::new();
        self.blocks(|from| {
            texts.push(from.text()?);
            Some(())
        })?;
        Some(texts)
    }

    /// The entries of a list or map: blocks with their counts, up to an empty one.
    fn blocks(&mut self, mut entry: impl FnMut(&mut Self) -> Option<()>) -> Option<()> {
        let mut entries = 0;
        loop {
            let count = self.long()?;
            if count == 0 {
                return Some(());
            }
            entries += count;
            if count < 0 || entries > ENTRIES_MAX {
                return None;
            }
            for _ in 0..count {
                entry(self)?;
            }
        }
    }
}
