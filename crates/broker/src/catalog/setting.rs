//! The settings a topic may have: the names Kafka knows, their defaults and what values they take.

use std::collections::BTreeMap;

use kafka_protocol::ResponseError;
use serde::{Deserialize, Serialize};

use crate::partition::AppendRules;

/// What was set on a topic; the rest is default.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Settings(BTreeMap<String, String>);

/// A setting that a topic may have.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Setting {
    pub name: &'static str,
    pub default: &'static str,
    pub shape: Shape,
}

/// What values a setting takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    /// A whole number, at least this.
    Number(i64),
    Fraction,
    Flag,
    /// One of these words.
    Word(&'static [&'static str]),
    /// Several of these words, separated by commas.
    Words(&'static [&'static str]),
    Text,
}

const CODECS: &[&str] = &["producer", "uncompressed", "gzip", "snappy", "lz4", "zstd"];
const TIMESTAMPS: &[&str] = &["CreateTime", "LogAppendTime"];
const POLICIES: &[&str] = &["compact", "delete"];
const MAX_MESSAGE_BYTES: &str = "max.message.bytes";
const TIMESTAMP_TYPE: &str = "message.timestamp.type";
const LONG_MAX: &str = "9223372036854775807";

const fn setting(name: &'static str, default: &'static str, shape: Shape) -> Setting {
    Setting { name, default, shape }
}

/// Every setting, by name. This broker acts on two of them so far; the others are kept and described.
pub(crate) const SETTINGS: [Setting; 26] = [
    setting("cleanup.policy", "delete", Shape::Words(POLICIES)),
    setting("compression.type", "producer", Shape::Word(CODECS)),
    setting("delete.retention.ms", "86400000", Shape::Number(0)),
    setting("file.delete.delay.ms", "60000", Shape::Number(0)),
    setting("flush.messages", LONG_MAX, Shape::Number(1)),
    setting("flush.ms", LONG_MAX, Shape::Number(0)),
    setting("follower.replication.throttled.replicas", "", Shape::Text),
    setting("index.interval.bytes", "4096", Shape::Number(0)),
    setting("leader.replication.throttled.replicas", "", Shape::Text),
    setting("local.retention.bytes", "-2", Shape::Number(-2)),
    setting("local.retention.ms", "-2", Shape::Number(-2)),
    setting("max.compaction.lag.ms", LONG_MAX, Shape::Number(1)),
    setting(MAX_MESSAGE_BYTES, "1048588", Shape::Number(0)),
    setting("message.timestamp.after.max.ms", "3600000", Shape::Number(0)),
    setting("message.timestamp.before.max.ms", LONG_MAX, Shape::Number(0)),
    setting(TIMESTAMP_TYPE, "CreateTime", Shape::Word(TIMESTAMPS)),
    setting("min.cleanable.dirty.ratio", "0.5", Shape::Fraction),
    setting("min.compaction.lag.ms", "0", Shape::Number(0)),
    setting("min.insync.replicas", "1", Shape::Number(1)),
    setting("preallocate", "false", Shape::Flag),
    setting("retention.bytes", "-1", Shape::Number(-1)),
    setting("retention.ms", "604800000", Shape::Number(-1)),
    setting("segment.bytes", "1073741824", Shape::Number(1)),
    setting("segment.index.bytes", "10485760", Shape::Number(4)),
    setting("segment.ms", "604800000", Shape::Number(1)),
    setting("unclean.leader.election.enable", "false", Shape::Flag),
];

impl Setting {
    fn named(name: &str) -> Option<&'static Self> {
        SETTINGS.iter().find(|setting| setting.name == name)
    }

    fn is_valid(&self, value: &str) -> bool {
        match self.shape {
            Shape::Number(least) => value.parse::<i64>().is_ok_and(|number| number >= least),
            Shape::Fraction => value.parse::<f64>().is_ok_and(|it| (0.0..=1.0).contains(&it)),
            Shape::Flag => matches!(value, "true" | "false"),
            Shape::Word(words) => words.contains(&value),
            Shape::Words(words) => value.split(',').all(|word| words.contains(&word.trim())),
            Shape::Text => true,
        }
    }
}

impl Settings {
    /// What was set, not what is default.
    pub(crate) fn value(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    pub(crate) fn set(&mut self, name: &str, value: &str) -> Result<(), ResponseError> {
        let setting = Setting::named(name).ok_or(ResponseError::InvalidConfig)?;
        if !setting.is_valid(value) {
            return Err(ResponseError::InvalidConfig);
        }
        self.0.insert(name.to_owned(), value.to_owned());
        Ok(())
    }

    /// Back to the default.
    pub(crate) fn clear(&mut self, name: &str) -> Result<(), ResponseError> {
        Setting::named(name).ok_or(ResponseError::InvalidConfig)?;
        self.0.remove(name);
        Ok(())
    }

    /// Adds words to a setting that takes several, or with `is_removal` takes them away.
    pub(crate) fn change_words(
        &mut self,
        name: &str,
        words: &str,
        is_removal: bool,
    ) -> Result<(), ResponseError> {
        let setting = Setting::named(name).ok_or(ResponseError::InvalidConfig)?;
        let Shape::Words(_) = setting.shape else { return Err(ResponseError::InvalidConfig) };
        let present = self.value(name).unwrap_or(setting.default);
        let given: Vec<&str> = words.split(',').map(str::trim).collect();
        let mut kept: Vec<&str> =
            present.split(',').map(str::trim).filter(|word| !given.contains(word)).collect();
        if !is_removal {
            kept.extend(&given);
        }
        let value = kept.join(",");
        self.set(name, &value)
    }

    pub(super) fn append_rules(&self, now_ms: i64) -> AppendRules {
        let bytes = self.value(MAX_MESSAGE_BYTES).and_then(|value| value.parse().ok());
        let is_append_time = self.value(TIMESTAMP_TYPE) == Some("LogAppendTime");
        AppendRules {
            batch_bytes_max: bytes.unwrap_or(1_048_588),
            append_time_ms: is_append_time.then_some(now_ms),
        }
    }
}
