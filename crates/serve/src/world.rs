//! What every answer reads: the live columns of all items, the model in use, and the lists made beforehand.
//!
//! Columns stand behind a lock that is written for microseconds at a time: a writer brings a bounded batch. Readers
//! never wait for a waiting writer, so an answer of the last resort waits for one batch at most.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arc_swap::{ArcSwap, Guard};
use parking_lot::{Mutex, RwLock, RwLockReadGuard};
use tokio::sync::watch;
use tracing::warn;
use upnext_common::item::{Item, ItemHash};
use upnext_common::metrics::Metrics;
use upnext_model::artifact::Artifact;
use upnext_model::live::LiveItems;
use upnext_recommend::Prepared;
use upnext_state::ItemState;

use crate::lists::Lists;

/// Most changes applied under one write lock.
const BATCH_MAX: usize = 128;

/// Shared by all requests and by the loops that keep it fresh.
pub(crate) struct World {
    columns: RwLock<Columns>,
    prepared: ArcSwap<Prepared>,
    lists: ArcSwap<Lists>,
    /// Held while vectors are made, so that an older artifact never replaces a newer one.
    preparing: Mutex<()>,
    /// The shape of the columns that the vectors in use were made from.
    prepared_shape: watch::Sender<u64>,
    /// Batches applied so far.
    batches: AtomicU64,
    /// How many batches the lists in use were made after.
    listed: AtomicU64,
    metrics: Metrics,
}

/// The live columns, and up to where the catalogue has been applied to each item.
#[derive(Default)]
pub(crate) struct Columns {
    pub(crate) live: LiveItems,
    /// Offset of the newest catalogue record of each item.
    offsets: HashMap<String, i64>,
}

impl World {
    pub(crate) fn new(metrics: Metrics) -> Self {
        let (prepared_shape, _) = watch::channel(0);
        Self {
            columns: RwLock::default(),
            prepared: ArcSwap::from_pointee(Prepared::without_artifact()),
            lists: ArcSwap::default(),
            preparing: Mutex::default(),
            prepared_shape,
            batches: AtomicU64::new(1),
            listed: AtomicU64::new(0),
            metrics,
        }
    }

    /// The columns as they are now. Held for one answer at most.
    pub(crate) fn columns(&self) -> RwLockReadGuard<'_, Columns> {
        self.columns.read_recursive()
    }

    pub(crate) fn prepared(&self) -> Guard<Arc<Prepared>> {
        self.prepared.load()
    }

    pub(crate) fn lists(&self) -> Guard<Arc<Lists>> {
        self.lists.load()
    }

    /// Applies catalogue records; what is older than what stands already is left out, so that our own writes may be
    /// applied before the log brings them back.
    pub(crate) fn apply_items(&self, records: &[(i64, Item)]) {
        for batch in records.chunks(BATCH_MAX) {
            let mut columns = self.columns.write();
            for (offset, item) in batch {
                columns.apply(*offset, item);
            }
        }
        self.count();
    }

    /// Applies item states as the store has them.
    pub(crate) fn apply_states(&self, states: &[(ItemHash, ItemState)]) {
        for batch in states.chunks(BATCH_MAX) {
            let mut columns = self.columns.write();
            for (hash, state) in batch {
                if let Err(collision) = columns.live.put_state(*hash, state) {
                    warn!(%collision, "item state left out");
                }
            }
        }
        self.count();
    }

    /// The catalogue record of an item that was not withdrawn.
    pub(crate) fn record(&self, item_id: &str) -> Option<Arc<Item>> {
        let columns = self.columns();
        let index = columns.live.find(item_id)?;
        columns.live.item(index).record().filter(|record| !record.deleted).cloned()
    }

    /// All catalogue records, withdrawn ones too, with their offsets.
    pub(crate) fn catalogue(&self) -> Vec<(i64, Item)> {
        let columns = self.columns();
        let records = columns.live.iter().filter_map(|(_, live)| live.record());
        let records: Vec<(i64, Arc<Item>)> = records
            .filter_map(|item| Some((*columns.offsets.get(&item.item_id)?, Arc::clone(item))))
            .collect();
        drop(columns);
        records.into_iter().map(|(offset, item)| (offset, Item::clone(&item))).collect()
    }

    /// Whether the catalogue or the log speaks of this item, and it was not withdrawn.
    pub(crate) fn knows(&self, item_id: &str) -> bool {
        let columns = self.columns();
        let found = columns.live.find(item_id);
        found.is_some_and(|index| !columns.live.item(index).is_deleted())
    }

    /// Whether the full tier can be answered.
    pub(crate) fn has_ranker(&self) -> bool {
        self.prepared().artifact().is_some_and(|artifact| artifact.ranker.is_some())
    }

    /// Id of the artifact in use.
    pub(crate) fn model_id(&self) -> Option<String> {
        self.prepared().artifact().map(|artifact| artifact.about.artifact_id.clone())
    }

    /// Takes an artifact into use, its vectors made first.
    pub(crate) fn adopt(&self, artifact: Arc<Artifact>) {
        let preparing = self.preparing.lock();
        self.prepare(artifact);
        drop(preparing);
    }

    /// Makes the vectors anew if items came or changed since.
    pub(crate) fn refresh_vectors(&self) {
        let preparing = self.preparing.lock();
        let artifact = self.prepared.load().artifact().cloned();
        let shape = self.columns().live.shape();
        match artifact {
            Some(artifact) if *self.prepared_shape.borrow() != shape => self.prepare(artifact),
            Some(_) => {}
            None => self.note_shape(shape),
        }
        drop(preparing);
    }

    fn prepare(&self, artifact: Arc<Artifact>) {
        let columns = self.columns();
        let shape = columns.live.shape();
        let prepared = Prepared::new(artifact, &columns.live);
        drop(columns);
        self.prepared.store(Arc::new(prepared));
        self.note_shape(shape);
    }

    fn note_shape(&self, shape: u64) {
        self.prepared_shape.send_replace(shape);
    }

    /// Replaces the lists made beforehand by those of `now_ms`, if anything was applied since: time alone fades all
    /// items alike and leaves their order as it is.
    pub(crate) fn refresh_lists(&self, now_ms: i64) {
        let batches = self.batches.load(Ordering::Acquire);
        if self.listed.swap(batches, Ordering::AcqRel) != batches {
            let lists = Lists::make(&self.columns().live, now_ms);
            self.lists.store(Arc::new(lists));
        }
    }

    /// Resolves once everything that is in the columns now is retrievable. Cancel safe.
    pub(crate) async fn indexed(&self) {
        let shape = self.columns().live.shape();
        let mut made = self.prepared_shape.subscribe();
        // The sender lives as long as we do.
        made.wait_for(|made| *made >= shape).await.ok();
    }

    fn count(&self) {
        self.batches.fetch_add(1, Ordering::AcqRel);
        let items = self.columns().live.len();
        self.metrics.live_items.set(i64::try_from(items).unwrap_or(i64::MAX));
    }
}

impl Columns {
    fn apply(&mut self, offset: i64, item: &Item) {
        if self.offsets.get(&item.item_id).is_some_and(|newest| *newest >= offset) {
            return;
        }
        match self.live.put_item(item) {
            Ok(_) => {
                self.offsets.insert(item.item_id.clone(), offset);
            }
            Err(collision) => warn!(%collision, "catalogue record left out"),
        }
    }
}

#[cfg(test)]
mod tests;
