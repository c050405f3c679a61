//! All items in memory: what the catalogue says of each, joined with what the log says.
//!
//! An item is named by a small index that never changes while the process lives. Values are kept as they were
//! written and decayed when they are read, so it does not matter through how many updates a value came.

mod attributes;
mod counts;
mod moment;

pub use attributes::attribute_texts;
pub use counts::Counts;
pub(crate) use moment::Mixture;
pub use moment::{Moment, Shares};

use std::collections::HashMap;
use std::sync::Arc;

use thiserror::Error;
use upnext_common::fault::Fault;
use upnext_common::item::{Item, ItemHash};
use upnext_state::ItemState;

/// Every item that the catalogue or the log knows.
#[derive(Debug, Default)]
pub struct LiveItems {
    by_hash: HashMap<ItemHash, u32>,
    items: Vec<LiveItem>,
    categories: HashMap<String, u32>,
    shape: u64,
}

/// One item: its id, its catalogue record if there is one, its counts if the log spoke of it.
#[derive(Debug)]
pub struct LiveItem {
    hash: ItemHash,
    id: Arc<str>,
    record: Option<Arc<Item>>,
    category: Option<u32>,
    ln_price: Option<f64>,
    counts: Option<Counts>,
}

/// Two different ids have the same hash. The smaller text keeps the place, whichever came first.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("items {kept:?} and {refused:?} have the same hash; {refused:?} is not kept")]
pub struct HashCollision {
    pub kept: String,
    pub refused: String,
}

impl HashCollision {
    #[must_use]
    pub fn fault(&self) -> Fault {
        Fault::CALLER
    }
}

impl LiveItems {
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    #[must_use]
    pub fn len(&self) -> usize {
        self.items.len()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// Changes whenever an item is added or its content changes: vectors made before are then out of date.
    #[must_use]
    pub fn shape(&self) -> u64 {
        self.shape
    }

    /// Takes a catalogue record, new or changed.
    ///
    /// # Errors
    /// When another id with the same hash is there; the smaller id is kept.
    pub fn put_item(&mut self, item: &Item) -> Result<u32, HashCollision> {
        let index = self.place(ItemHash::of(&item.item_id), &item.item_id)?;
        let category = item.category.as_ref().map(|text| self.category_code(text));
        let slot = &mut self.items[usize_of(index)];
        if slot.record.as_deref() == Some(item) {
            return Ok(index);
        }
        slot.category = category;
        slot.ln_price = item.price.filter(|price| *price > 0.0).map(f64::ln);
        slot.record = Some(Arc::new(item.clone()));
        self.shape += 1;
        Ok(index)
    }

    /// Takes an item's state as the log has it now; an item that the catalogue does not know becomes servable.
    /// `None`: its id is not known yet, since only pairs have spoken of it.
    ///
    /// # Errors
    /// When another id with the same hash is there; the smaller id is kept.
    pub fn put_state(
        &mut self,
        hash: ItemHash,
        state: &ItemState,
    ) -> Result<Option<u32>, HashCollision> {
        if state.item_id().is_empty() && self.index_of(hash).is_none() {
            return Ok(None);
        }
        let index = self.place(hash, state.item_id())?;
        self.items[usize_of(index)].counts = Some(Counts::read(state));
        Ok(Some(index))
    }

    /// The index under `hash`; a colliding larger id gives way to a smaller one, with all that was known of it.
    fn place(&mut self, hash: ItemHash, id: &str) -> Result<u32, HashCollision> {
        let Some(index) = self.by_hash.get(&hash).copied() else {
            return Ok(self.add(hash, id));
        };
        let slot = &mut self.items[usize_of(index)];
        if &*slot.id == id || id.is_empty() {
            return Ok(index);
        }
        if id < &*slot.id {
            *slot = LiveItem::new(hash, id);
            self.shape += 1;
            return Ok(index);
        }
        Err(HashCollision { kept: slot.id.to_string(), refused: id.to_owned() })
    }

    fn add(&mut self, hash: ItemHash, id: &str) -> u32 {
        let index = u32::try_from(self.items.len()).expect("fewer than 2^32 items");
        self.items.push(LiveItem::new(hash, id));
        self.by_hash.insert(hash, index);
        self.shape += 1;
        index
    }

    fn category_code(&mut self, text: &str) -> u32 {
        if let Some(code) = self.categories.get(text) {
            return *code;
        }
        let code = u32::try_from(self.categories.len()).expect("fewer than 2^32 categories");
        self.categories.insert(text.to_owned(), code);
        code
    }

    #[must_use]
    pub fn index_of(&self, hash: ItemHash) -> Option<u32> {
        self.by_hash.get(&hash).copied()
    }

    /// The index of an id, if that very id is known.
    #[must_use]
    pub fn find(&self, item_id: &str) -> Option<u32> {
        let index = self.index_of(ItemHash::of(item_id))?;
        (&*self.items[usize_of(index)].id == item_id).then_some(index)
    }

    /// The item at `index`.
    ///
    /// # Panics
    /// When `index` is none of ours.
    #[must_use]
    pub fn item(&self, index: u32) -> &LiveItem {
        &self.items[usize_of(index)]
    }

    /// The id text at `index`.
    #[must_use]
    pub fn id(&self, index: u32) -> &str {
        &self.item(index).id
    }

    pub fn iter(&self) -> impl Iterator<Item = (u32, &LiveItem)> {
        (0..).zip(&self.items)
    }

    /// The code of a category's text, if any item has it.
    #[must_use]
    pub fn category(&self, text: &str) -> Option<u32> {
        self.categories.get(text).copied()
    }

    /// Everything decayed to `now_ms`.
    #[must_use]
    pub fn at(&self, now_ms: i64) -> Moment<'_> {
        Moment::new(self, now_ms)
    }
}

impl LiveItem {
    fn new(hash: ItemHash, id: &str) -> Self {
        let id = Arc::from(id);
        Self { hash, id, record: None, category: None, ln_price: None, counts: None }
    }

    #[must_use]
    pub fn hash(&self) -> ItemHash {
        self.hash
    }

    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    #[must_use]
    pub fn record(&self) -> Option<&Arc<Item>> {
        self.record.as_ref()
    }

    #[must_use]
    pub fn category(&self) -> Option<u32> {
        self.category
    }

    #[must_use]
    pub fn ln_price(&self) -> Option<f64> {
        self.ln_price
    }

    #[must_use]
    pub fn counts(&self) -> Option<&Counts> {
        self.counts.as_ref()
    }

    /// Shown to nobody by the catalogue's word.
    #[must_use]
    pub fn is_hidden(&self) -> bool {
        self.record.as_ref().is_some_and(|record| record.hidden)
    }

    #[must_use]
    pub fn is_deleted(&self) -> bool {
        self.record.as_ref().is_some_and(|record| record.deleted)
    }

    /// Whether it may be answered at all: neither hidden nor deleted. An item outside the catalogue may.
    #[must_use]
    pub fn is_servable(&self) -> bool {
        !self.is_hidden() && !self.is_deleted()
    }
}

/// An item's index as a position in memory.
pub(crate) fn usize_of(index: u32) -> usize {
    usize::try_from(index).expect("a 32-bit index fits")
}

#[cfg(test)]
mod tests;
