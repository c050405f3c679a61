//! The sections of the configuration, each with its defaults and units.

use std::net::SocketAddr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

const LOOPBACK: [u8; 4] = [127, 0, 0, 1];

/// Where topics live.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Kafka {
    /// `host:port[,host:port]`. In `up`, unset or port 0 means the embedded broker.
    pub brokers: Option<String>,
    pub topic_prefix: String,
    /// Partitions of the event topics when they are created.
    pub partitions: i32,
    pub signals_partitions: i32,
    pub replication: i32,
    /// Size at which each partition of an event topic drops its oldest records.
    pub events_retention_bytes: i64,
    /// Age at which event topics drop records; unset: never by age.
    pub events_retention_ms: Option<i64>,
    /// Largest request the embedded broker takes.
    pub embedded_request_bytes_max: usize,
    pub embedded_connections_max: usize,
}

impl Default for Kafka {
    fn default() -> Self {
        Self {
            brokers: None,
            topic_prefix: "upnext.".to_owned(),
            partitions: 4,
            signals_partitions: 4,
            replication: 1,
            events_retention_bytes: 4 << 30,
            events_retention_ms: None,
            embedded_request_bytes_max: 32 << 20,
            embedded_connections_max: 512,
        }
    }
}

/// Where schemas live.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Registry {
    /// Base URL. In `up`, unset or port 0 means the embedded registry.
    pub url: Option<String>,
    pub timeout_ms: u64,
    /// Most schemas remembered, good and bad each.
    pub cached_schemas_max: usize,
    /// How long a failed look-up is remembered before it is tried again.
    pub negative_ttl_ms: u64,
    /// How long an id that the registry does not know is asked for before that is believed.
    pub unknown_grace_ms: u64,
}

impl Default for Registry {
    fn default() -> Self {
        Self {
            url: None,
            timeout_ms: 2_000,
            cached_schemas_max: 1_000,
            negative_ttl_ms: 5_000,
            unknown_grace_ms: 30_000,
        }
    }
}

/// The online store.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Redis {
    /// `redis://host:port`, or `redis-cluster://host:port[,host:port]`. In `up`, unset or port 0 means a redis-server
    /// child.
    pub url: Option<String>,
    pub key_prefix: String,
    /// Groups that keys fall into, each of them on one node of a cluster. Must not change under stored state.
    pub key_groups: u32,
    /// Longest wait for a user's state while answering.
    pub read_timeout_ms: u64,
    /// Longest wait for a flush of the aggregator.
    pub write_timeout_ms: u64,
}

impl Default for Redis {
    fn default() -> Self {
        Self {
            url: None,
            key_prefix: "upnext:".to_owned(),
            key_groups: 1,
            read_timeout_ms: 5,
            write_timeout_ms: 1_000,
        }
    }
}

/// The public HTTP API.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Serve {
    pub listen: SocketAddr,
    /// Longest time an answer may take; a caller may ask for less.
    pub deadline_ms: u64,
    /// Honour `X-Upnext-As-Of-Ms`, `X-Upnext-Tier` and `?wait=visible`: for evaluation and replay only.
    pub allow_as_of: bool,
    /// Threads of the pool that retrieves and ranks.
    pub compute_threads: usize,
    /// Jobs that may wait for the pool before requests go to the ladder at the door.
    pub compute_queue_max: usize,
    pub connections_max: usize,
    pub header_read_timeout_ms: u64,
    pub body_bytes_max: usize,
    /// How long open requests may finish after a stop signal.
    pub drain_ms: u64,
    /// Decisions that may wait to be written before the newest are dropped and counted.
    pub decision_queue_max: usize,
    /// Share of decisions logged with all their candidates.
    pub decision_full_rows_share: f64,
}

impl Default for Serve {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((LOOPBACK, 8080)),
            deadline_ms: 150,
            allow_as_of: false,
            compute_threads: 2,
            compute_queue_max: 256,
            connections_max: 4_096,
            header_read_timeout_ms: 5_000,
            body_bytes_max: 2 << 20,
            drain_ms: 5_000,
            decision_queue_max: 10_000,
            decision_full_rows_share: 0.01,
        }
    }
}

