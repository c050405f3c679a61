//! What producers may do on one partition, and what readers then see.

use kafka_protocol::protocol::StrBytes;
use kafka_protocol::records::{
    Compression, Record, RecordBatchEncoder, RecordEncodeOptions, TimestampType,
};
use tempfile::TempDir;

use super::*;
use crate::batch::tests::Sample;

pub(crate) const NOW_MS: i64 = 1_000_000;
pub(crate) const RULES: AppendRules = AppendRules {
    batch_bytes_max: 10_000,
    is_append_time: false,
    needs_keys: false,
    segment_bytes: 1 << 20,
    segment_ms: i64::MAX,
};

fn partition() -> (TempDir, Partition) {
    let directory = TempDir::new().unwrap();
    let partition = Partition::open(directory.path(), 0).unwrap();
    (directory, partition)
}

fn append(partition: &Partition, sample: Sample) -> Result<i64, ResponseError> {
    partition.append(&sample.bytes(), RULES, NOW_MS).map(|appended| appended.base_offset)
}

#[track_caller]
fn fetch(partition: &Partition, from: i64, committed_only: bool) -> Fetched {
    partition.fetch(Ask { from, bytes_max: 1 << 20, committed_only }).unwrap()
}

/// Offsets of the batches a fetch gives.
fn offsets(fetched: &Fetched) -> Vec<i64> {
    batch::whole_batches(&fetched.records).map(|(header, _)| header.base_offset).collect()
}

fn records(compression: Compression, timestamps: &[i64]) -> Bytes {
    let record = |(at, timestamp): (usize, &i64)| Record {
        transactional: false,
        control: false,
        delete_horizon: false,
        partition_leader_epoch: 0,
        producer_id: -1,
        producer_epoch: -1,
        timestamp_type: TimestampType::Creation,
        offset: i64::try_from(at).unwrap(),
        sequence: i32::try_from(at).unwrap() - 1,
        timestamp: *timestamp,
        key: None,
        value: Some(Bytes::from_static(b"value")),
        headers: [(StrBytes::from_static_str("name"), None)].into_iter().collect(),
    };
    let records: Vec<Record> = timestamps.iter().enumerate().map(record).collect();
    let mut bytes = BytesMut::new();
    let options = RecordEncodeOptions { version: 2, compression };
    RecordBatchEncoder::encode(&mut bytes, &records, &options).unwrap();
    bytes.freeze()
}

#[test]
fn offsets_count_records_and_several_batches_come_at_once() {
    let (_directory, partition) = partition();
    assert_eq!(append(&partition, Sample { count: 3, ..Sample::default() }), Ok(0));
    let two = [Sample::default().bytes(), Sample::default().bytes()].concat();
    let appended = partition.append(&Bytes::from(two), RULES, NOW_MS).unwrap();
    assert_eq!(appended, Appended { base_offset: 3, start_offset: 0 });
    assert_eq!(offsets(&fetch(&partition, 0, false)), [0, 3, 4]);
    assert_eq!(offsets(&fetch(&partition, 2, false)), [0, 3, 4], "the batch that holds it");
    assert_eq!(partition.bounds().next_offset, 5);
}

#[test]
fn what_is_damaged_or_too_large_is_refused() {
    #[track_caller]
    fn check(records: Bytes, error: ResponseError) {
        let (_directory, partition) = partition();
        assert_eq!(partition.append(&records, RULES, NOW_MS), Err(error));
        assert_eq!(partition.bounds().next_offset, 0);
    }
    let good = Sample::default().bytes();
    let mut flipped = BytesMut::from(good.clone());
    flipped[70] ^= 1;
    check(Bytes::new(), ResponseError::CorruptMessage);
    check(flipped.freeze(), ResponseError::CorruptMessage);
    check(good.slice(..good.len() - 1), ResponseError::CorruptMessage);
    check([&good[..], b"tail"].concat().into(), ResponseError::CorruptMessage);
    let large = Sample { filler_bytes: 10_001, ..Sample::default() };
    check(large.bytes(), ResponseError::MessageTooLarge);
    check(Sample { count: 0, ..Sample::default() }.bytes(), ResponseError::InvalidRecord);
    let marker = batch::end_marker(1, 0, true, 0).freeze();
    check(marker, ResponseError::InvalidRecord);
}

#[test]
fn what_would_stop_its_readers_is_refused() {
    let (_directory, partition) = partition();
    // Two records by its header, and one of them is there.
    let mut short = BytesMut::from(&records(Compression::None, &[1])[..]);
    short[23..27].copy_from_slice(&1_i32.to_be_bytes());
    short[57..61].copy_from_slice(&2_i32.to_be_bytes());
    batch::seal(&mut short);
    let mut unknown = BytesMut::from(&records(Compression::Gzip, &[1, 2])[..]);
    unknown[22] = 5;
    batch::seal(&mut unknown);
    for bad in [short, unknown] {
        let refused = partition.append(&bad.freeze(), RULES, NOW_MS);
        assert_eq!(refused, Err(ResponseError::InvalidRecord));
    }
    assert_eq!(partition.bounds().next_offset, 0);
    for compression in [Compression::None, Compression::Gzip, Compression::Zstd] {
        assert!(partition.append(&records(compression, &[1, 2]), RULES, NOW_MS).is_ok());
    }
}

