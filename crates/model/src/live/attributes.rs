//! What an item is like, as texts the tower has an embedding for.

use upnext_common::item::Item;

/// Most texts of one item.
const TEXTS_MAX: usize = 48;
/// Longer values say nothing that another item could share.
const VALUE_BYTES_MAX: usize = 64;
const TITLE_WORDS_MAX: usize = 12;
const WORD_CHARS_MIN: usize = 3;

/// `category=…`, `price=…` (a bucket: `round(4 ln(1 + price))`), each attribute (`name=value`, values apart at `|`) and
/// the words of the title; each once.
#[must_use]
pub fn attribute_texts(item: &Item) -> Vec<String> {
    let mut texts = Vec::new();
    if let Some(category) = &item.category {
        texts.push(format!("category={category}"));
    }
    if let Some(price) = item.price.filter(|price| *price >= 0.0) {
        texts.push(format!("price={:.0}", (4.0 * price.ln_1p()).round()));
    }
    for (name, value) in &item.attributes {
        let values = value.split('|').filter(|value| (1..=VALUE_BYTES_MAX).contains(&value.len()));
        texts.extend(values.map(|value| format!("{name}={value}")));
    }
    texts.extend(title_words(item).map(|word| format!("word={word}")));
    let mut met = std::collections::HashSet::new();
    texts.retain(|text| met.insert(text.clone()));
    texts.truncate(TEXTS_MAX);
    texts
}

fn title_words(item: &Item) -> impl Iterator<Item = String> {
    let title = item.title.as_deref().unwrap_or_default();
    let words = title.split(|character: char| !character.is_alphanumeric());
    let words = words.filter(|word| word.chars().count() >= WORD_CHARS_MIN);
    words.take(TITLE_WORDS_MAX).map(str::to_lowercase)
}
