//! Attribute texts and their ids.

use std::collections::HashMap;

/// Ids of attribute texts such as `category=skirts`, given in order of first sight.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AttributeVocabulary {
    texts: Vec<String>,
    ids: HashMap<String, u32>,
}

impl AttributeVocabulary {
    /// The id of a text, which is added if it is new.
    ///
    /// # Panics
    /// Beyond 2³² texts.
    pub fn intern(&mut self, text: &str) -> u32 {
        if let Some(id) = self.ids.get(text) {
            return *id;
        }
        let id = u32::try_from(self.texts.len()).expect("fewer than 2³² attributes");
        self.texts.push(text.to_owned());
        self.ids.insert(text.to_owned(), id);
        id
    }

    #[must_use]
    pub fn id(&self, text: &str) -> Option<u32> {
        self.ids.get(text).copied()
    }

    /// All texts in the order of their ids.
    #[must_use]
    pub fn texts(&self) -> &[String] {
        &self.texts
    }

    #[must_use]
    pub fn len(&self) -> usize {
        self.texts.len()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.texts.is_empty()
    }
}

impl<Text: AsRef<str>> FromIterator<Text> for AttributeVocabulary {
    fn from_iter<Texts: IntoIterator<Item = Text>>(texts: Texts) -> Self {
        let mut vocabulary = Self::default();
        for text in texts {
            vocabulary.intern(text.as_ref());
        }
        vocabulary
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_keeps_its_first_id() {
        let mut vocabulary = AttributeVocabulary::from_iter(["a=1", "b=2", "a=1"]);
        assert_eq!(vocabulary.texts(), ["a=1", "b=2"]);
        assert_eq!(vocabulary.intern("b=2"), 1);
        assert_eq!(vocabulary.intern("c=3"), 2);
        assert_eq!((vocabulary.id("c=3"), vocabulary.id("d=4")), (Some(2), None));
    }
}
