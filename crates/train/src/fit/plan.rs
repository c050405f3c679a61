//! Which part of the history teaches what, and how long each fit may take.

use upnext_common::config::Train;

use crate::dataset::Row;

const DAY_MS: i64 = 86_400_000;
/// Share of the events before the window, when the history is shorter than the configured window.
const SHORT_HISTORY_SHARE: (usize, usize) = (7, 10);
/// Slates per second of the whole budget: what making and learning from them costs.
const SLATES_PER_SECOND: usize = 300;
const SLATES_MAX: usize = 60_000;

/// A span of time whose events become slates, scored by a tower fitted on what lies before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    pub start_ms: i64,
    /// Exclusive.
    pub end_ms: i64,
}

/// How a history is used.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// Oldest first, one after the other, the last one up to the end.
    pub windows: Vec<Window>,
    /// Just after the last event.
    pub end_ms: i64,
    pub(crate) seconds: Option<Seconds>,
    /// Slates of both replays together.
    pub slates_max: usize,
}

/// A time budget by part. The tower that serves is fitted beside the others.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Seconds {
    /// Each tower of a window.
    pub(crate) tower: f64,
    /// The tower that serves, fitted beside everything else.
    pub(crate) last_tower: f64,
    /// Both replays together; moments beyond it are not asked about.
    pub(crate) slates: f64,
    pub(crate) ranker: f64,
}

impl Plan {
    /// `None` without events. Two windows where the history is at least three long, else one; a history shorter than
    /// two windows gives its newest 30 % of events.
    #[must_use]
    pub fn new(rows: &[Row], config: &Train) -> Option<Self> {
        let first_ms = rows.first()?.record_ms;
        let end_ms = rows.last()?.record_ms + 1;
        let width_ms = i64::from(config.ranker_window_days.max(1)) * DAY_MS;
        let windows_in_history = (end_ms - first_ms) / width_ms;
        let is_short_of_time = config.seconds_max > 0;
        let start_ms = match windows_in_history {
            0 | 1 => short_start(rows),
            2 => end_ms - width_ms,
            _ if is_short_of_time => end_ms - width_ms,
            _ => end_ms - 2 * width_ms,
        };
        let middle_ms = (end_ms - width_ms).max(start_ms);
        let windows = [(start_ms, middle_ms), (middle_ms, end_ms)];
        let windows = windows.map(|(start_ms, end_ms)| Window { start_ms, end_ms });
        let windows = windows.into_iter().filter(|window| window.start_ms < window.end_ms);
        let slates = usize::try_from(config.seconds_max).unwrap_or(usize::MAX);
        let slates = slates.saturating_mul(SLATES_PER_SECOND).min(SLATES_MAX);
        Some(Self {
            windows: windows.collect(),
            end_ms,
            seconds: is_short_of_time.then(|| Seconds::of(config.seconds_max)),
            slates_max: if is_short_of_time { slates } else { SLATES_MAX },
        })
    }

    /// The window an event at `time_ms` is in.
    #[must_use]
    pub fn window_at(&self, time_ms: i64) -> Option<usize> {
        self.windows.iter().position(|w| (w.start_ms..w.end_ms).contains(&time_ms))
    }
}

impl Seconds {
    /// One window's tower, then slates, then the ranker; the last tower meanwhile.
    fn of(seconds_max: u64) -> Self {
        #[expect(clippy::cast_precision_loss, reason = "a budget in seconds is small")]
        let all = seconds_max as f64;
        Self { tower: 0.35 * all, last_tower: 0.8 * all, slates: 0.35 * all, ranker: 0.2 * all }
    }
}

fn short_start(rows: &[Row]) -> i64 {
    let (part, whole) = SHORT_HISTORY_SHARE;
    let at = rows.len() * part / whole;
    rows.get(at).map_or(0, |row| row.record_ms)
}
