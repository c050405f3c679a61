//! Simulated births: a fifth of the items does not exist until a random moment, so that the ranker meets young items.

use std::collections::HashMap;

use upnext_common::item::{ItemHash, stable_hash};

use super::plan::{Plan, Window};
use crate::dataset::Row;

/// One item in so many is born.
const ONE_IN: u64 = 5;

/// When items come into being; items that are not here always were.
#[derive(Clone, Debug, Default)]
pub(super) struct Births {
    born_ms: HashMap<ItemHash, i64>,
}

impl Births {
    /// Nothing is born: the history as it was.
    pub(super) fn none() -> Self {
        Self::default()
    }

    /// A fifth of the items that the rows speak of, each at a moment of its own between the first window's start and
    /// the last one's end.
    pub(super) fn simulated(rows: &[Row], plan: &Plan, seed: u64) -> Self {
        let start_ms = plan.windows.first().map_or(plan.end_ms, |window| window.start_ms);
        let span = u64::try_from(plan.end_ms - start_ms).unwrap_or(0).max(1);
        let mut born_ms = HashMap::new();
        for hash in rows.iter().filter_map(|row| row.event.body.item_id()).map(ItemHash::of) {
            let draw = stable_hash(&[hash.0.to_le_bytes(), seed.to_le_bytes()].concat());
            if draw.is_multiple_of(ONE_IN) {
                let into = i64::try_from((draw / ONE_IN) % span).unwrap_or(0);
                born_ms.insert(hash, start_ms + into);
            }
        }
        Self { born_ms }
    }

    /// Whether the item exists at that moment.
    pub(super) fn exists(&self, item: ItemHash, now_ms: i64) -> bool {
        self.born_ms.get(&item).is_none_or(|born_ms| *born_ms <= now_ms)
    }

    /// Whether a tower fitted on what lies before `window` has met the item.
    pub(super) fn is_known_to_tower(&self, item: ItemHash, window: &Window) -> bool {
        self.born_ms.get(&item).is_none_or(|born_ms| *born_ms < window.start_ms)
    }

    /// Items that do not exist yet at that moment.
    pub(super) fn unborn(&self, now_ms: i64) -> impl Iterator<Item = ItemHash> {
        self.born_ms.iter().filter(move |(_, born)| **born > now_ms).map(|(item, _)| *item)
    }
}
