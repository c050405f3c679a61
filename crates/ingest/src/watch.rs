//! What operators see of rejections: the share over a minute, the alarm, and the partitions that are held.

use std::collections::BTreeSet;
use std::time::Duration;

use parking_lot::Mutex;
use tracing::{info, warn};
use upnext_common::clock::Clock;
use upnext_common::drain::Drain;
use upnext_common::metrics::Metrics;
use upnext_http::Health;

use crate::rejects::Share;

const SPAN: Duration = Duration::from_secs(60);
const LOOK: Duration = Duration::from_secs(1);
/// Name of the check that `/readyz?verbose` shows. It decides nothing: held partitions do not make others unready.
const CHECK: &str = "ingest";

/// Shared by all partitions.
pub(crate) struct Watch {
    clock: Clock,
    metrics: Metrics,
    health: Health,
    /// Share of rejections above which there is an alarm.
    alarm_share: f64,
    state: Mutex<State>,
}

struct State {
    share: Share,
    is_alarmed: bool,
    held: BTreeSet<i32>,
}

impl Watch {
    pub(crate) fn new(clock: Clock, metrics: Metrics, health: Health, alarm_share: f64) -> Self {
        let state = State { share: Share::over(SPAN), is_alarmed: false, held: BTreeSet::new() };
        Self { clock, metrics, health, alarm_share, state: Mutex::new(state) }
    }

    /// Records acknowledged, and how many of them as dead letters.
    pub(crate) fn note(&self, records: u64, rejected: u64) {
        self.state.lock().share.note(records, rejected, self.clock.instant());
    }

    /// A partition is held because nearly all of it is rejected, or is so no longer.
    pub(crate) fn held(&self, partition: i32, is_held: bool) {
        let mut state = self.state.lock();
        if is_held {
            state.held.insert(partition);
        } else {
            state.held.remove(&partition);
        }
        drop(state);
        self.look();
    }

    /// Looks now and then until drained, so that an alarm also ends when nothing comes.
    pub(crate) async fn keep(&self, drain: &Drain) {
        loop {
            self.look();
            tokio::select! {
                () = drain.started() => return,
                () = tokio::time::sleep(LOOK) => {}
            }
        }
    }

    fn look(&self) {
        let mut state = self.state.lock();
        let (records, share) = state.share.now(self.clock.instant());
        let is_alarmed = share > self.alarm_share;
        if is_alarmed && !state.is_alarmed {
            warn!(share, records, "more records are rejected than is usual");
        } else if !is_alarmed && state.is_alarmed {
            info!(share, records, "rejections are as usual again");
        }
        state.is_alarmed = is_alarmed;
        self.metrics.rejections.ratio.set(share);
        self.metrics.rejections.alarm.set(i64::from(is_alarmed));
        self.metrics.rejections.held.set(i64::try_from(state.held.len()).unwrap_or(0));
        let held: Vec<String> = state.held.iter().map(ToString::to_string).collect();
        let detail = if held.is_empty() {
            format!("{:.1} % of {records} records rejected over a minute", share * 100.0)
        } else {
            format!("held, since nearly all is rejected: partitions {}", held.join(", "))
        };
        self.health.set_ready(CHECK, state.held.is_empty(), detail);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_alarm_comes_and_goes_with_the_share() {
        let (clock, metrics, health) = (Clock::manual(0), Metrics::new(), Health::new(&[]));
        let watch = Watch::new(clock.clone(), metrics.clone(), health, 0.01);
        watch.note(100, 1);
        watch.look();
        assert_eq!(metrics.rejections.alarm.get(), 0, "1 % is not more than 1 %");
        watch.note(10, 1);
        watch.look();
        assert_eq!(metrics.rejections.alarm.get(), 1);
        assert!(metrics.render().contains("upnext_ingest_rejected_ratio 0.018"));
        clock.advance(SPAN);
        watch.look();
        assert_eq!(metrics.rejections.alarm.get(), 0);
    }

    #[test]
    fn a_held_partition_is_told_of_and_decides_nothing() {
        let (metrics, health) = (Metrics::new(), Health::new(&[]));
        let watch = Watch::new(Clock::manual(0), metrics.clone(), health.clone(), 0.01);
        watch.held(3, true);
        assert!(metrics.render().contains("upnext_ingest_held_partitions 1"));
        let check = &health.checks()["ingest"];
        assert!(!check.is_ready && check.detail.contains('3'), "{check:?}");
        assert!(health.is_ready());
        watch.held(3, false);
        assert!(health.checks()["ingest"].is_ready);
    }
}
