//! Where a record stood when it was read: the identity by which whoever counts, counts once.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Topic, partition and offset of a record.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Position {
    pub topic: String,
    pub partition: i32,
    pub offset: i64,
}

impl fmt::Display for Position {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}[{}]@{}", self.topic, self.partition, self.offset)
    }
}

/// Header names under which ingest stamps a valid record with its source.
pub const SOURCE_TOPIC: &str = "upnext.source.topic";
pub const SOURCE_PARTITION: &str = "upnext.source.partition";
pub const SOURCE_OFFSET: &str = "upnext.source.offset";
/// How often the raw topic had been made anew by then; not there while it never was.
pub const SOURCE_EPOCH: &str = "upnext.source.epoch";
