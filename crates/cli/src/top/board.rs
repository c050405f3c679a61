//! What changed between two looks, as a table and as JSON.

use std::fmt::Write;
use std::time::Duration;

use serde_json::{Value, json};

use super::sample::{Labels, Sample};

/// Everything that is shown.
#[derive(Debug, PartialEq)]
pub(super) struct Board {
    seconds: f64,
    /// By verdict.
    events: Vec<(String, f64)>,
    stages: Vec<Stage>,
    lags: Vec<Lag>,
    freshness: Vec<Spread>,
    tiers: Vec<Spread>,
    late: f64,
    rebalances: f64,
    resets: f64,
}

/// One stage of the features daemon.
#[derive(Debug, PartialEq)]
struct Stage {
    name: String,
    records: f64,
    flushes: f64,
    entries_each: f64,
    puts: f64,
    skipped: f64,
    duplicates: f64,
    state_bytes: f64,
    p50_ms: Option<f64>,
    p99_ms: Option<f64>,
}

#[derive(Debug, PartialEq)]
struct Lag {
    topic: String,
    partition: String,
    seconds: f64,
}

/// How many a second, and how long.
#[derive(Debug, PartialEq)]
struct Spread {
    name: String,
    rate: f64,
    p50_ms: Option<f64>,
    p99_ms: Option<f64>,
}

/// Two looks and the time between.
struct Looks<'a> {
    before: &'a Sample,
    now: &'a Sample,
    seconds: f64,
}

impl Board {
    pub(super) fn between(before: &Sample, now: &Sample, took: Duration) -> Self {
        let looks = Looks { before, now, seconds: took.as_secs_f64().max(f64::MIN_POSITIVE) };
        Self {
            seconds: looks.seconds,
            events: looks.rates_by("upnext_events_total", "verdict"),
            stages: ["users", "items"].iter().map(|name| looks.stage(name)).collect(),
            lags: looks.lags(),
            freshness: looks.spreads("upnext_feature_freshness_seconds", |labels| {
                let of = |name: &str| labels.get(name).cloned().unwrap_or_default();
                format!("{} since {}", of("at"), of("since"))
            }),
            tiers: looks.spreads("upnext_answer_duration_seconds", |labels| {
                labels.get("tier").cloned().unwrap_or_default()
            }),
            late: looks.rate("upnext_late_events_total", &Labels::new()),
            rebalances: looks.sum("upnext_group_rebalances_total"),
            resets: looks.sum("upnext_state_resets_total"),
        }
    }

    pub(super) fn json(&self) -> Value {
        let events: serde_json::Map<_, _> =
            self.events.iter().map(|(verdict, rate)| (verdict.clone(), json!(rate))).collect();
        json!({
            "seconds": self.seconds,
            "events_per_s": events,
            "stages": self.stages.iter().map(Stage::json).collect::<Vec<_>>(),
            "lag": self.lags.iter().map(|lag| json!({
                "topic": lag.topic, "partition": lag.partition, "seconds": lag.seconds,
            })).collect::<Vec<_>>(),
            "freshness": self.freshness.iter().map(Spread::json).collect::<Vec<_>>(),
            "answers": self.tiers.iter().map(Spread::json).collect::<Vec<_>>(),
            "late_per_s": self.late,
            "rebalances": self.rebalances,
            "state_resets": self.resets,
        })
    }

    pub(super) fn text(&self) -> String {
        let mut out = String::new();
        let events = self.events.iter().map(|(verdict, rate)| format!("{verdict} {rate:.0}/s"));
        let events = events.collect::<Vec<_>>().join("  ");
        // Writing to a text cannot fail.
        writeln!(out, "events      {}", or_none(&events)).ok();
        writeln!(
            out,
            "state       late {:.1}/s  rebalances {:.0}  resets {:.0}",
            self.late, self.rebalances, self.resets
        )
        .ok();
        writeln!(out, "\nstage      records/s  flushes/s  entries/flush  puts/s  skipped/s  repeats/s  bytes/state  flush p50  p99").ok();
        for stage in &self.stages {
            stage.write(&mut out);
        }
        self.write_lags(&mut out);
        write_spreads(&mut out, "fresh", &self.freshness);
        write_spreads(&mut out, "answers", &self.tiers);
        out.trim_end().to_owned()
    }

    /// One line a topic: the partition that is behind most stands for it.
    fn write_lags(&self, out: &mut String) {
        writeln!(out, "\nlag                                seconds  partition").ok();
        let mut topics: Vec<&str> = self.lags.iter().map(|lag| lag.topic.as_str()).collect();
        topics.dedup();
        for topic in topics {
            let of_topic = self.lags.iter().filter(|lag| lag.topic == topic);
            let Some(worst) = of_topic.max_by(|a, b| a.seconds.total_cmp(&b.seconds)) else {
                continue;
            };
            writeln!(out, "{topic:<34} {:>7.2}  {}", worst.seconds, worst.partition).ok();
        }
    }
}

