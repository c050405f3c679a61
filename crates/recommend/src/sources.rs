//! Where candidates come from: the best 50 of each source, merged into one slate.

use crate::asked::Asked;
use crate::select;
use crate::slate::{Slate, Source};

/// Candidates taken from each source.
pub(crate) const PER_SOURCE: usize = 50;

/// All candidates of the full tier. Each names the first source that had it.
pub(crate) fn gather(asked: &Asked<'_>) -> Slate {
    let Asked { snapshot, moment, context, .. } = asked;
    let mut gathering = Gathering::new(asked);
    let mut scores = Vec::new();
    for (last, source) in context.items.iter().zip([Source::Next, Source::Previous]) {
        moment.chances_after(*last, &mut scores);
        gathering.take(&scores, source);
    }
    if context.items.len() > 2 {
        moment.session_chances(&context.items, &mut scores);
        gathering.take(&scores, Source::Session);
    }
    if let Some(last) = context.items.first() {
        moment.chances_before(*last, &mut scores);
        gathering.take(&scores, Source::Back);
    }
    let admits = |item| asked.eligible.allows(item);
    for item in snapshot.prepared.nearest(&context.items, PER_SOURCE, admits) {
        gathering.add(item, Source::Tower);
    }
    gathering.take_repeats();
    gathering.take(moment.trend(), Source::Trending);
    if !context.is_session {
        moment.opening_shares(&mut scores);
        gathering.take(&scores, Source::Opening);
    }
    gathering.slate
}

struct Gathering<'a> {
    asked: &'a Asked<'a>,
    slate: Slate,
    /// By item index: whether the slate has it.
    is_taken: Vec<bool>,
}

impl<'a> Gathering<'a> {
    fn new(asked: &'a Asked<'a>) -> Self {
        let is_taken = vec![false; asked.live().len()];
        Self { asked, slate: Slate::default(), is_taken }
    }

    fn take(&mut self, scores: &[f64], source: Source) {
        let Asked { query, eligible, .. } = self.asked;
        let best = select::best(self.asked.live(), scores, eligible, PER_SOURCE);
        if query.explain {
            select::note_dropped(&mut self.slate.dropped, scores, eligible, source, &best);
        }
        for (item, _) in best {
            self.add(item, source);
        }
    }

    fn take_repeats(&mut self) {
        let mut items = self.asked.context.repeats.keys().copied().collect::<Vec<_>>();
        items.sort_unstable_by_key(|item| self.asked.live().id(*item));
        for item in items {
            if self.asked.eligible.allows(item) {
                self.add(item, Source::Repeat);
            }
        }
    }

    fn add(&mut self, item: u32, source: Source) {
        let slot = usize::try_from(item).ok().and_then(|at| self.is_taken.get_mut(at));
        if let Some(is_taken) = slot.filter(|is_taken| !**is_taken) {
            *is_taken = true;
            self.slate.push(item, source);
        }
    }
}
