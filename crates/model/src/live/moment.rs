//! All items at one moment: shares of attention, and the chance of one item after another.

use super::{LiveItems, usize_of};

const DAY_MS: f64 = 86_400_000.0;
const PAIR_HALF_LIFE_MS: f64 = 60.0 * DAY_MS;
/// Added to every share, so that an item nobody touched lately still has a chance.
const SHARE_FLOOR: f64 = 1e-5;
/// How many interactions' worth of trending every pair list is smoothed with.
const SMOOTHING: f64 = 3.0;
/// Weight of each older item of a session in its mixture.
const SESSION_FADE: f64 = 0.5;

/// The decayed reading of [`LiveItems`]; all slices are by item index.
#[derive(Debug)]
pub struct Moment<'a> {
    live: &'a LiveItems,
    now_ms: i64,
    /// Share of interest, half-life 7 d, plus 1e-5: the chance of an item when nothing is known.
    trend: Vec<f64>,
    totals: Totals,
}

/// Sums over all items.
#[derive(Clone, Copy, Debug, Default)]
struct Totals {
    interest_1h: f64,
    interest_24h: f64,
    interest_7d: f64,
    interest_30d: f64,
    interest: f64,
    openings_7d: f64,
    shown: f64,
    clicked: f64,
}

/// What one item's counters read at this moment.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Shares {
    pub share_1h: f64,
    pub share_24h: f64,
    pub share_7d: f64,
    pub share_30d: f64,
    pub share: f64,
    pub opening_share_7d: f64,
}

impl<'a> Moment<'a> {
    pub(super) fn new(live: &'a LiveItems, now_ms: i64) -> Self {
        let mut totals = Totals::default();
        let mut trend = Vec::with_capacity(live.len());
        for item in &live.items {
            let Some(counts) = &item.counts else {
                trend.push(0.0);
                continue;
            };
            let fades = Fades::after(elapsed_ms(counts.stamp_ms, now_ms));
            let interest_7d = counts.interest_7d * fades.week;
            totals.interest_1h += counts.interest_1h * fades.hour;
            totals.interest_24h += counts.interest_24h * fades.day;
            totals.interest_7d += interest_7d;
            totals.interest_30d += counts.interest_30d * fades.month;
            totals.interest += counts.interest;
            totals.openings_7d += counts.openings_7d * fades.week;
            totals.shown += counts.shown;
            totals.clicked += counts.clicked;
            trend.push(interest_7d);
        }
        for share in &mut trend {
            *share = part(*share, totals.interest_7d) + SHARE_FLOOR;
        }
        Self { live, now_ms, trend, totals }
    }

