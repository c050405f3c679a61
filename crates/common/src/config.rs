//! The configuration: one struct per owner, read from a file, overridden by the environment and by flags.
//!
//! Precedence: flag > `UPNEXT_SERVE__DEADLINE_MS` > `upnext.toml` > default. Unknown keys and wrong types refuse
//! to start; what stands in a file is reported with its line and column.

mod load;
mod sections;

pub use load::{ConfigError, Override, from_environment, load, parse_file};
pub use sections::{Features, Ingest, Kafka, Log, LogFormat, Ops, Redis, Registry, Serve, Train};

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// Everything that can be configured.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Where the embedded parts, Redis and the artifacts keep their files.
    pub data_dir: PathBuf,
    pub kafka: Kafka,
    pub registry: Registry,
    pub redis: Redis,
    pub serve: Serve,
    pub ops: Ops,
    pub ingest: Ingest,
    pub features: Features,
    pub train: Train,
    pub log: Log,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            data_dir: PathBuf::from("upnext-data"),
            kafka: Kafka::default(),
            registry: Registry::default(),
            redis: Redis::default(),
            serve: Serve::default(),
            ops: Ops::default(),
            ingest: Ingest::default(),
            features: Features::default(),
            train: Train::default(),
            log: Log::default(),
        }
    }
}
