//! Lists made beforehand: what is trending, so that the ladder's last rungs cost microseconds.

use std::collections::HashMap;

use upnext_model::live::LiveItems;

/// Longest list over all items: room for every exclusion a sensible caller makes.
const ALL_MAX: usize = 2_000;
/// Longest list of one category.
const CATEGORY_MAX: usize = 400;

/// Servable items, most trending first, as indices into the live columns.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Lists {
    all: Vec<u32>,
    by_category: HashMap<u32, Vec<u32>>,
}

impl Lists {
    /// Orders the items by their trend at `now_ms`, ties by id.
    pub(crate) fn make(live: &LiveItems, now_ms: i64) -> Self {
        let moment = live.at(now_ms);
        let trend = moment.trend();
        let servable = live.iter().filter(|(_, item)| item.is_servable());
        let mut order: Vec<(u32, f64)> =
            servable.zip(trend_of(live, trend)).map(|((index, _), trend)| (index, trend)).collect();
        order.sort_unstable_by(|a, b| {
            b.1.total_cmp(&a.1).then_with(|| live.id(a.0).cmp(live.id(b.0)))
        });
        let mut lists = Self::default();
        for (index, _) in order {
            if lists.all.len() < ALL_MAX {
                lists.all.push(index);
            }
            if let Some(category) = live.item(index).category() {
                let list = lists.by_category.entry(category).or_default();
                if list.len() < CATEGORY_MAX {
                    list.push(index);
                }
            }
        }
        lists
    }

    /// The order to answer from: of the categories asked for, else of all.
    pub(crate) fn order(&self, live: &LiveItems, category_in: Option<&[String]>) -> Vec<u32> {
        let Some(categories) = category_in else { return self.all.clone() };
        let codes = categories.iter().filter_map(|text| live.category(text));
        let lists = codes.filter_map(|code| self.by_category.get(&code));
        let lists: Vec<&Vec<u32>> = lists.collect();
        // Several lists are dealt in turns: their trends were not kept to merge them by.
        let longest = lists.iter().map(|list| list.len()).max().unwrap_or(0);
        let turns = (0..longest).flat_map(|at| lists.iter().filter_map(move |list| list.get(at)));
        turns.copied().collect()
    }
}

fn trend_of<'a>(live: &'a LiveItems, trend: &'a [f64]) -> impl Iterator<Item = f64> + 'a {
    let all = live.iter().zip(trend);
    all.filter(|((_, item), _)| item.is_servable()).map(|(_, trend)| *trend)
}

#[cfg(test)]
mod tests {
    use upnext_common::item::Item;

    use super::*;

    fn live() -> LiveItems {
        let mut live = LiveItems::new();
        for (id, category, hidden) in
            [("d", "tea", false), ("a", "mug", false), ("b", "tea", true), ("c", "tea", false)]
        {
            let item = Item {
                item_id: id.to_owned(),
                category: Some(category.to_owned()),
                hidden,
                ..Item::default()
            };
            live.put_item(&item).unwrap();
        }
        live
    }

    #[track_caller]
    fn check(category_in: Option<&[String]>, expected: &[&str]) {
        let live = live();
        let order = Lists::make(&live, 0).order(&live, category_in);
        let ids: Vec<_> = order.into_iter().map(|index| live.id(index)).collect();
        assert_eq!(ids, expected);
    }

    #[test]
    fn without_counts_servable_items_stand_by_id() {
        check(None, &["a", "c", "d"]);
    }

    #[test]
    fn categories_are_dealt_in_turns() {
        let of = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
        check(Some(&of(&["tea"])), &["c", "d"]);
        check(Some(&of(&["tea", "mug"])), &["c", "a", "d"]);
        check(Some(&of(&["none"])), &[]);
    }
}
