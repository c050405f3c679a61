//! The settings a topic may have: the names Kafka knows, their defaults and what values they take.

use std::collections::BTreeMap;

use kafka_protocol::ResponseError;
use serde::{Deserialize, Serialize};

use crate::keeping::Keeping;
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
const CLEANUP_POLICY: &str = "cleanup.policy";
const SEGMENT_BYTES: &str = "segment.bytes";
const SEGMENT_MS: &str = "segment.ms";
const RETENTION_BYTES: &str = "retention.bytes";
const RETENTION_MS: &str = "retention.ms";
const DELETE_RETENTION_MS: &str = "delete.retention.ms";
const DIRTY_RATIO_MIN: &str = "min.cleanable.dirty.ratio";
const LAG_MIN_MS: &str = "min.compaction.lag.ms";
const LAG_MAX_MS: &str = "max.compaction.lag.ms";

const SEGMENTS_IN_BOUND: u64 = 8;
const SEGMENT_BYTES_MIN: u64 = 1 << 20;

const fn setting(name: &'static str, default: &'static str, shape: Shape) -> Setting {
    Setting { name, default, shape }
}

/// Every setting, by name. docs/BROKER.md says which this broker acts on; the others are kept and described. Segments
/// are smaller than Kafka's, as the last of each partition is read at every start; and nothing is deleted by its age
/// unless that is asked for, as what is imported is old.
pub(crate) const SETTINGS: [Setting; 26] = [
    setting(CLEANUP_POLICY, "delete", Shape::Words(POLICIES)),
    setting("compression.type", "producer", Shape::Word(CODECS)),
    setting(DELETE_RETENTION_MS, "86400000", Shape::Number(0)),
    setting("file.delete.delay.ms", "60000", Shape::Number(0)),
    setting("flush.messages", LONG_MAX, Shape::Number(1)),
    setting("flush.ms", LONG_MAX, Shape::Number(0)),
    setting("follower.replication.throttled.replicas", "", Shape::Text),
    setting("index.interval.bytes", "4096", Shape::Number(0)),
    setting("leader.replication.throttled.replicas", "", Shape::Text),
    setting("local.retention.bytes", "-2", Shape::Number(-2)),
    setting("local.retention.ms", "-2", Shape::Number(-2)),
    setting(LAG_MAX_MS, LONG_MAX, Shape::Number(1)),
    setting(MAX_MESSAGE_BYTES, "1048588", Shape::Number(0)),
    setting("message.timestamp.after.max.ms", "3600000", Shape::Number(0)),
    setting("message.timestamp.before.max.ms", LONG_MAX, Shape::Number(0)),
    setting(TIMESTAMP_TYPE, "CreateTime", Shape::Word(TIMESTAMPS)),
    setting(DIRTY_RATIO_MIN, "0.5", Shape::Fraction),
    setting(LAG_MIN_MS, "0", Shape::Number(0)),
    setting("min.insync.replicas", "1", Shape::Number(1)),
    setting("preallocate", "false", Shape::Flag),
    setting(RETENTION_BYTES, "-1", Shape::Number(-1)),
    setting(RETENTION_MS, "-1", Shape::Number(-1)),
    setting(SEGMENT_BYTES, "67108864", Shape::Number(1_024)),
    setting("segment.index.bytes", "10485760", Shape::Number(4)),
    setting(SEGMENT_MS, "604800000", Shape::Number(1)),
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

    pub(super) fn append_rules(&self) -> AppendRules {
        let keeping = self.keeping();
        AppendRules {
            batch_bytes_max: usize::try_from(self.number(MAX_MESSAGE_BYTES)).unwrap_or(0),
            is_append_time: self.value(TIMESTAMP_TYPE) == Some("LogAppendTime"),
            needs_keys: keeping.is_compacted,
            segment_bytes: keeping.segment_bytes,
            segment_ms: keeping.active_ms_max(),
        }
    }

    pub(crate) fn keeping(&self) -> Keeping {
        let policies = self.effective(CLEANUP_POLICY);
        let has = |word: &str| policies.split(',').any(|policy| policy.trim() == word);
        let bytes = u64::try_from(self.number(RETENTION_BYTES)).ok();
        let ms = self.number(RETENTION_MS);
        Keeping {
            segment_bytes: self.segment_bytes(bytes.filter(|_| has("delete"))),
            segment_ms: self.number(SEGMENT_MS),
            is_deleted: has("delete"),
            retention_ms: (ms >= 0).then_some(ms),
            retention_bytes: bytes,
            is_compacted: has("compact"),
            delete_retention_ms: self.number(DELETE_RETENTION_MS),
            dirty_ratio_min: self.effective(DIRTY_RATIO_MIN).parse().unwrap_or(0.5),
            lag_min_ms: self.number(LAG_MIN_MS),
            lag_max_ms: self.number(LAG_MAX_MS),
        }
    }

    /// Where nobody said how large segments are, those of a topic that is bounded by size are small beside the bound: it
    /// can be exceeded by one of them.
    fn segment_bytes(&self, retention_bytes: Option<u64>) -> u64 {
        let bytes = u64::try_from(self.number(SEGMENT_BYTES)).unwrap_or(1);
        match retention_bytes {
            Some(bound) if self.value(SEGMENT_BYTES).is_none() => {
                bytes.min((bound / SEGMENTS_IN_BOUND).max(SEGMENT_BYTES_MIN))
            }
            Some(_) | None => bytes,
        }
    }

    /// What was set, else the default.
    fn effective(&self, name: &str) -> &str {
        let default = Setting::named(name).map_or("", |setting| setting.default);
        self.value(name).unwrap_or(default)
    }

    /// A setting whose shape is a number.
    fn number(&self, name: &str) -> i64 {
        self.effective(name).parse().unwrap_or(-1)
    }
}
