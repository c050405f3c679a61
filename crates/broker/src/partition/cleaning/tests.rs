//! Segments by size and time, and how the old ones go.

use std::collections::BTreeSet;
use std::path::Path;

use tempfile::TempDir;

use super::*;
use crate::batch::tests::Sample;
use crate::partition::AppendRules;
use crate::partition::tests::RULES;

const FOR_EVER: Keeping = Keeping {
    segment_bytes: 1_000,
    segment_ms: i64::MAX,
    is_deleted: true,
    retention_ms: None,
    retention_bytes: None,
    is_compacted: false,
    delete_retention_ms: 0,
    dirty_ratio_min: 0.5,
    lag_min_ms: 0,
    lag_max_ms: i64::MAX,
};
const HOUR_MS: i64 = 3_600_000;

fn open(directory: &TempDir) -> Partition {
    Partition::open(directory.path(), 0).unwrap()
}

/// Appends `count` batches of 100 bytes, an hour of record time apart from `first_ms`.
fn append(partition: &Partition, count: i64, first_ms: i64, rules: AppendRules) {
    for at in 0..count {
        let timestamp_ms = first_ms + at * HOUR_MS;
        let sample = Sample { filler_bytes: 39, timestamp_ms, ..Sample::default() };
        partition.append(&sample.bytes(), rules, 1).unwrap();
    }
}

fn clean(partition: &Partition, keeping: Keeping, now_ms: i64) {
    partition.clean(Round { keeping, now_ms, is_stopping: &|| false }).unwrap();
}

fn bases(partition: &Partition) -> Vec<i64> {
    let inner = partition.inner.lock();
    let sealed = inner.log.sealed().iter().map(|segment| segment.base_offset);
    sealed.chain([inner.log.active().base_offset]).collect()
}

