//! Who may be answered: the final filters, the same on every tier.

use std::collections::HashSet;

use upnext_model::live::{LiveItem, LiveItems};
use upnext_model::row::Context;
use upnext_state::UserState;

use crate::query::{Filters, Query, Seen};
use crate::slate::Cause;

/// The verdict on every live item, by index.
#[derive(Debug)]
pub(crate) struct Eligible {
    causes: Vec<Option<Cause>>,
    /// Come after everything else, by the rule `seen = demote`.
    demoted: HashSet<u32>,
}

/// Whether the item in view and the seen rule count: they do not where the caller names the candidates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scope {
    Open,
    Given,
}

impl Eligible {
    pub(crate) fn new(
        query: &Query,
        live: &LiveItems,
        user: Option<&UserState>,
        context: &Context,
        scope: Scope,
    ) -> Self {
        let filters = Compiled::new(&query.filters, live);
        let mut causes = live.iter().map(|(_, item)| filters.cause(item)).collect::<Vec<_>>();
        let mut mark = |index: u32, cause: Cause| {
            let slot = usize::try_from(index).ok().and_then(|at| causes.get_mut(at));
            if let Some(slot) = slot {
                *slot = Some(slot.map_or(cause, |earlier| earlier.min(cause)));
            }
        };
        for hash in &query.exclude {
            live.index_of(*hash).into_iter().for_each(|index| mark(index, Cause::Excluded));
        }
        for hash in user.map(UserState::hidden).unwrap_or_default() {
            live.index_of(*hash).into_iter().for_each(|index| mark(index, Cause::Disliked));
        }
        if scope == Scope::Open {
            context.in_view().into_iter().for_each(|index| mark(index, Cause::InView));
            if query.seen == Seen::Exclude {
                seen(live, user, context).into_iter().for_each(|index| mark(index, Cause::Seen));
            }
        }
        let demoted = match query.seen {
            Seen::Demote => seen(live, user, context),
            Seen::Allow | Seen::Exclude => HashSet::new(),
        };
        Self { causes, demoted }
    }

    /// Why the item may not be answered; `None` when it may.
    pub(crate) fn cause(&self, index: u32) -> Option<Cause> {
        usize::try_from(index).ok().and_then(|at| self.causes.get(at).copied().flatten())
    }

    pub(crate) fn allows(&self, index: u32) -> bool {
        self.cause(index).is_none()
    }

    pub(crate) fn is_demoted(&self, index: u32) -> bool {
        self.demoted.contains(&index)
    }
}

/// Everything the user's state remembers an interaction with, and the seeds.
pub(crate) fn seen(live: &LiveItems, user: Option<&UserState>, context: &Context) -> HashSet<u32> {
    let recent = user.map(UserState::recent).unwrap_or_default();
    let recent = recent.iter().filter_map(upnext_state::RingEvent::interaction);
    let recent = recent.filter_map(|item| live.index_of(item));
    recent.chain(context.items.iter().copied()).chain(context.repeats.keys().copied()).collect()
}

/// Filters with their texts looked up once.
pub(crate) struct Compiled<'a> {
    filters: &'a Filters,
    category_in: Option<HashSet<u32>>,
    category_not_in: HashSet<u32>,
}

impl<'a> Compiled<'a> {
    pub(crate) fn new(filters: &'a Filters, live: &LiveItems) -> Self {
        let codes = |texts: &Vec<String>| {
            texts.iter().filter_map(|text| live.category(text)).collect::<HashSet<_>>()
        };
        Self {
            filters,
            category_in: filters.category_in.as_ref().map(codes),
            category_not_in: filters.category_not_in.as_ref().map(codes).unwrap_or_default(),
        }
    }

    pub(crate) fn cause(&self, item: &LiveItem) -> Option<Cause> {
        if item.is_deleted() {
            return Some(Cause::Deleted);
        }
        if item.is_hidden() {
            return Some(Cause::Hidden);
        }
        if !self.passes_category(item.category()) {
            return Some(Cause::Category);
        }
        if !self.passes_price(item.record().and_then(|record| record.price)) {
            return Some(Cause::Price);
        }
        (!self.passes_attributes(item)).then_some(Cause::Attributes)
    }

    fn passes_category(&self, category: Option<u32>) -> bool {
        let is_in = |wanted: &HashSet<u32>| category.is_some_and(|code| wanted.contains(&code));
        self.category_in.as_ref().is_none_or(is_in) && !is_in(&self.category_not_in)
    }

    fn passes_price(&self, price: Option<f64>) -> bool {
        let Filters { price_min, price_max, .. } = self.filters;
        let is_above = price_min.is_none_or(|min| price.is_some_and(|price| price >= min));
        is_above && price_max.is_none_or(|max| price.is_some_and(|price| price <= max))
    }

    fn passes_attributes(&self, item: &LiveItem) -> bool {
        let found = item.record().map(|record| &record.attributes);
        let mut wanted = self.filters.attributes.iter();
        wanted.all(|(name, text)| found.and_then(|found| found.get(name)) == Some(text))
    }
}
