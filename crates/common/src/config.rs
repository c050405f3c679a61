//! The configuration: one struct per owner, read from a file, overridden by the environment and by flags.
//!
//! Precedence: flag > `UPNEXT_SERVE__DEADLINE_MS` > `upnext.toml` > default. Unknown keys and wrong types refuse
//! to start; what stands in a file is reported with its line and column.

mod load;
mod sections;

pub use load::{ConfigError, Override, from_environment, load, parse_file};
pub use sections::{Features, Ingest, Kafka, Log, LogFormat, Ops, Redis, Registry, Serve, Train};

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Everything that can be configured.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
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

impl Config {
    /// The JSON Schema of the configuration file, for editors.
    #[must_use]
    pub fn json_schema() -> serde_json::Value {
        schemars::schema_for!(Self).to_value()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEMPLATE: &str = include_str!("../../../upnext.toml");

    /// The template with every commented key switched on.
    fn uncommented() -> String {
        let is_key =
            |line: &str| line.starts_with('#') && line.contains(" = ") && !line.starts_with("# ");
        TEMPLATE
            .lines()
            .map(|line| if is_key(line) { line.trim_start_matches('#') } else { line })
            .collect::<Vec<_>>()
            .join("\n")
    }

    #[test]
    fn the_template_holds_every_key_with_its_default() {
        let mut config: Config = toml::from_str(&uncommented()).unwrap();
        // These five have no default; the template shows examples.
        for unset in [&mut config.kafka.brokers, &mut config.registry.url, &mut config.redis.url] {
            assert!(unset.take().is_some());
        }
        assert!(config.kafka.events_retention_ms.take().is_some());
        assert!(config.ingest.instance_id.take().is_some());
        assert_eq!(config, Config::default());
    }

    #[test]
    fn the_schema_describes_every_section() {
        let schema = Config::json_schema();
        let expected = toml::Table::try_from(Config::default()).unwrap();
        for section in expected.keys() {
            assert!(schema["properties"][section].is_object(), "{section} is missing");
        }
    }

    #[test]
    fn the_template_names_every_key() {
        let mut written: toml::Table = toml::from_str(&uncommented()).unwrap();
        let expected = toml::Table::try_from(Config::default()).unwrap();
        for (section, value) in expected {
            let found = written.remove(&section).unwrap_or_else(|| panic!("{section} is missing"));
            let keys = |value: &toml::Value| value.as_table().map(|table| table.len()).unwrap_or(0);
            assert!(keys(&found) >= keys(&value), "section {section} lacks a key");
        }
    }
}
