//! What an answer is made from: live items, and an artifact with a vector ready for each of them.

use std::sync::Arc;

use upnext_index::Index;
use upnext_model::artifact::Artifact;
use upnext_model::live::{LiveItem, LiveItems, attribute_texts};
use upnext_model::tower::Tower;

/// Everything one answer reads; nothing in it changes while it is borrowed.
#[derive(Clone, Copy, Debug)]
pub struct Snapshot<'a> {
    pub live: &'a LiveItems,
    pub prepared: &'a Prepared,
}

/// An artifact with the tower's vector of every live item. Rebuilt (off the request path) when the artifact or the
/// items' content changes; an item that came since then has no vector yet and is answered by its counts.
#[derive(Clone, Debug, Default)]
pub struct Prepared {
    artifact: Option<Arc<Artifact>>,
    /// `[items × dim]` by live index.
    vectors: Vec<f32>,
    biases: Vec<f32>,
    dim: usize,
    /// The same vectors to be searched; keys are places in `by_id`, so that ties do not depend on who came first.
    index: Option<Index>,
    by_id: Vec<u32>,
    shape: u64,
}

impl Prepared {
    /// Without an artifact: the tiers session, trending and static can be answered.
    #[must_use]
    pub fn without_artifact() -> Self {
        Self::default()
    }

    #[must_use]
    pub fn new(artifact: Arc<Artifact>, live: &LiveItems) -> Self {
        Self::with_birth(artifact, live, &|_| true)
    }

    /// The same where an item for which `knows_id` is false counts as never seen in training: its vector is its
    /// content alone. Training simulates births with it.
    #[must_use]
    pub fn with_birth(
        artifact: Arc<Artifact>,
        live: &LiveItems,
        knows_id: &dyn Fn(&str) -> bool,
    ) -> Self {
        let mut prepared = Self { shape: live.shape(), ..Self::default() };
        if let Some(tower) = &artifact.tower {
            let rows = artifact.item_ids.iter().map(String::as_str).zip(0..);
            let rows = rows.collect::<std::collections::HashMap<_, usize>>();
            prepared.dim = tower.dim();
            prepared.vectors.reserve(live.len() * tower.dim());
            for (_, item) in live.iter() {
                let row = rows.get(item.id()).filter(|_| knows_id(item.id()));
                prepared.add(tower, &artifact, item, row.copied());
            }
            prepared.build_index(live);
        }
        prepared.artifact = Some(artifact);
        prepared
    }

    fn add(&mut self, tower: &Tower, artifact: &Artifact, item: &LiveItem, row: Option<usize>) {
        if let Some(row) = row {
            self.vectors.extend_from_slice(tower.item_vector(row));
            self.biases.push(tower.bias(row));
            return;
        }
        let texts = item.record().map(|record| attribute_texts(record)).unwrap_or_default();
        let known = texts.iter().filter_map(|text| artifact.attributes.id(text));
        self.vectors.extend(tower.content_vector(&known.collect::<Vec<_>>()));
        self.biases.push(tower.unseen_bias());
    }

    /// A vector that is not finite cannot be found; the item is answered by its counts.
    fn build_index(&mut self, live: &LiveItems) {
        let mut by_id = live.iter().collect::<Vec<_>>();
        by_id.sort_unstable_by_key(|(_, item)| item.id());
        self.by_id = by_id.into_iter().map(|(index, _)| index).collect();
        let mut index = Index::new(self.dim);
        for (key, item) in (0..).zip(&self.by_id) {
            let bias = usize::try_from(*item).ok().and_then(|at| self.biases.get(at));
            if let Some((vector, bias)) = self.vector(*item).zip(bias) {
                index.upsert(key, vector, *bias).ok();
            }
        }
        self.index = Some(index);
    }

    /// The `count` items nearest to what the context saw, among those admitted; empty without a tower.
    #[must_use]
    pub fn nearest(&self, context: &[u32], count: usize, admits: impl Fn(u32) -> bool) -> Vec<u32> {
        let found = self.user_vector(context).zip(self.index.as_ref()).and_then(|(user, index)| {
            let item = |key: u32| usize::try_from(key).ok().and_then(|at| self.by_id.get(at));
            let admits = |key| item(key).is_some_and(|item| admits(*item));
            let found = index.search(&user, count, admits).ok()?;
            Some(found.iter().filter_map(|found| item(found.key).copied()).collect())
        });
        found.unwrap_or_default()
    }

    #[must_use]
    pub fn artifact(&self) -> Option<&Arc<Artifact>> {
        self.artifact.as_ref()
    }

    /// Whether every item of `live` has its vector, made from its present content.
    #[must_use]
    pub fn is_current(&self, live: &LiveItems) -> bool {
        self.artifact.is_none() || self.shape == live.shape()
    }

    /// The tower's vector of an item; `None` without a tower, or for an item that came later.
    #[must_use]
    pub fn vector(&self, item: u32) -> Option<&[f32]> {
        let start = usize::try_from(item).ok()?.checked_mul(self.dim)?;
        self.vectors.get(start..start + self.dim).filter(|vector| !vector.is_empty())
    }

    /// The tower's logits of `items` after what the context saw; `None` without a tower. An item without a vector
    /// gets the lowest logit of the others.
    #[must_use]
    pub fn logits(&self, context: &[u32], items: &[u32]) -> Option<Vec<f32>> {
        let user = self.user_vector(context)?;
        let mut logits = items.iter().map(|item| self.logit(&user, *item)).collect::<Vec<_>>();
        let lowest = logits.iter().flatten().copied().fold(f32::INFINITY, f32::min);
        let lowest = if lowest.is_finite() { lowest } else { 0.0 };
        Some(logits.drain(..).map(|logit| logit.unwrap_or(lowest)).collect())
    }

    fn user_vector(&self, context: &[u32]) -> Option<Vec<f32>> {
        let tower = self.artifact.as_ref()?.tower.as_ref()?;
        let seen = context.iter().filter_map(|item| self.vector(*item)).collect::<Vec<_>>();
        Some(tower.user_vector(&seen))
    }

    fn logit(&self, user: &[f32], item: u32) -> Option<f32> {
        let bias = self.biases.get(usize::try_from(item).ok()?)?;
        Some(Tower::logit(user, self.vector(item)?, *bias))
    }
}
