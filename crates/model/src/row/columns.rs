//! The columns themselves. `P(i|c)` is [`Moment::chance`]; all logarithms are natural.

use crate::live::{Mixture, Moment, Shares, usize_of};

use super::compare;
use super::context::{Context, Repeat};
use super::spec::{Column, WIDTH};

const SHARE_FLOOR: f64 = 1e-4;
/// Impressions' worth of the overall click rate that every item starts with.
const CLICK_PRIOR: f64 = 20.0;
/// What `repeat_days` reads for an item the user never met.
const NEVER: f64 = 7.0;
const TOWER_FLOOR: f32 = -20.0;

/// Writes the rows of `slate` (live indices), [`WIDTH`] values each, in the slate's order.
///
/// `towers`: the tower's logits of the same items, in the same order; `None` where there is no tower.
#[must_use]
pub fn build(
    moment: &Moment<'_>,
    context: &Context,
    slate: &[u32],
    towers: Option<&[f32]>,
) -> Vec<f32> {
    let asker = Asker::new(moment, context);
    let mut rows = vec![0.0; slate.len() * WIDTH];
    for (row, item) in rows.chunks_exact_mut(WIDTH).zip(slate) {
        asker.write(*item, row);
    }
    if let Some(logits) = towers {
        for (row, value) in rows.chunks_exact_mut(WIDTH).zip(log_softmax(logits)) {
            row[Column::Tower.at()] = value;
        }
    }
    compare::fill(&mut rows);
    rows
}

/// What is the same for all rows of a slate.
struct Asker<'a> {
    moment: &'a Moment<'a>,
    context: &'a Context,
    /// The session's mixture: pair weights by item index, and the rest.
    sums: Vec<f64>,
    mixture: Mixture,
    distinct: f64,
    click_rate: f64,
}

impl<'a> Asker<'a> {
    fn new(moment: &'a Moment<'a>, context: &'a Context) -> Self {
        let mut sums = vec![0.0; moment.live().len()];
        let mixture = moment.mix(&context.items, &mut sums);
        let mut distinct = context.items.clone();
        distinct.sort_unstable();
        distinct.dedup();
        let distinct = ratio(distinct.len(), context.items.len());
        let click_rate = moment.click_rate().clamp(1e-3, 0.5);
        Self { moment, context, sums, mixture, distinct, click_rate }
    }

    fn write(&self, item: u32, row: &mut [f32]) {
        let mut set = |column: Column, value: f64| row[column.at()] = narrow(value);
        let trend = self.moment.trend()[usize_of(item)];
        for (nth, column) in
            [Column::NextLast, Column::NextSecond, Column::NextThird].into_iter().enumerate()
        {
            set(column, self.next(item, nth).unwrap_or(trend).ln());
        }
        let mixed = self.mixture.chance(self.sums[usize_of(item)], trend);
        set(Column::NextSession, mixed.ln());
        let back = self.context.items.first().map(|last| self.moment.chance(*last, item));
        set(Column::Back, back.unwrap_or(trend).ln());
        self.write_shares(item, trend, &mut set);
        self.write_session(item, &mut set);
        self.write_repeats(item, &mut set);
        self.write_clicks(item, &mut set);
    }

    /// `P(item | nth newest)`; `None` when the session is shorter.
    fn next(&self, item: u32, nth: usize) -> Option<f64> {
        let last = self.context.items.get(nth)?;
        Some(self.moment.chance(item, *last))
    }

    fn write_shares(&self, item: u32, trend: f64, set: &mut impl FnMut(Column, f64)) {
        let shares: Shares = self.moment.shares(item);
        set(Column::Share1h, (shares.share_1h + SHARE_FLOOR).ln());
        set(Column::Share24h, (shares.share_24h + SHARE_FLOOR).ln());
        set(Column::Share7d, (shares.share_7d + SHARE_FLOOR).ln());
        set(Column::Trend, trend.ln() - (shares.share_30d + SHARE_FLOOR).ln());
        let ever = (self.moment.count(item) + 0.5) / (self.moment.interest() + 1.0);
        set(Column::ShareEver, ever.ln());
        set(Column::OpeningShare, (shares.opening_share_7d + SHARE_FLOOR).ln());
        set(Column::Age, self.moment.age_days(item).ln_1p());
    }

    fn write_session(&self, item: u32, set: &mut impl FnMut(Column, f64)) {
        let items = &self.context.items;
        let times = items.iter().filter(|met| **met == item).count();
        set(Column::TimesInSession, ratio(times, 1));
        let place = items.iter().position(|met| *met == item).filter(|place| *place > 0);
        set(Column::Recency, place.map_or(0.0, |place| ratio(1, place)));
        let live = self.moment.live();
        let category = live.item(item).category();
        let shared = |met: &&u32| category.is_some() && live.item(**met).category() == category;
        set(Column::SameCategory, ratio(items.first().iter().filter(|m| shared(m)).count(), 1));
        set(Column::CategoryShare, ratio(items.iter().filter(shared).count(), items.len()));
        let last_price = items.first().and_then(|last| live.item(*last).ln_price());
        let prices = live.item(item).ln_price().zip(last_price);
        set(Column::PriceDistance, prices.map_or(0.0, |(one, other)| (one - other).abs()));
        set(Column::SessionLength, ratio(items.len().max(1), 1).ln());
        set(Column::Distinct, if items.is_empty() { 1.0 } else { self.distinct });
        set(Column::WithoutContext, f64::from(u8::from(items.is_empty())));
        set(
            Column::OlderContext,
            f64::from(u8::from(!items.is_empty() && !self.context.is_session)),
        );
    }

    fn write_repeats(&self, item: u32, set: &mut impl FnMut(Column, f64)) {
        let known = self.context.repeats.get(&item);
        let never = Repeat { days: NEVER.exp_m1(), ..Repeat::default() };
        let repeat = known.copied().unwrap_or(never);
        set(Column::RepeatCount, repeat.count.ln_1p());
        set(Column::RepeatSessions, repeat.sessions.ln_1p());
        set(Column::RepeatShare, repeat.share);
        set(Column::RepeatDays, repeat.days.ln_1p().min(NEVER));
        let was_there = self.context.previous_session.contains(&item);
        set(Column::InPreviousSession, f64::from(u8::from(was_there)));
    }

    fn write_clicks(&self, item: u32, set: &mut impl FnMut(Column, f64)) {
        let counts = self.moment.live().item(item).counts();
        let (shown, clicked) = counts.map_or((0.0, 0.0), |counts| (counts.shown, counts.clicked));
        let rate = (clicked + CLICK_PRIOR * self.click_rate) / (shown.max(clicked) + CLICK_PRIOR);
        set(Column::ClickOdds, (rate / (1.0 - rate).max(1e-6)).ln());
        set(Column::Shown, shown.ln_1p());
    }
}

/// Logits as log-probabilities over the slate, not below -20.
fn log_softmax(logits: &[f32]) -> impl Iterator<Item = f32> {
    let best = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let sum: f64 = logits.iter().map(|logit| f64::from(logit - best).exp()).sum();
    let total = f64::from(best) + sum.ln();
    logits.iter().map(move |logit| narrow(f64::from(*logit) - total).clamp(TOWER_FLOOR, 0.0))
}

fn ratio(part: usize, whole: usize) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "counts within one session or slate")]
    let ratio = if whole == 0 { 0.0 } else { part as f64 / whole as f64 };
    ratio
}

fn narrow(value: f64) -> f32 {
    #[expect(clippy::cast_possible_truncation, reason = "columns are f32; rounding is meant")]
    let narrow = value as f32;
    narrow
}
