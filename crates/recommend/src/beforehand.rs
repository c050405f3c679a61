//! The last resort: a list made beforehand, filtered for one question. Nothing is summed over all items.

use std::collections::HashSet;

use upnext_common::item::ItemHash;
use upnext_model::live::LiveItems;
use upnext_model::row::{Ask, Context};
use upnext_state::UserState;

use crate::eligible::{Compiled, seen};
use crate::query::{Query, Seen};

/// The first `k` items of `order` that the question allows: the same filters as on every other tier, looked up for
/// these items alone. Demoted items come last.
#[must_use]
pub fn keep(order: &[u32], query: &Query, user: Option<&UserState>, live: &LiveItems) -> Vec<u32> {
    let ask = Ask { now_ms: query.now_ms, session: query.session, seeds: &query.seeds };
    let context = Context::new(live, user, &ask);
    let filters = Compiled::new(&query.filters, live);
    let disliked: HashSet<ItemHash> =
        user.map(UserState::hidden).unwrap_or_default().iter().copied().collect();
    let met = match query.seen {
        Seen::Allow => HashSet::new(),
        Seen::Demote | Seen::Exclude => seen(live, user, &context),
    };
    let mut kept = Vec::with_capacity(query.k.min(order.len()));
    let mut demoted = Vec::new();
    for index in order {
        if kept.len() >= query.k {
            break;
        }
        let item = live.item(*index);
        let is_allowed = filters.cause(item).is_none()
            && !query.exclude.contains(&item.hash())
            && !disliked.contains(&item.hash())
            && context.in_view() != Some(*index);
        match (is_allowed, met.contains(index), query.seen) {
            (false, _, _) | (true, true, Seen::Exclude) => {}
            (true, true, Seen::Demote) => demoted.push(*index),
            (true, false, _) | (true, true, Seen::Allow) => kept.push(*index),
        }
    }
    let room = query.k.saturating_sub(kept.len());
    kept.extend(demoted.into_iter().take(room));
    kept
}

#[cfg(test)]
mod tests {
    use upnext_common::item::Item;

    use super::*;

    fn live() -> LiveItems {
        let mut live = LiveItems::new();
        for (id, category, hidden) in
            [("a", "tea", false), ("b", "tea", true), ("c", "mug", false), ("d", "tea", false)]
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
    fn check(query: &Query, expected: &[&str]) {
        let live = live();
        let kept = keep(&[0, 1, 2, 3], query, None, &live);
        let ids: Vec<_> = kept.into_iter().map(|index| live.id(index)).collect();
        assert_eq!(ids, expected);
    }

    #[test]
    fn the_same_filters_hold_as_on_every_tier() {
        check(&Query::new(0, 10), &["a", "c", "d"]);
        check(&Query::new(0, 1), &["a"]);
        check(&Query { exclude: [ItemHash::of("a")].into(), ..Query::new(0, 10) }, &["c", "d"]);
        let mut tea = Query::new(0, 10);
        tea.filters.category_in = Some(vec!["tea".to_owned()]);
        check(&tea, &["a", "d"]);
    }

    #[test]
    fn what_was_seen_comes_last_or_not_at_all_and_what_is_in_view_never() {
        let seeds = vec![ItemHash::of("a"), ItemHash::of("c")];
        let query = Query { seeds, ..Query::new(0, 10) };
        check(&query, &["a", "d"]);
        check(&Query { seen: Seen::Demote, ..query.clone() }, &["d", "a"]);
        check(&Query { seen: Seen::Exclude, ..query }, &["d"]);
    }
}
