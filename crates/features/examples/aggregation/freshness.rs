//! How old an event is when its effect is in Redis, at a steady 5,000 events a second that wait for nobody.

use std::time::Duration;

use crate::Outcome;
use crate::daemon::{Watched, value};
use crate::filling::{self, Whose};
use crate::roles::start_stack;

const PER_SECOND: u64 = 5_000;
/// What comes before that is the start's.
const WARM_UP: Duration = Duration::from_secs(5);

pub(crate) async fn measure(seconds: u64) -> Outcome<()> {
    let (stack, place, _) = start_stack(&["fresh."]).await?;
    let mut daemon = Watched::start(&place, "fresh.", "both", None)?;
    let count = (seconds + WARM_UP.as_secs()) * PER_SECOND;
    let load = filling::start(&place, "fresh.", Whose::Crowd(100_000), (count, PER_SECOND))?;
    tokio::time::sleep(WARM_UP).await;
    let before = daemon.metrics()?;
    tokio::time::sleep(Duration::from_secs(seconds)).await;
    let after = daemon.metrics()?;
    load.ended()?;
    daemon.ended()?;
    for (at, name) in [("store", "a user's state"), ("item_store", "an item's state")] {
        let labels = format!("at=\"{at}\",since=\"event\"");
        let found = Ages::of(&after, &labels).since(&Ages::of(&before, &labels));
        println!(
            "event to {name} in Redis at {PER_SECOND}/s: p50 {:.0} ms, p99 {:.0} ms; {:.2} % within 100 ms, {:.2} % within 250 ms, of {}",
            found.quantile(0.5) * 1_000.0,
            found.quantile(0.99) * 1_000.0,
            found.within(0.1) * 100.0,
            found.within(0.25) * 100.0,
            found.count(),
        );
    }
    for stage in ["users", "items"] {
        println!("{}", flushes(&before, &after, stage));
    }
    stack.ended()
}

fn flushes(before: &str, after: &str, stage: &str) -> String {
    let grown = |name: &str| {
        let series = format!("{name}{{stage=\"{stage}\"}}");
        value(after, &series) - value(before, &series)
    };
    let count = grown("upnext_flush_entries_count");
    format!(
        "{stage}: {count} flushes, each {:.0} entries, {:.0} puts, {:.1} ms",
        grown("upnext_flush_entries_sum") / count,
        grown("upnext_flushed_states_total") / count,
        grown("upnext_flush_duration_seconds_sum") * 1_000.0 / count,
    )
}

/// A histogram's buckets: upper bound, and how many are not above it.
struct Ages(Vec<(f64, f64)>);

impl Ages {
    fn of(text: &str, labels: &str) -> Self {
        let start = "upnext_feature_freshness_seconds_bucket{le=\"";
        let bucket = |line: &str| {
            let (bound, rest) = line.strip_prefix(start)?.split_once('"')?;
            let (found, count) = rest.strip_prefix(',')?.split_once("} ")?;
            let bound = if bound == "+Inf" { f64::INFINITY } else { bound.parse().ok()? };
            (found == labels).then_some((bound, count.parse().ok()?))
        };
        Self(text.lines().filter_map(bucket).collect())
    }

    fn since(&self, before: &Self) -> Self {
        let known = |at: usize| before.0.get(at).map_or(0.0, |(_, count)| *count);
        Self(self.0.iter().enumerate().map(|(at, (bound, n))| (*bound, n - known(at))).collect())
    }

    fn count(&self) -> f64 {
        self.0.last().map_or(0.0, |(_, count)| *count)
    }

    fn within(&self, seconds: f64) -> f64 {
        let bucket = self.0.iter().rev().find(|(bound, _)| *bound <= seconds);
        bucket.map_or(0.0, |(_, count)| count / self.count())
    }

    /// Between the bounds of the bucket it falls into.
    fn quantile(&self, share: f64) -> f64 {
        let (mut below, mut lower) = (0.0, 0.0);
        for (bound, count) in &self.0 {
            if *count >= share * self.count() && *count > below {
                return lower + (bound - lower) * (share * self.count() - below) / (count - below);
            }
            (below, lower) = (*count, *bound);
        }
        f64::INFINITY
    }
}
