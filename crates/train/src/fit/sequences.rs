//! The events as item rows: what the tower is fitted to.

use std::collections::HashMap;

use upnext_common::event::Subject;
use upnext_model::artifact::{About, Artifact, AttributeVocabulary};
use upnext_model::live::attribute_texts;
use upnext_model::ranker::Ranker;
use upnext_model::tower::{Tower, TowerInput};

use super::Input;
use crate::dataset::Row;

/// An attribute text is learned when at least so many items have it.
const ITEMS_PER_ATTRIBUTE_MIN: usize = 2;

/// All items as rows, with their attributes as ids.
pub(super) struct Corpus {
    item_ids: Vec<String>,
    row_of: HashMap<String, u32>,
    vocabulary: AttributeVocabulary,
    attributes: Vec<Vec<u32>>,
}

impl Corpus {
    /// Catalogue items first, then those that only events name.
    pub(super) fn new(input: &Input<'_>) -> Self {
        let mut corpus = Self {
            item_ids: Vec::new(),
            row_of: HashMap::new(),
            vocabulary: AttributeVocabulary::default(),
            attributes: Vec::new(),
        };
        let texts = input.items.iter().map(attribute_texts).collect::<Vec<_>>();
        corpus.learn_words(&texts);
        for (item, texts) in input.items.iter().zip(&texts) {
            let ids = texts.iter().filter_map(|text| corpus.vocabulary.id(text)).collect();
            corpus.add(&item.item_id, ids);
        }
        for row in input.rows.iter().filter(|row| row.event.event_type().is_interaction()) {
            if let Some(item_id) = row.event.body.item_id() {
                corpus.add(item_id, Vec::new());
            }
        }
        corpus
    }

    fn learn_words(&mut self, texts: &[Vec<String>]) {
        let mut counts = HashMap::<&str, usize>::new();
        for text in texts.iter().flatten() {
            *counts.entry(text).or_default() += 1;
        }
        for text in texts.iter().flatten() {
            if counts[text.as_str()] >= ITEMS_PER_ATTRIBUTE_MIN {
                self.vocabulary.intern(text);
            }
        }
    }

    fn add(&mut self, item_id: &str, attributes: Vec<u32>) {
        if self.row_of.contains_key(item_id) {
            return;
        }
        let row = u32::try_from(self.item_ids.len()).expect("fewer than 2^32 items");
        self.row_of.insert(item_id.to_owned(), row);
        self.item_ids.push(item_id.to_owned());
        self.attributes.push(attributes);
    }

    /// The items of each session in these rows, oldest first; sessions in the order in which they open.
    pub(super) fn sequences(&self, rows: &[Row]) -> Vec<Vec<u32>> {
        let mut place = HashMap::<(Subject<'_>, &str), usize>::new();
        let mut sequences = Vec::<Vec<u32>>::new();
        for row in rows.iter().filter(|row| row.event.event_type().is_interaction()) {
            let Some((subject, item_id)) = row.event.subject().zip(row.event.body.item_id()) else {
                continue;
            };
            let key = (subject, row.event.session_id.as_str());
            let at = *place.entry(key).or_insert_with(|| {
                sequences.push(Vec::new());
                sequences.len() - 1
            });
            sequences[at].extend(self.row_of.get(item_id));
        }
        sequences
    }

    pub(super) fn tower_input<'a>(&'a self, sequences: &'a [Vec<u32>]) -> TowerInput<'a> {
        TowerInput {
            items: self.item_ids.len(),
            attributes: &self.attributes,
            attribute_count: self.vocabulary.len(),
            sequences,
        }
    }

    pub(super) fn artifact(
        &self,
        about: About,
        tower: Option<Tower>,
        ranker: Option<Ranker>,
        static_list: Vec<String>,
    ) -> Artifact {
        let item_ids = if tower.is_some() { self.item_ids.clone() } else { Vec::new() };
        let attributes = self.vocabulary.clone();
        Artifact { about, tower, ranker, item_ids, attributes, static_list }
    }
}