#[test]
fn a_second_batch_of_somebody_else_is_refused() {
    let (_directory, partition) = partition();
    let first = Sample::transactional(4, 0, 0).bytes();
    for other in [Sample::transactional(5, 0, 0), Sample::numbered(4, 0, 1)] {
        let both = Bytes::from([&first[..], &other.bytes()].concat());
        assert_eq!(partition.append(&both, RULES, NOW_MS), Err(ResponseError::InvalidRecord));
    }
    let same = Bytes::from([first, Sample::transactional(4, 0, 1).bytes()].concat());
    assert!(partition.append(&same, RULES, NOW_MS).is_ok());
}

#[test]
fn a_repeat_is_answered_with_its_first_offset() {
    let (_directory, partition) = partition();
    for sequence in 0..7 {
        let offset = append(&partition, Sample::numbered(4, 0, sequence));
        assert_eq!(offset, Ok(i64::from(sequence)));
    }
    assert_eq!(append(&partition, Sample::numbered(4, 0, 6)), Ok(6));
    assert_eq!(append(&partition, Sample::numbered(4, 0, 2)), Ok(2));
    let forgotten = append(&partition, Sample::numbered(4, 0, 1));
    assert_eq!(forgotten, Err(ResponseError::DuplicateSequenceNumber));
    let gap = append(&partition, Sample::numbered(4, 0, 8));
    assert_eq!(gap, Err(ResponseError::OutOfOrderSequenceNumber));
    assert_eq!(partition.bounds().next_offset, 7);
}

#[test]
fn a_repeat_is_recognised_after_a_restart() {
    let (directory, partition) = partition();
    append(&partition, Sample::numbered(4, 0, 0)).unwrap();
    append(&partition, Sample::numbered(4, 0, 1)).unwrap();
    drop(partition);
    let partition = Partition::open(directory.path(), 0).unwrap();
    assert_eq!(append(&partition, Sample::numbered(4, 0, 1)), Ok(1));
    assert_eq!(append(&partition, Sample::numbered(4, 0, 2)), Ok(2));
}

#[test]
fn a_new_epoch_begins_at_zero_and_shuts_the_old_one_out() {
    let (_directory, partition) = partition();
    append(&partition, Sample::numbered(4, 0, 0)).unwrap();
    let ahead = append(&partition, Sample::numbered(4, 1, 1));
    assert_eq!(ahead, Err(ResponseError::OutOfOrderSequenceNumber));
    assert_eq!(append(&partition, Sample::numbered(4, 1, 0)), Ok(1));
    let old = append(&partition, Sample::numbered(4, 0, 1));
    assert_eq!(old, Err(ResponseError::InvalidProducerEpoch));
}

#[test]
fn sequences_go_on_at_zero_after_the_largest() {
    let (_directory, partition) = partition();
    append(&partition, Sample::numbered(4, 0, i32::MAX)).unwrap();
    assert_eq!(append(&partition, Sample::numbered(4, 0, 0)), Ok(1));
}

#[test]
fn committed_only_readers_stop_at_the_first_open_transaction() {
    let (_directory, partition) = partition();
    append(&partition, Sample::default()).unwrap();
    append(&partition, Sample::transactional(4, 0, 0)).unwrap();
    append(&partition, Sample::default()).unwrap();
    assert_eq!(offsets(&fetch(&partition, 0, true)), [0]);
    assert_eq!(offsets(&fetch(&partition, 1, true)), [0_i64; 0]);
    assert_eq!(offsets(&fetch(&partition, 0, false)), [0, 1, 2]);
    assert_eq!(partition.bounds().stable_offset, 1);
    partition.end_transaction(4, 0, true, 0).unwrap();
    let fetched = fetch(&partition, 0, true);
    assert_eq!((offsets(&fetched), fetched.aborted), (vec![0, 1, 2, 3], vec![]));
}

#[test]
fn aborted_transactions_are_named_to_those_who_read_over_them() {
    let (directory, partition) = partition();
    append(&partition, Sample::transactional(4, 0, 0)).unwrap();
    partition.end_transaction(4, 0, false, 0).unwrap();
    append(&partition, Sample::transactional(5, 0, 0)).unwrap();
    partition.end_transaction(5, 0, true, 0).unwrap();
    let expected = [AbortedTransaction { producer_id: 4, first_offset: 0, last_offset: 1 }];
    assert_eq!(fetch(&partition, 0, true).aborted, expected);
    assert_eq!(fetch(&partition, 1, true).aborted, expected);
    assert_eq!(fetch(&partition, 2, true).aborted, []);
    assert_eq!(fetch(&partition, 0, false).aborted, []);
    drop(partition);
    let partition = Partition::open(directory.path(), 0).unwrap();
    assert_eq!(fetch(&partition, 0, true).aborted, expected);
}

