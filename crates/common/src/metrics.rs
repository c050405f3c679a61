//! The closed list of metrics. Units stand in the names; no user or item id is ever a label.

mod state;

use std::sync::Arc;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
pub use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

pub use state::{
    ByStage, FLUSH_BUCKETS, FreshnessLabels, PartitionLabels, STATE_BYTES_BUCKETS, StateMetrics,
};

/// Bounds of latency buckets, seconds: 0.5 ms … 500 ms.
pub const LATENCY_BUCKETS: [f64; 11] =
    [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.15, 0.25, 0.5];
/// Bounds of freshness buckets, seconds: 5 ms … 60 s.
pub const FRESHNESS_BUCKETS: [f64; 12] =
    [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0, 60.0];

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct AnswerLabels {
    pub tier: &'static str,
    pub reason: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct TierLabels {
    pub tier: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct StageLabels {
    pub stage: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct EventLabels {
    pub verdict: &'static str,
    pub reason: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct RuleLabels {
    pub rule: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct HttpLabels {
    pub route: String,
    pub status: u16,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct LagLabels {
    pub topic: String,
    pub partition: i32,
}

type Seconds<L> = Family<L, Histogram, fn() -> Histogram>;

fn latency() -> Histogram {
    Histogram::new(LATENCY_BUCKETS)
}

/// Every metric of the process; shared by all daemons that run in it.
#[derive(Clone, Debug)]
pub struct Metrics {
    registry: Arc<Registry>,
    pub answers: Family<AnswerLabels, Counter>,
    pub answer_duration: Seconds<TierLabels>,
    pub stage_duration: Seconds<StageLabels>,
    pub deadline_exceeded: Counter,
    pub decisions_dropped: Counter,
    pub http_requests: Family<HttpLabels, Counter>,
    pub events: Family<EventLabels, Counter>,
    pub rule_warnings: Family<RuleLabels, Counter>,
    pub consumer_lag_seconds: Family<LagLabels, Gauge<f64, std::sync::atomic::AtomicU64>>,
    pub state: StateMetrics,
    pub flush_duration: Seconds<StageLabels>,
    pub flushed_states: Family<StageLabels, Counter>,
    pub skipped_puts: Family<StageLabels, Counter>,
    pub duplicates: Family<StageLabels, Counter>,
    pub late_events: Counter,
    pub state_resets: Family<StageLabels, Counter>,
    pub rejections: Rejections,
    pub verified: Verified,
    pub live_items: Gauge,
    pub model_swaps: Counter,
    pub model_refusals: Counter,
}

/// How much of what comes in is rejected.
#[derive(Clone, Debug)]
pub struct Rejections {
    /// Share of records rejected over a minute, 0 to 1.
    pub ratio: Gauge<f64, std::sync::atomic::AtomicU64>,
    /// 1 while that is more than is usual.
    pub alarm: Gauge,
    /// Partitions that are held since nearly all of their records are rejected.
    pub held: Gauge,
}

impl Rejections {
    fn new(registry: &mut Registry) -> Self {
        let found =
            Self { ratio: Gauge::default(), alarm: Gauge::default(), held: Gauge::default() };
        let mut add = |name: &str, help: &str, gauge: &Gauge| {
            registry.register(name, help, gauge.clone());
        };
        add(
            "ingest_rejected_alarm",
            "1 while more records are rejected than ingest.reject_alarm_share",
            &found.alarm,
        );
        add(
            "ingest_held_partitions",
            "Partitions held since nearly all of their records are rejected",
            &found.held,
        );
        let help = "Share of records rejected over a minute";
        registry.register("ingest_rejected_ratio", help, found.ratio.clone());
        found
    }
}

/// What the features daemon found when it compared a sample of its state with the log.
#[derive(Clone, Debug)]
pub struct Verified {
    pub rounds: Counter,
    pub checked: Family<StageLabels, Counter>,
    pub wrong: Family<StageLabels, Counter>,
}

impl Verified {
    fn new(registry: &mut Registry) -> Self {
        Self {
            rounds: count(registry, "verify_rounds", "Comparisons of state with the log"),
            checked: by_stage(registry, "verify_checked", "States compared with the log"),
            wrong: by_stage(registry, "verify_wrong", "States that were not what the log says"),
        }
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Metrics {
    #[must_use]
    pub fn new() -> Self {
        let mut registry = Registry::with_prefix("upnext");
        let answers = Family::default();
        registry.register("answers", "Answers by tier and first reason", answers.clone());
        let answer_duration = seconds(&mut registry, "answer_duration", "Admission to answer");
        let stage_duration =
            seconds(&mut registry, "answer_stage_duration", "One stage of an answer");
        let http_requests = Family::default();
        registry.register("http_requests", "HTTP requests by route", http_requests.clone());
        let events = Family::default();
        registry.register("events", "Events by verdict and reason", events.clone());
        let consumer_lag_seconds = Family::default();
        registry.register(
            "consumer_lag_seconds",
            "Age of the last record",
            consumer_lag_seconds.clone(),
        );
        let flush_duration =
            seconds(&mut registry, "flush_duration", "One flush to the online store");
        let flushed_states = by_stage(&mut registry, "flushed_states", "States written");
        let skipped_puts =
            by_stage(&mut registry, "skipped_puts", "Puts the store refused as not newer");
        let duplicates =
            by_stage(&mut registry, "duplicates", "Records dropped as already applied");
        let state_resets =
            by_stage(&mut registry, "state_resets", "Store trouble that dropped cached state");
        let live_items = Gauge::default();
        registry.register("live_items", "Items in the live columns", live_items.clone());
        Self {
            deadline_exceeded: count(
                &mut registry,
                "deadline_exceeded",
                "Full answers that came too late",
            ),
            decisions_dropped: count(
                &mut registry,
                "decisions_dropped",
                "Decisions not logged: queue full",
            ),
            late_events: count(&mut registry, "late_events", "Events too late for their windows"),
            model_swaps: count(&mut registry, "model_swaps", "Artifacts taken into use"),
            model_refusals: count(&mut registry, "model_refusals", "Artifacts refused"),
            rule_warnings: rule_warnings(&mut registry),
            rejections: Rejections::new(&mut registry),
            state: StateMetrics::new(&mut registry),
            verified: Verified::new(&mut registry),
            registry: Arc::new(registry),
            answers,
            answer_duration,
            stage_duration,
            http_requests,
            events,
            consumer_lag_seconds,
            flush_duration,
            flushed_states,
            skipped_puts,
            duplicates,
            state_resets,
            live_items,
        }
    }

    /// The OpenMetrics text of all metrics.
    #[must_use]
    pub fn render(&self) -> String {
        let mut text = String::new();
        match encode(&mut text, &self.registry) {
            Ok(()) => text,
            Err(std::fmt::Error) => String::from("# EOF\n"),
        }
    }
}

fn seconds<L>(registry: &mut Registry, name: &str, help: &str) -> Seconds<L>
where
    L: Clone + std::hash::Hash + Eq + EncodeLabelSet + std::fmt::Debug + Send + Sync + 'static,
{
    let family = Family::new_with_constructor(latency as fn() -> Histogram);
    registry.register_with_unit(name, help, Unit::Seconds, family.clone());
    family
}

fn by_stage(registry: &mut Registry, name: &str, help: &str) -> Family<StageLabels, Counter> {
    let family = Family::default();
    registry.register(name, help, family.clone());
    family
}

fn rule_warnings(registry: &mut Registry) -> Family<RuleLabels, Counter> {
    let family = Family::default();
    registry.register("rule_warnings", "Breaches of rules that only warn", family.clone());
    family
}

fn count(registry: &mut Registry, name: &str, help: &str) -> Counter {
    let counter = Counter::default();
    registry.register(name, help, counter.clone());
    counter
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_counted_is_rendered_with_its_unit() {
        let metrics = Metrics::new();
        metrics.answers.get_or_create(&AnswerLabels { tier: "full", reason: "none" }).inc();
        let labels = FreshnessLabels { at: "store", since: "record" };
        metrics.state.freshness.get_or_create(&labels).observe(0.03);
        let text = metrics.render();
        assert!(text.contains("upnext_answers_total{tier=\"full\",reason=\"none\"} 1"), "{text}");
        let fresh = "upnext_feature_freshness_seconds_count{at=\"store\",since=\"record\"} 1";
        assert!(text.contains(fresh), "{text}");
    }
}