    #[must_use]
    pub fn live(&self) -> &'a LiveItems {
        self.live
    }

    #[must_use]
    pub fn now_ms(&self) -> i64 {
        self.now_ms
    }

    /// The chance of each item when nothing is known of the asker.
    #[must_use]
    pub fn trend(&self) -> &[f64] {
        &self.trend
    }

    /// How often the item was interacted with, ever.
    #[must_use]
    pub fn count(&self, item: u32) -> f64 {
        self.live.item(item).counts.as_ref().map_or(0.0, |counts| counts.interest)
    }

    #[must_use]
    pub fn shares(&self, item: u32) -> Shares {
        let Some(counts) = &self.live.item(item).counts else {
            return Shares::default();
        };
        let fades = Fades::after(elapsed_ms(counts.stamp_ms, self.now_ms));
        let totals = &self.totals;
        Shares {
            share_1h: part(counts.interest_1h * fades.hour, totals.interest_1h),
            share_24h: part(counts.interest_24h * fades.day, totals.interest_24h),
            share_7d: part(counts.interest_7d * fades.week, totals.interest_7d),
            share_30d: part(counts.interest_30d * fades.month, totals.interest_30d),
            share: part(counts.interest, totals.interest),
            opening_share_7d: part(counts.openings_7d * fades.week, totals.openings_7d),
        }
    }

    /// Interactions with all items, ever.
    #[must_use]
    pub fn interest(&self) -> f64 {
        self.totals.interest
    }

    /// Clicks per impression over all items; 0 when nothing was shown.
    #[must_use]
    pub fn click_rate(&self) -> f64 {
        part(self.totals.clicked, self.totals.shown)
    }

    /// Days since the log first spoke of the item; 0 for one it never spoke of.
    #[must_use]
    pub fn age_days(&self, item: u32) -> f64 {
        let counts = self.live.item(item).counts.as_ref();
        counts.map_or(0.0, |counts| elapsed_ms(counts.first_seen_ms, self.now_ms) / DAY_MS)
    }

    /// `P(next | last)`: of what followed `last`, the share that was `next`; what is unknown about it backs off
    /// to trending.
    #[must_use]
    pub fn chance(&self, next: u32, last: u32) -> f64 {
        let row = self.after(last);
        row.open * self.trend[usize_of(next)] + row.per_weight * self.weight(next, last)
    }

    fn weight(&self, next: u32, last: u32) -> f64 {
        let counts = self.live.item(last).counts.as_ref();
        counts.map_or(0.0, |counts| counts.pair_weight(self.live.item(next).hash))
    }

    /// Writes `P(i | last)` of every item `i` into `out`.
    pub fn chances_after(&self, last: u32, out: &mut Vec<f64>) {
        let row = self.after(last);
        out.clear();
        out.extend(self.trend.iter().map(|trend| row.open * trend));
        self.for_each_pair(last, |other, weight| {
            out[usize_of(other)] += row.per_weight * weight;
        });
    }

    /// Writes `P(next | i)` for every item `i` into `out`.
    pub fn chances_before(&self, next: u32, out: &mut Vec<f64>) {
        out.clear();
        let count = u32::try_from(self.live.len()).unwrap_or(u32::MAX);
        out.extend((0..count).map(|last| self.chance(next, last)));
    }

    /// Writes the session's mixture of every item into `out`: `Σ .5^p P(i | c_p) / Σ .5^p`, newest first.
    pub fn session_chances(&self, newest_first: &[u32], out: &mut Vec<f64>) {
        out.clear();
        out.resize(self.live.len(), 0.0);
        let mixture = self.mix(newest_first, out);
        for (sum, trend) in out.iter_mut().zip(&self.trend) {
            *sum = mixture.chance(*sum, *trend);
        }
    }

    /// Adds up the mixture's pair weights into `out` (by item index) and returns what the rest of it is.
    pub(crate) fn mix(&self, newest_first: &[u32], out: &mut [f64]) -> Mixture {
        let (mut mixture, mut scale) = (Mixture::default(), 1.0);
        for item in newest_first {
            mixture.open += self.add_chances(*item, scale, out);
            mixture.weight += scale;
            scale *= SESSION_FADE;
        }
        mixture
    }

    /// Share of the sessions opened with each item, half-life 7 d, into `out`.
    pub fn opening_shares(&self, out: &mut Vec<f64>) {
        out.clear();
        let count = u32::try_from(self.live.len()).unwrap_or(u32::MAX);
        out.extend((0..count).map(|item| self.shares(item).opening_share_7d));
    }

    /// Whether `next` stands in the pair list of `last`.
    #[must_use]
    pub fn has_pair(&self, next: u32, last: u32) -> bool {
        self.weight(next, last) > 0.0
    }

    /// Adds `scale · P(i | last)` to the sums in `out`, except for the part that is the same for all items:
    /// that is returned, to be multiplied with the item's trend.
    fn add_chances(&self, last: u32, scale: f64, out: &mut [f64]) -> f64 {
        let row = self.after(last);
        self.for_each_pair(last, |other, weight| {
            out[usize_of(other)] += scale * row.per_weight * weight;
        });
        scale * row.open
    }

    fn for_each_pair(&self, item: u32, mut each: impl FnMut(u32, f64)) {
        let Some(counts) = &self.live.item(item).counts else {
            return;
        };
        for (other, weight) in counts.pairs() {
            if let Some(index) = self.live.index_of(other) {
                each(index, weight);
            }
        }
    }

    /// `P(i | last) = (A[i] + (s + rest)·T(i)) / (R + s)` as `open·T(i) + per_weight·A[i]`, A as stored.
    fn after(&self, last: u32) -> After {
        let Some(counts) = &self.live.item(last).counts else {
            return After { open: 1.0, per_weight: 0.0 };
        };
        let fade = faded(elapsed_ms(counts.stamp_ms, self.now_ms), PAIR_HALF_LIFE_MS);
        let smoothed = counts.pair_total * fade + SMOOTHING;
        After {
            open: (SMOOTHING + counts.pair_rest * fade) / smoothed,
            per_weight: fade / smoothed,
        }
    }
}

/// What is left of 1 after some time, at the four half-lives.
struct Fades {
    hour: f64,
    day: f64,
    week: f64,
    month: f64,
}

impl Fades {
    /// Two exponentials instead of four: a day's fade is the seventh power of a week's, an hour's the 24th of a day's.
    fn after(age_ms: f64) -> Self {
        let week = faded(age_ms, 7.0 * DAY_MS);
        let day = week * (week * week) * ((week * week) * (week * week));
        let cube = day * day * day;
        let twelfth = (cube * cube) * (cube * cube);
        Self { hour: twelfth * twelfth, day, week, month: faded(age_ms, 30.0 * DAY_MS) }
    }
}

/// What a mixture of next-item probabilities is besides its pair weights.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Mixture {
    open: f64,
    weight: f64,
}

impl Mixture {
    /// The mixture's chance of an item with this sum of pair weights; its trend when nothing was mixed.
    pub(crate) fn chance(self, sum: f64, trend: f64) -> f64 {
        if self.weight == 0.0 { trend } else { (sum + self.open * trend) / self.weight }
    }
}

struct After {
    open: f64,
    per_weight: f64,
}

fn elapsed_ms(from_ms: i64, to_ms: i64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "spans of milliseconds are far below 2^53")]
    let elapsed = to_ms.saturating_sub(from_ms).max(0) as f64;
    elapsed
}

fn faded(age_ms: f64, half_life_ms: f64) -> f64 {
    (-age_ms / half_life_ms).exp2()
}

fn part(value: f64, total: f64) -> f64 {
    if total > 0.0 { value / total } else { 0.0 }
}
