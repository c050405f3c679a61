//! What the aggregation of state says about itself: how fresh, how much at once, how much held.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

use super::{FRESHNESS_BUCKETS, StageLabels, by_stage};

/// Bounds of buckets for how much one flush holds: entries, or states.
pub const FLUSH_BUCKETS: [f64; 11] =
    [1.0, 3.0, 10.0, 30.0, 100.0, 300.0, 1_000.0, 3_000.0, 10_000.0, 30_000.0, 100_000.0];
/// Bounds of buckets for the size of one encoded state, bytes. The last is the most a user's state may have.
pub const STATE_BYTES_BUCKETS: [f64; 7] = [128.0, 256.0, 512.0, 1_024.0, 2_048.0, 4_096.0, 8_192.0];

/// Where an event became visible, and since when that is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct FreshnessLabels {
    /// `store`: its effect is in the online store. `columns`: an item's change is in the columns answers read.
    /// `answer`: an answer was made of it.
    pub at: &'static str,
    /// `event`: since it happened. `record`: since its record's timestamp. `store`: since it was in the store.
    pub since: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct PartitionLabels {
    pub stage: &'static str,
    pub partition: i32,
}

/// Histograms by stage.
pub type ByStage = Family<StageLabels, Histogram, fn() -> Histogram>;

/// Metrics of the features daemon, and of what serving sees of its work.
#[derive(Clone, Debug)]
pub struct StateMetrics {
    pub freshness: Family<FreshnessLabels, Histogram, fn() -> Histogram>,
    /// Records applied and flushed.
    pub applied_records: Family<StageLabels, Counter>,
    /// Flushes that were made.
    pub flush_entries: ByStage,
    /// Size of each state as it is put.
    pub state_bytes: ByStage,
    /// About how much memory the states of a partition take.
    pub cached_bytes: Family<PartitionLabels, Gauge>,
    /// How often the group took partitions from this process or gave it some.
    pub rebalances: Family<StageLabels, Counter>,
    /// Entries dropped since their topic has begun a later epoch before: they may be news.
    pub older_epochs: Family<StageLabels, Counter>,
}

impl StateMetrics {
    pub(super) fn new(registry: &mut Registry) -> Self {
        let freshness = Family::new_with_constructor(fresh as fn() -> Histogram);
        let help = "Age of an event when its effect became visible";
        registry.register_with_unit("feature_freshness", help, Unit::Seconds, freshness.clone());
        let flush_entries = Family::new_with_constructor(flush as fn() -> Histogram);
        registry.register("flush_entries", "Entries applied by one flush", flush_entries.clone());
        let state_bytes = Family::new_with_constructor(bytes as fn() -> Histogram);
        let help = "Size of a state as it is written";
        registry.register_with_unit("state", help, Unit::Bytes, state_bytes.clone());
        let cached_bytes = Family::default();
        let help = "About what the cached states of a partition take";
        registry.register_with_unit("cached_states", help, Unit::Bytes, cached_bytes.clone());
        Self {
            freshness,
            applied_records: by_stage(registry, "applied_records", "Records applied and flushed"),
            flush_entries,
            state_bytes,
            cached_bytes,
            rebalances: by_stage(registry, "group_rebalances", "Partitions given or taken"),
            older_epochs: by_stage(
                registry,
                "older_epochs",
                "Entries dropped as of an epoch of their topic that is over",
            ),
        }
    }
}

fn fresh() -> Histogram {
    Histogram::new(FRESHNESS_BUCKETS)
}

fn flush() -> Histogram {
    Histogram::new(FLUSH_BUCKETS)
}

fn bytes() -> Histogram {
    Histogram::new(STATE_BYTES_BUCKETS)
}
