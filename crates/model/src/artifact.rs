//! A model on disk: a directory with a manifest, tensors, the item list and golden requests.

mod golden;
mod manifest;
mod store;
mod vocabulary;

pub use manifest::{About, DataRange, Manifest};
pub use store::{ArtifactError, Saved};
pub use vocabulary::AttributeVocabulary;

use crate::ranker::Ranker;
use crate::tower::Tower;

/// Everything training hands to serving.
#[derive(Clone, Debug, PartialEq)]
pub struct Artifact {
    pub about: About,
    pub tower: Option<Tower>,
    pub ranker: Option<Ranker>,
    /// Ids in the order of the tower's rows; empty without a tower.
    pub item_ids: Vec<String>,
    pub attributes: AttributeVocabulary,
    /// What is shown when nothing else is known, best first.
    pub static_list: Vec<String>,
}

#[cfg(test)]
mod tests;