fn files(directory: &Path) -> BTreeSet<String> {
    let entries = std::fs::read_dir(directory).unwrap();
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

#[test]
fn segments_end_by_size_and_by_the_time_of_records() {
    let directory = TempDir::new().unwrap();
    let partition = open(&directory);
    append(&partition, 25, 0, AppendRules { segment_bytes: 1_000, ..RULES });
    assert_eq!(bases(&partition), [0, 10, 20]);
    append(&partition, 5, 100 * HOUR_MS, AppendRules { segment_ms: 2 * HOUR_MS, ..RULES });
    assert_eq!(bases(&partition), [0, 10, 20, 25, 28]);
}

#[test]
fn an_active_segment_that_was_begun_long_ago_is_sealed() {
    let directory = TempDir::new().unwrap();
    let partition = open(&directory);
    append(&partition, 2, 0, RULES);
    let keeping = Keeping { segment_ms: 5_000, ..FOR_EVER };
    clean(&partition, keeping, 5_000);
    assert_eq!(bases(&partition), [0]);
    clean(&partition, keeping, 5_001);
    assert_eq!(bases(&partition), [0, 2]);
    clean(&partition, keeping, 50_001);
    assert_eq!(bases(&partition), [0, 2], "an empty one is left alone");
    let expected = ["0.footer", "0.log", "2.log", "2.producers"];
    let expected = expected.map(|name| {
        let (number, extension) = name.split_once('.').unwrap();
        format!("{number:0>20}.{extension}")
    });
    assert_eq!(files(directory.path()), BTreeSet::from(expected));
}

#[test]
fn segments_go_when_their_newest_record_is_too_old() {
    let directory = TempDir::new().unwrap();
    let partition = open(&directory);
    append(&partition, 25, 0, AppendRules { segment_bytes: 1_000, ..RULES });
    let keeping = Keeping { retention_ms: Some(10 * HOUR_MS), ..FOR_EVER };
    clean(&partition, keeping, 19 * HOUR_MS);
    assert_eq!(bases(&partition), [0, 10, 20], "hour 9 is 10 hours ago");
    clean(&partition, keeping, 19 * HOUR_MS + 1);
    assert_eq!(bases(&partition), [10, 20]);
    assert_eq!(partition.bounds().start_offset, 10);
    assert!(!files(directory.path()).iter().any(|name| name.starts_with(&"0".repeat(20))));
    drop(partition);
    let partition = open(&directory);
    assert_eq!((bases(&partition), partition.bounds().start_offset), (vec![10, 20], 10));
    clean(&partition, keeping, 100 * HOUR_MS);
    assert_eq!(bases(&partition), [25], "the active one too, when all is old");
    drop(partition);
    let bounds = open(&directory).bounds();
    assert_eq!((bounds.start_offset, bounds.next_offset), (25, 25), "numbering goes on");
}

#[test]
fn the_oldest_go_when_there_is_too_much() {
    let directory = TempDir::new().unwrap();
    let partition = open(&directory);
    append(&partition, 55, 0, AppendRules { segment_bytes: 1_000, ..RULES });
    let at_most = |bytes| Keeping { retention_bytes: Some(bytes), ..FOR_EVER };
    clean(&partition, at_most(5_500), 1);
    assert_eq!(bases(&partition).len(), 6);
    clean(&partition, at_most(3_000), 1);
    assert_eq!(bases(&partition), [20, 30, 40, 50], "never less than what is to be kept");
    clean(&partition, Keeping { is_deleted: false, ..at_most(0) }, 1);
    assert_eq!(bases(&partition).len(), 4, "only where the policy says delete");
    clean(&partition, at_most(0), 1);
    assert_eq!(bases(&partition), [55]);
}

#[test]
fn deleted_records_free_their_segments() {
    let directory = TempDir::new().unwrap();
    let partition = open(&directory);
    append(&partition, 25, 0, AppendRules { segment_bytes: 1_000, ..RULES });
    partition.delete_before(19).unwrap();
    clean(&partition, FOR_EVER, 1);
    assert_eq!((bases(&partition), partition.bounds().start_offset), (vec![10, 20], 19));
    partition.delete_before(-1).unwrap();
    clean(&partition, FOR_EVER, 1);
    assert_eq!(bases(&partition), [25]);
}

#[test]
fn an_open_transaction_keeps_its_segment_and_the_later_ones() {
    let directory = TempDir::new().unwrap();
    let partition = open(&directory);
    let rules = AppendRules { segment_bytes: 1_000, ..RULES };
    append(&partition, 10, 0, rules);
    partition.append(&Sample::transactional(4, 0, 0).bytes(), rules, 1).unwrap();
    append(&partition, 20, 0, rules);
    let keeping = Keeping { retention_ms: Some(1), ..FOR_EVER };
    clean(&partition, keeping, 1_000 * HOUR_MS);
    assert_eq!(partition.bounds().start_offset, 10);
    partition.end_transaction(4, 0, false, 1).unwrap();
    clean(&partition, keeping, 1_000 * HOUR_MS);
    assert_eq!(partition.bounds().start_offset, partition.bounds().next_offset);
}

#[test]
fn producers_are_known_after_their_segments_have_gone() {
    let directory = TempDir::new().unwrap();
    let partition = open(&directory);
    let sample = Sample { filler_bytes: 39, ..Sample::numbered(4, 2, 0) };
    partition.append(&sample.bytes(), RULES, 1).unwrap();
    clean(&partition, Keeping { retention_bytes: Some(0), ..FOR_EVER }, 1);
    drop(partition);
    let partition = open(&directory);
    assert_eq!(partition.append(&sample.bytes(), RULES, 1).unwrap().base_offset, 0, "a repeat");
    let next = Sample { sequence: 1, ..sample };
    assert_eq!(partition.append(&next.bytes(), RULES, 1).unwrap().base_offset, 1);
    let old = Sample { epoch: 1, ..sample };
    let refused = partition.append(&old.bytes(), RULES, 1);
    assert_eq!(refused, Err(kafka_protocol::ResponseError::InvalidProducerEpoch));
}

#[test]
fn a_disk_that_cannot_be_written_is_tried_again() {
    let directory = TempDir::new().unwrap();
    let partition = open(&directory);
    append(&partition, 25, 0, AppendRules { segment_bytes: 1_000, ..RULES });
    let away = directory.path().with_extension("away");
    std::fs::rename(directory.path(), &away).unwrap();
    let round = Round { keeping: FOR_EVER, now_ms: 1, is_stopping: &|| false };
    assert!(partition.clean(round).is_err());
    std::fs::rename(&away, directory.path()).unwrap();
    partition.clean(round).unwrap();
    assert!(partition.inner.lock().unkept.is_none());
    assert!(partition.inner.lock().log.sealed().iter().all(|segment| segment.is_settled()));
}
