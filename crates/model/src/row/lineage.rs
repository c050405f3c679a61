//! Which fields of events and items each feature reads: a feature is a column of the row, or what is served of a user
//! or item beside it. The tests change every field of every event and hold this table against what then happens.

use std::collections::BTreeSet;

use upnext_state::lineage::Fact;

use super::spec::Column;

/// Something a model or an answer depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Feature {
    pub name: &'static str,
    /// The column of the row it is, if it is one.
    pub column: Option<Column>,
    facts: &'static [Fact],
    /// Fields of the catalogue's `Item`.
    item_fields: &'static [&'static str],
}

/// A field by the record it stands in: `("ItemClicked", "item_id")`, `("Item", "price")`.
pub type Read = (&'static str, &'static str);

/// What is served beside the row.
#[rustfmt::skip]
const SERVED: [(&str, &[Fact], &[&str]); 6] = [
    ("windows", &[Fact::Windows], &[]),
    ("recent", &[Fact::Recent], &[]),
    ("top_items", &[Fact::TopItems], &[]),
    ("tastes", &[Fact::TopItems], &["item_id", "category"]),
    ("hidden_items", &[Fact::Hidden], &[]),
    ("eligible", &[], &["item_id", "hidden", "deleted"]),
];

/// Every feature: the columns in their order, then what is served beside them.
#[must_use]
pub fn features() -> Vec<Feature> {
    let columns = Column::ALL.into_iter().map(|column| {
        let (facts, item_fields) = sources(column);
        Feature { name: column.name(), column: Some(column), facts, item_fields }
    });
    let served = SERVED.into_iter().map(|(name, facts, item_fields)| Feature {
        name,
        column: None,
        facts,
        item_fields,
    });
    columns.chain(served).collect()
}

impl Feature {
    /// Every field it depends on.
    #[must_use]
    pub fn reads(&self) -> BTreeSet<Read> {
        let of_events = self.facts.iter().flat_map(|fact| fact.reads());
        let of_events = of_events.map(|read| (read.kind.name(), read.field));
        of_events.chain(self.item_fields.iter().map(|field| ("Item", *field))).collect()
    }
}

/// What a column is computed from, beside the id that joins an item's counts with its catalogue record. Ranks and
/// differences within the slate follow their column.
fn sources(column: Column) -> (&'static [Fact], &'static [&'static str]) {
    match column {
        Column::NextLast
        | Column::NextSecond
        | Column::NextThird
        | Column::NextSession
        | Column::Back => (&[Fact::Sequence, Fact::Pairs, Fact::Interest], &["item_id"]),
        Column::Share1h
        | Column::Share24h
        | Column::Share7d
        | Column::Trend
        | Column::ShareEver => (&[Fact::Interest], &["item_id"]),
        Column::OpeningShare => (&[Fact::Openings], &["item_id"]),
        Column::Age => (&[Fact::FirstSeen], &["item_id"]),
        Column::TimesInSession
        | Column::Recency
        | Column::SessionLength
        | Column::Distinct
        | Column::InPreviousSession => (&[Fact::Sequence], &["item_id"]),
        Column::WithoutContext => (&[Fact::Known], &["item_id"]),
        Column::OlderContext => (&[Fact::InSession], &["item_id"]),
        Column::SameCategory | Column::CategoryShare => {
            (&[Fact::Sequence], &["item_id", "category"])
        }
        Column::PriceDistance => (&[Fact::Sequence], &["item_id", "price"]),
        Column::RepeatCount | Column::RepeatShare | Column::RepeatDays => {
            (&[Fact::TopItems], &["item_id"])
        }
        Column::RepeatSessions => (&[Fact::TopSessions], &["item_id"]),
        Column::ClickOdds => (&[Fact::Shown, Fact::Clicked], &["item_id"]),
        Column::Shown => (&[Fact::Shown], &["item_id"]),
        Column::Tower => {
            (&[Fact::Sequence], &["item_id", "title", "category", "price", "attributes"])
        }
    }
}

#[cfg(test)]
mod tests;