/// Probes and metrics.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Ops {
    pub listen: SocketAddr,
}

impl Default for Ops {
    fn default() -> Self {
        Self { listen: SocketAddr::from((LOOPBACK, 9090)) }
    }
}

/// The ingest daemon.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Ingest {
    pub group: String,
    /// Records judged between two commits.
    pub batch_records_max: usize,
    /// Longest time between two commits.
    pub batch_wait_ms: u64,
    /// Records of one partition that may wait for their verdict.
    pub partition_queue_max: usize,
    /// Their bytes.
    pub partition_queue_bytes_max: usize,
    /// A name that survives a restart, one per process: then a quick restart moves no partitions.
    pub instance_id: Option<String>,
    /// Share of records rejected over a minute above which there is an alarm.
    pub reject_alarm_share: f64,
    /// Share of a partition's records rejected over ten seconds above which it is held; 1: never.
    pub reject_pause_share: f64,
    /// Fewer records than this in those ten seconds never hold a partition.
    pub reject_pause_records_min: u64,
    /// How often a held partition lets one record through to see.
    pub reject_probe_ms: u64,
    /// Largest record value that is decoded at all.
    pub value_bytes_max: usize,
    /// How far an event may lie before its record's timestamp.
    pub event_age_max_ms: i64,
    /// How far an event may lie after its record's timestamp.
    pub event_ahead_max_ms: i64,
}

impl Default for Ingest {
    fn default() -> Self {
        Self {
            group: "upnext-ingest".to_owned(),
            batch_records_max: 2_000,
            batch_wait_ms: 20,
            partition_queue_max: 4_000,
            partition_queue_bytes_max: 4 << 20,
            instance_id: None,
            reject_alarm_share: 0.01,
            reject_pause_share: 0.5,
            reject_pause_records_min: 500,
            reject_probe_ms: 5_000,
            value_bytes_max: 1 << 20,
            event_age_max_ms: 24 * 3_600_000,
            event_ahead_max_ms: 5 * 60_000,
        }
    }
}

/// The features daemon.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Features {
    pub group: String,
    /// Longest time an applied event waits to be written to the store; in a partition that is more than a second
    /// behind, ten times that.
    pub flush_ms: u64,
    /// Events applied before a flush is due whatever the time.
    pub flush_events_max: usize,
    pub partition_queue_max: usize,
    /// States kept in memory per partition.
    pub cached_states_max: usize,
    /// About how much memory the states of all partitions may take, half of it each stage.
    pub cached_bytes_max: usize,
    /// Ids kept in the stream of changed items.
    pub changed_stream_max: usize,
    /// Share of users and items that each daemon compares with the log once a minute; 0: none.
    pub verify_sample: f64,
}

impl Default for Features {
    fn default() -> Self {
        Self {
            group: "upnext-features".to_owned(),
            flush_ms: 50,
            flush_events_max: 2_000,
            partition_queue_max: 4_000,
            cached_states_max: 50_000,
            cached_bytes_max: 256 << 20,
            changed_stream_max: 100_000,
            verify_sample: 0.0,
        }
    }
}

/// Training.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Train {
    pub tower_dim: usize,
    pub tower_epochs: usize,
    pub ranker_epochs: usize,
    /// Length of the newest window whose events become the ranker's slates.
    pub ranker_window_days: u32,
    /// Training stops adding epochs once this much time has gone; 0: no limit.
    pub seconds_max: u64,
    pub seed: u64,
}

impl Default for Train {
    fn default() -> Self {
        Self {
            tower_dim: 64,
            tower_epochs: 12,
            ranker_epochs: 8,
            ranker_window_days: 14,
            seconds_max: 0,
            seed: 7,
        }
    }
}

/// What is logged, and how.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Log {
    /// `error`, `warn`, `info`, `debug`, or directives such as `info,upnext_ingest=debug`.
    pub filter: String,
    pub format: LogFormat,
}

impl Default for Log {
    fn default() -> Self {
        Self { filter: "info".to_owned(), format: LogFormat::Text }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    Text,
    Json,
}
