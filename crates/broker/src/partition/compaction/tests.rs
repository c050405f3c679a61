//! What cleaning leaves of a partition, against what a reader of everything would know.

use std::collections::BTreeMap;

use kafka_protocol::records::{Compression, Record as Decoded, RecordBatchDecoder};
use tempfile::TempDir;

use super::*;
use crate::batch::tests::{Keyed, Sample, keyed_by};
use crate::keeping::Keeping;
use crate::partition::tests::RULES;
use crate::partition::{AppendRules, Ask, Partition};

mod leftovers;
mod steps;

const KEEPING: Keeping = Keeping {
    segment_bytes: 1_000,
    segment_ms: i64::MAX,
    is_deleted: false,
    retention_ms: None,
    retention_bytes: None,
    is_compacted: true,
    delete_retention_ms: 10_000,
    dirty_ratio_min: 0.01,
    lag_min_ms: 0,
    lag_max_ms: i64::MAX,
};

/// A partition, and the time.
struct Kept {
    directory: TempDir,
    partition: Partition,
    keeping: Keeping,
    now_ms: i64,
    sequences: BTreeMap<i64, i32>,
}

impl Kept {
    fn new(keeping: Keeping) -> Self {
        let directory = TempDir::new().unwrap();
        let partition = Partition::open(directory.path(), 0).unwrap();
        Self { directory, partition, keeping, now_ms: 1_000_000, sequences: BTreeMap::new() }
    }

    fn reopen(&mut self) {
        self.partition = Partition::open(self.directory.path(), 0).unwrap();
    }

    /// Appends one batch; of producer -1, or in a transaction of another.
    fn write(&mut self, producer_id: i64, codec: Compression, records: &[(&str, Option<&str>)]) {
        let rules = AppendRules { segment_bytes: self.keeping.segment_bytes, ..RULES };
        let sequence = self.sequences.entry(producer_id).or_insert(0);
        let sample = match producer_id {
            -1 => Sample::default(),
            _ => Sample::transactional(producer_id, 0, *sequence),
        };
        *sequence += i32::try_from(records.len()).unwrap();
        let now_ms = self.now_ms;
        let keyed = |(key, value): &(&str, Option<&str>)| Keyed {
            key: Some((*key).to_owned()),
            value: value.map(str::to_owned),
            timestamp_ms: now_ms,
        };
        let records: Vec<Keyed> = records.iter().map(keyed).collect();
        self.partition.append(&keyed_by(sample, codec, &records), rules, now_ms).unwrap();
    }

    fn put(&mut self, key: &str, value: &str) {
        self.write(-1, Compression::None, &[(key, Some(value))]);
    }

    fn clean(&self) {
        let round = Round { keeping: self.keeping, now_ms: self.now_ms, is_stopping: &|| false };
        self.partition.clean(round).unwrap();
    }

    /// Seals the active segment first, so that all there is is cleaned.
    fn clean_all(&self) {
        self.partition.inner.lock().roll().unwrap();
        self.clean();
    }

    fn bytes(&self) -> u64 {
        self.partition.inner.lock().log.bytes()
    }

    /// Every record that a reader of committed ones comes to see, asking as clients do: on from the last offset of
    /// the batch it was given.
    fn committed(&self) -> Vec<Decoded> {
        let mut found = Vec::new();
        let mut from = self.partition.bounds().start_offset;
        while from < self.partition.bounds().stable_offset {
            let ask = Ask { from, bytes_max: 500, committed_only: true };
            let fetched = self.partition.fetch(ask).unwrap();
            assert!(!fetched.records.is_empty(), "a reader of {from} is stuck");
            for (header, batch) in batch::whole_batches(&fetched.records) {
                assert!(header.matches(&batch) && header.last_offset() >= from);
                from = header.last_offset() + 1;
                let is_aborted = fetched.aborted.iter().any(|it| {
                    it.producer_id == header.producer_id
                        && (it.first_offset..=it.last_offset).contains(&header.base_offset)
                });
                if header.record_count > 0 && !header.is_control() && !is_aborted {
                    let records = RecordBatchDecoder::decode(&mut batch.clone()).unwrap().records;
                    found.extend(records);
                }
            }
        }
        found
    }

