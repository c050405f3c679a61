//! The words by which a CSV file names event types.

use std::collections::BTreeMap;

use upnext_common::event::EventType;

/// Known words and the caller's own on top of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Words {
    mapped: BTreeMap<String, EventType>,
}

impl Words {
    /// Words a CSV file may use: those of a single item and nothing more.
    pub const KNOWN: [EventType; 7] = [
        EventType::ItemViewed,
        EventType::ItemClicked,
        EventType::ItemLiked,
        EventType::ItemAddedToCart,
        EventType::ItemPurchased,
        EventType::ItemDwelled,
        EventType::ItemHidden,
    ];

    /// Reads mappings such as `bookmark=like`.
    ///
    /// # Errors
    /// The mapping that is not `word=known word`, as a message.
    pub fn mapping<'a>(pairs: impl IntoIterator<Item = &'a str>) -> Result<Self, String> {
        let mut mapped = BTreeMap::new();
        for pair in pairs {
            let known = pair.split_once('=').and_then(|(word, to)| Some((word, plain(to)?)));
            let Some((word, kind)) = known else {
                return Err(format!("{pair:?} is not WORD=KNOWN with KNOWN one of {}", list()));
            };
            mapped.insert(word.to_owned(), kind);
        }
        Ok(Self { mapped })
    }

    #[must_use]
    pub fn read(&self, word: &str) -> Option<EventType> {
        self.mapped.get(word).copied().or_else(|| plain(word))
    }
}

fn plain(word: &str) -> Option<EventType> {
    EventType::from_word(word).filter(|kind| Words::KNOWN.contains(kind))
}

/// The known words as one text.
pub(super) fn list() -> String {
    Words::KNOWN.map(EventType::word).join(", ")
}