impl Looks<'_> {
    fn rate(&self, name: &str, labels: &Labels) -> f64 {
        (self.now.value(name, labels) - self.before.value(name, labels)) / self.seconds
    }

    /// All that was ever counted.
    fn sum(&self, name: &str) -> f64 {
        self.now.series(name).map(|(_, value)| value).sum()
    }

    /// Added up by one label.
    fn rates_by(&self, name: &str, label: &str) -> Vec<(String, f64)> {
        let mut rates: Vec<(String, f64)> = Vec::new();
        for (labels, _) in self.now.series(name) {
            let of = labels.get(label).cloned().unwrap_or_default();
            let rate = self.rate(name, labels);
            match rates.iter_mut().find(|(known, _)| *known == of) {
                Some((_, known)) => *known += rate,
                None => rates.push((of, rate)),
            }
        }
        rates
    }

    fn stage(&self, name: &str) -> Stage {
        let labels = Labels::from([("stage".to_owned(), name.to_owned())]);
        let rate = |metric: &str| self.rate(metric, &labels);
        let each = |sum: &str, count: &str| {
            let count = rate(count);
            if count > 0.0 { rate(sum) / count } else { 0.0 }
        };
        let took = self.grown("upnext_flush_duration_seconds", &labels);
        Stage {
            name: name.to_owned(),
            records: rate("upnext_applied_records_total"),
            flushes: rate("upnext_flush_entries_count"),
            entries_each: each("upnext_flush_entries_sum", "upnext_flush_entries_count"),
            puts: rate("upnext_flushed_states_total"),
            skipped: rate("upnext_skipped_puts_total"),
            duplicates: rate("upnext_duplicates_total"),
            state_bytes: each("upnext_state_bytes_sum", "upnext_state_bytes_count"),
            p50_ms: took.0,
            p99_ms: took.1,
        }
    }

    fn lags(&self) -> Vec<Lag> {
        let series = self.now.series("upnext_consumer_lag_seconds");
        let of = |labels: &Labels, name: &str| labels.get(name).cloned().unwrap_or_default();
        let lag = |(labels, seconds): (&Labels, f64)| Lag {
            topic: of(labels, "topic"),
            partition: of(labels, "partition"),
            seconds,
        };
        let mut lags: Vec<Lag> = series.map(lag).collect();
        lags.sort_by(|a, b| (&a.topic, &a.partition).cmp(&(&b.topic, &b.partition)));
        lags
    }

    fn spreads(&self, name: &str, named: impl Fn(&Labels) -> String) -> Vec<Spread> {
        let counts = format!("{name}_count");
        let spread = |(labels, _): (&Labels, f64)| {
            let (p50_ms, p99_ms) = self.grown(name, labels);
            Spread { name: named(labels), rate: self.rate(&counts, labels), p50_ms, p99_ms }
        };
        self.now.series(&counts).map(spread).collect()
    }

    /// Median and 99th percentile of what came between, milliseconds.
    fn grown(&self, name: &str, labels: &Labels) -> (Option<f64>, Option<f64>) {
        let grown = self.now.buckets(name, labels).since(&self.before.buckets(name, labels));
        let ms = |share| grown.quantile(share).map(|seconds| seconds * 1_000.0);
        (ms(0.5), ms(0.99))
    }
}

impl Stage {
    fn json(&self) -> Value {
        json!({
            "stage": self.name,
            "records_per_s": self.records,
            "flushes_per_s": self.flushes,
            "entries_per_flush": self.entries_each,
            "puts_per_s": self.puts,
            "skipped_per_s": self.skipped,
            "duplicates_per_s": self.duplicates,
            "bytes_per_state": self.state_bytes,
            "flush_p50_ms": self.p50_ms,
            "flush_p99_ms": self.p99_ms,
        })
    }

    fn write(&self, out: &mut String) {
        writeln!(
            out,
            "{:<10} {:>9.0}  {:>9.1}  {:>13.1}  {:>6.0}  {:>9.1}  {:>9.1}  {:>11.0}  {:>9}  {}",
            self.name,
            self.records,
            self.flushes,
            self.entries_each,
            self.puts,
            self.skipped,
            self.duplicates,
            self.state_bytes,
            ms(self.p50_ms),
            ms(self.p99_ms),
        )
        .ok();
    }
}

impl Spread {
    fn json(&self) -> Value {
        json!({
            "of": self.name, "per_s": self.rate, "p50_ms": self.p50_ms, "p99_ms": self.p99_ms,
        })
    }
}

fn write_spreads(out: &mut String, title: &str, spreads: &[Spread]) {
    writeln!(out, "\n{title:<34} {:>7}  {:>9}  {:>9}", "per s", "p50", "p99").ok();
    for spread in spreads {
        let (p50, p99) = (ms(spread.p50_ms), ms(spread.p99_ms));
        writeln!(out, "{:<34} {:>7.1}  {p50:>9}  {p99:>9}", spread.name, spread.rate).ok();
    }
}

fn ms(value: Option<f64>) -> String {
    value.map_or_else(|| "-".to_owned(), |value| format!("{value:.1} ms"))
}

fn or_none(text: &str) -> &str {
    if text.is_empty() { "none yet" } else { text }
}

#[cfg(test)]
mod tests;