    /// The newest value of every key that has one.
    fn state(&self) -> BTreeMap<Bytes, Bytes> {
        let mut state = BTreeMap::new();
        for record in self.committed() {
            let key = record.key.unwrap();
            match record.value {
                Some(value) => state.insert(key, value),
                None => state.remove(&key),
            };
        }
        state
    }

    fn segments(&self) -> Vec<i64> {
        let inner = self.partition.inner.lock();
        inner.log.sealed().iter().map(|segment| segment.base_offset).collect()
    }
}

#[test]
fn of_many_writes_the_newest_of_each_key_stay_at_their_offsets() {
    let mut kept = Kept::new(KEEPING);
    for at in 0..400 {
        kept.put(&format!("k{}", at % 10), &format!("v{at}"));
    }
    let (before, bytes) = (kept.state(), kept.bytes());
    kept.clean_all();
    assert_eq!(kept.state(), before);
    let offsets: Vec<i64> = kept.committed().iter().map(|record| record.offset).collect();
    assert_eq!(offsets, (390..400).collect::<Vec<_>>());
    assert!(kept.bytes() * 20 < bytes);
    assert_eq!(kept.segments().len(), 1, "small segments become one");
    let again = kept.bytes();
    kept.clean_all();
    kept.reopen();
    assert_eq!((kept.bytes(), kept.state()), (again, before));
    // Offsets and times are found where they were.
    assert_eq!(kept.partition.bounds().next_offset, 400);
    assert_eq!(kept.partition.first_since(1).unwrap().unwrap().offset, 390);
}

#[test]
fn the_active_segment_is_sealed_once_enough_of_the_log_is_new() {
    let mut kept = Kept::new(Keeping { segment_bytes: 1 << 30, dirty_ratio_min: 0.5, ..KEEPING });
    let value = "x".repeat(1_000);
    for _ in 0..50 {
        kept.put("k", &value);
    }
    kept.clean();
    assert_eq!(kept.committed().len(), 50, "too little to be worth it");
    for _ in 0..50 {
        kept.put("k", &value);
    }
    kept.clean();
    assert_eq!(kept.committed().len(), 1);
}

#[test]
fn tombstones_stay_for_their_time_and_go_then_without_a_write() {
    let mut kept = Kept::new(KEEPING);
    kept.put("a", "1");
    kept.put("b", "1");
    kept.write(-1, Compression::Zstd, &[("a", None)]);
    kept.put("last", "1");
    kept.clean_all();
    let keys = |kept: &Kept| -> Vec<Bytes> {
        kept.committed().into_iter().filter_map(|record| record.key).collect()
    };
    assert_eq!(keys(&kept), ["b", "a", "last"], "the tombstone is there to be read");
    kept.now_ms += 9_999;
    kept.clean();
    assert_eq!(keys(&kept).len(), 3);
    kept.reopen();
    kept.now_ms += 1;
    kept.clean();
    assert_eq!(keys(&kept), ["b", "last"]);
}

#[test]
fn young_records_are_left_alone_and_old_ones_are_not() {
    let mut kept = Kept::new(Keeping { lag_min_ms: 1_000, ..KEEPING });
    for at in 0..10 {
        kept.put("k", &at.to_string());
    }
    kept.clean_all();
    assert_eq!(kept.committed().len(), 10);
    kept.now_ms += 1_001;
    kept.clean();
    assert_eq!(kept.committed().len(), 1);

    let late = Keeping { dirty_ratio_min: 1.0, lag_max_ms: 5_000, ..KEEPING };
    let mut kept = Kept::new(late);
    kept.put("other", "1");
    kept.put("k", "1");
    kept.clean_all();
    kept.put("k", "2");
    kept.clean();
    assert_eq!(kept.committed().len(), 3);
    kept.now_ms += 5_001;
    kept.clean();
    assert_eq!(kept.committed().len(), 2, "it has been new for too long");
}