#[test]
fn a_transaction_has_ended_once_its_marker_stands() {
    let (_directory, partition) = partition();
    assert!(!partition.has_ended(4, 1));
    append(&partition, Sample::transactional(4, 1, 0)).unwrap();
    assert_eq!(partition.open_transactions(), [(4, 1)]);
    assert!(!partition.has_ended(4, 1));
    partition.end_transaction(4, 1, false, 0).unwrap();
    assert!(partition.has_ended(4, 1) && partition.has_ended(4, 0) && !partition.has_ended(4, 2));
    assert_eq!(partition.open_transactions(), []);
}

#[test]
fn deleted_records_cannot_be_read() {
    let (directory, partition) = partition();
    for _ in 0..4 {
        append(&partition, Sample::default()).unwrap();
    }
    assert_eq!(partition.delete_before(2), Ok(2));
    assert_eq!(partition.delete_before(1), Ok(2), "a start never moves back");
    assert_eq!(partition.delete_before(5), Err(ResponseError::OffsetOutOfRange));
    let ask = Ask { from: 1, bytes_max: 1_000, committed_only: false };
    assert_eq!(partition.fetch(ask).err(), Some(ResponseError::OffsetOutOfRange));
    assert_eq!(offsets(&fetch(&partition, 2, false)), [2, 3]);
    assert_eq!(Partition::open(directory.path(), 2).unwrap().bounds().start_offset, 2);
    assert_eq!(partition.delete_before(-1), Ok(4));
}

#[test]
fn a_time_is_found_inside_a_batch_of_every_codec() {
    for codec in [
        Compression::None,
        Compression::Gzip,
        Compression::Snappy,
        Compression::Lz4,
        Compression::Zstd,
    ] {
        let (_directory, partition) = partition();
        partition.append(&records(codec, &[100, 300, 200]), RULES, NOW_MS).unwrap();
        partition.append(&records(codec, &[400, 150]), RULES, NOW_MS).unwrap();
        let offset = |timestamp_ms| {
            partition
                .first_since(timestamp_ms)
                .unwrap()
                .map(|found| (found.offset, found.timestamp_ms))
        };
        assert_eq!(offset(0), Some((0, 100)), "{codec:?}");
        assert_eq!(offset(101), Some((1, 300)), "{codec:?}");
        assert_eq!(offset(301), Some((3, 400)), "{codec:?}");
        assert_eq!(offset(401), None, "{codec:?}");
        let latest = partition.latest().unwrap();
        assert_eq!(latest, Some(Lookup { offset: 3, timestamp_ms: 400 }), "{codec:?}");
        partition.delete_before(2).unwrap();
        assert_eq!(offset(101), Some((2, 200)), "{codec:?}, deleted records are not found");
    }
}

#[test]
fn records_that_cannot_be_decoded_are_an_error_for_the_one_who_looks() {
    let (_directory, partition) = partition();
    assert_eq!(partition.latest(), Ok(None));
    // As logs of before hold them: now it would be refused.
    let mut bad = BytesMut::from(&Sample::default().bytes()[..]);
    bad.last_mut().map(|byte| *byte = 9).unwrap();
    batch::seal(&mut bad);
    assert_eq!(
        partition.append(&bad.clone().freeze(), RULES, NOW_MS),
        Err(ResponseError::InvalidRecord)
    );
    bad[61] = 1;
    batch::seal(&mut bad);
    partition.inner.lock().write(bad, NOW_MS).unwrap();
    assert_eq!(partition.first_since(0), Err(ResponseError::CorruptMessage));
}

#[test]
fn the_time_of_appending_is_kept_where_a_topic_wants_it() {
    let (_directory, partition) = partition();
    let rules = AppendRules { is_append_time: true, ..RULES };
    partition.append(&records(Compression::None, &[100]), rules, 9_000).unwrap();
    assert_eq!(partition.first_since(8_999).unwrap().map(|found| found.offset), Some(0));
}

#[tokio::test]
async fn an_append_wakes_who_waits_and_forgets_who_left() {
    let (_directory, partition) = partition();
    let (stays, leaves) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    partition.wake_on_append(&stays);
    partition.wake_on_append(&stays);
    partition.wake_on_append(&leaves);
    drop(leaves);
    append(&partition, Sample::default()).unwrap();
    stays.notified().await;
    partition.wake_on_append(&stays);
    partition.end_transaction(1, 0, true, 0).unwrap();
    stays.notified().await;
}

#[test]
fn a_producer_that_is_known_pushes_nobody_out() {
    let mut producers = Producers::default();
    let mut offset = 0;
    let mut note = |producer_id: i64, sequence: i32| {
        let mut batch = BytesMut::from(&Sample::numbered(producer_id, 0, sequence).bytes()[..]);
        batch::stamp_offset(&mut batch, offset);
        offset += 1;
        producers.note(&BatchHeader::read(&batch).unwrap(), &batch);
    };
    (0..10_000).for_each(|producer_id| note(producer_id, 0));
    note(0, 1);
    for (producer_id, base_offset) in [(0, 0), (1, 1)] {
        let again = Sample::numbered(producer_id, 0, 0).bytes();
        let found = producers.admit(&BatchHeader::read(&again).unwrap());
        assert_eq!(found, Ok(Sequence::Repeat { base_offset }));
    }
}
