//! What a topic's settings say about its log: how it is cut into segments, and what of it is kept.

/// Of one topic; the same for all its partitions.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Keeping {
    pub segment_bytes: u64,
    pub segment_ms: i64,
    /// Whether old segments are deleted.
    pub is_deleted: bool,
    /// How old a segment's newest record may become; `None` for ever.
    pub retention_ms: Option<i64>,
    /// Of one partition; `None` any number.
    pub retention_bytes: Option<u64>,
    /// Whether only the newest record of a key is kept.
    pub is_compacted: bool,
    /// How long tombstones and markers are kept after compaction first met them.
    pub delete_retention_ms: i64,
    /// Which part of the log must be new for compaction to begin.
    pub dirty_ratio_min: f64,
    /// How long a record stands before it may be compacted.
    pub lag_min_ms: i64,
    /// How long it may stand until it must be.
    pub lag_max_ms: i64,
}

impl Keeping {
    /// How old the active segment may become.
    pub(crate) fn active_ms_max(&self) -> i64 {
        if self.is_compacted { self.segment_ms.min(self.lag_max_ms) } else { self.segment_ms }
    }
}