#[test]
fn aborted_records_go_and_committed_ones_need_no_marker_after_its_time() {
    let mut kept = Kept::new(KEEPING);
    kept.write(1, Compression::None, &[("a", Some("committed"))]);
    kept.partition.end_transaction(1, 0, true, kept.now_ms).unwrap();
    kept.write(2, Compression::Gzip, &[("a", Some("aborted")), ("b", Some("aborted"))]);
    kept.partition.end_transaction(2, 0, false, kept.now_ms).unwrap();
    kept.put("last", "1");
    let before = kept.state();
    assert_eq!(before.len(), 2);
    kept.clean_all();
    assert_eq!(kept.state(), before, "the aborted `a` hides nothing");
    kept.now_ms += 20_000;
    kept.put("last", "2");
    kept.clean_all();
    kept.now_ms += 20_000;
    kept.put("last", "3");
    kept.clean_all();
    kept.reopen();
    assert_eq!(kept.state().get(&b"a"[..]), Some(&Bytes::from_static(b"committed")));
    assert!(kept.partition.has_ended(2, 0), "what producers did is known still");
    let repeated = Sample::transactional(1, 0, 0);
    let records = [Keyed { key: Some("a".to_owned()), value: None, timestamp_ms: 1 }];
    let batch = keyed_by(repeated, Compression::None, &records);
    assert_eq!(
        kept.partition.append(&batch, RULES, 1).unwrap().base_offset,
        0,
        "and so are repeats"
    );
}

#[test]
fn an_open_transaction_holds_compaction_up() {
    let mut kept = Kept::new(KEEPING);
    kept.put("k", "1");
    kept.put("k", "2");
    kept.partition.inner.lock().roll().unwrap();
    kept.write(1, Compression::None, &[("k", Some("3"))]);
    kept.put("k", "4");
    kept.clean_all();
    assert_eq!(kept.committed().len(), 1, "what was before it is compacted");
    kept.partition.end_transaction(1, 0, false, kept.now_ms).unwrap();
    kept.clean_all();
    let values: Vec<_> = kept.committed().into_iter().filter_map(|record| record.value).collect();
    assert_eq!(values, ["4"]);
}

#[test]
fn a_reader_comes_past_a_log_of_which_nothing_is_left() {
    let mut kept = Kept::new(Keeping { delete_retention_ms: 0, ..KEEPING });
    kept.put("k", "1");
    kept.write(-1, Compression::None, &[("k", None)]);
    kept.clean_all();
    kept.now_ms += 1;
    kept.clean_all();
    assert!(kept.committed().is_empty());
    assert_eq!(kept.partition.bounds().next_offset, 2);
    kept.reopen();
    assert!(kept.committed().is_empty());
}

#[test]
fn readers_of_replaced_segments_read_on() {
    let mut kept = Kept::new(KEEPING);
    for at in 0..100 {
        kept.put("k", &at.to_string());
    }
    let window = kept.partition.inner.lock().log.window(3).unwrap();
    kept.clean_all();
    let read = window.read(3, 100, 10).unwrap();
    assert_eq!(BatchHeader::read(&read.records).unwrap().base_offset, 3);
}

#[test]
fn a_topic_that_is_gone_is_not_cleaned() {
    let mut kept = Kept::new(KEEPING);
    kept.put("k", "1");
    kept.put("k", "2");
    kept.partition.close();
    std::fs::remove_dir_all(kept.directory.path()).unwrap();
    kept.clean();
    let batch = Sample::default().bytes();
    let refused = kept.partition.append(&batch, RULES, 1);
    assert_eq!(refused, Err(kafka_protocol::ResponseError::KafkaStorageError));
}

#[test]
fn a_topic_that_goes_waits_for_the_compaction_at_work() {
    let mut kept = Kept::new(KEEPING);
    for at in 0..200 {
        kept.put(&format!("k{}", at % 10), "v");
    }
    kept.partition.inner.lock().roll().unwrap();
    let partition = &kept.partition;
    let was_closed_within = std::sync::atomic::AtomicBool::new(false);
    let is_stopping = || {
        // Asked in the midst of the pass: the topic is deleted now, by somebody else.
        if !partition.is_closed() {
            std::thread::scope(|scope| {
                scope.spawn(|| partition.inner.lock().is_closed = true);
            });
            was_closed_within.store(true, std::sync::atomic::Ordering::Release);
        }
        false
    };
    let round = Round { keeping: kept.keeping, now_ms: kept.now_ms, is_stopping: &is_stopping };
    partition.clean(round).unwrap();
    assert!(was_closed_within.load(std::sync::atomic::Ordering::Acquire));
    assert!(partition.inner.lock().log.sealed().iter().all(|segment| !segment.is_clean));
    partition.close();
}
