//! Batches as producers make them, for the tests of everything that takes batches; and tests of the header itself.

use super::records::put_varint;
use super::*;

/// A batch to be made. Its records are sound and say nothing: all empty but the last, which fills it up.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sample {
    pub count: i32,
    pub filler_bytes: usize,
    pub timestamp_ms: i64,
    pub producer_id: i64,
    pub epoch: i16,
    pub sequence: i32,
    pub is_transactional: bool,
}

impl Default for Sample {
    fn default() -> Self {
        Self {
            count: 1,
            filler_bytes: 20,
            timestamp_ms: 1_000,
            producer_id: -1,
            epoch: -1,
            sequence: -1,
            is_transactional: false,
        }
    }
}

impl Sample {
    pub(crate) fn numbered(producer_id: i64, epoch: i16, sequence: i32) -> Self {
        Self { producer_id, epoch, sequence, ..Self::default() }
    }

    pub(crate) fn transactional(producer_id: i64, epoch: i16, sequence: i32) -> Self {
        Self { is_transactional: true, ..Self::numbered(producer_id, epoch, sequence) }
    }

    pub(crate) fn bytes(self) -> Bytes {
        let mut batch = BytesMut::new();
        batch.put_i64(0);
        let records = self.records();
        let length = HEADER_BYTES - PREFIX_BYTES + records.len();
        batch.put_i32(i32::try_from(length).unwrap());
        batch.put_i32(-1);
        batch.put_i8(MAGIC);
        batch.put_u32(0);
        batch.put_i16(if self.is_transactional { TRANSACTIONAL } else { 0 });
        batch.put_i32(self.count - 1);
        batch.put_i64(self.timestamp_ms);
        batch.put_i64(self.timestamp_ms);
        batch.put_i64(self.producer_id);
        batch.put_i16(self.epoch);
        batch.put_i32(self.sequence);
        batch.put_i32(self.count);
        batch.put_slice(&records);
        seal(&mut batch);
        batch.freeze()
    }

    /// About as many bytes as asked for, and what records need at least.
    fn records(self) -> Vec<u8> {
        let mut records = Vec::new();
        for number in 0..i64::from(self.count) {
            let left = self.filler_bytes.saturating_sub(records.len());
            let is_last = number + 1 == i64::from(self.count);
            put_record(number, if is_last { left } else { 0 }, &mut records);
        }
        records
    }
}

/// A record without key and headers, of so many bytes in all if that can be.
fn put_record(number: i64, bytes: usize, out: &mut Vec<u8>) {
    let of = |value_bytes: usize| {
        let mut body = vec![0, 0];
        put_varint(number, &mut body);
        put_varint(-1, &mut body);
        put_varint(i64::try_from(value_bytes).unwrap(), &mut body);
        body.resize(body.len() + value_bytes, 7);
        body.push(0);
        let mut record = Vec::new();
        put_varint(i64::try_from(body.len()).unwrap(), &mut record);
        [record, body].concat()
    };
    let fits = (0..=bytes).rev().map(of).find(|record| record.len() <= bytes);
    out.extend_from_slice(&fits.unwrap_or_else(|| of(0)));
}

/// The header of a batch that is known to have one.
#[track_caller]
pub(crate) fn header(batch: &[u8]) -> BatchHeader {
    BatchHeader::read(batch).unwrap()
}

#[test]
fn a_header_says_what_the_producer_wrote() {
    let batch = Sample { count: 3, ..Sample::transactional(9, 2, 40) }.bytes();
    let header = header(&batch);
    assert_eq!(header.bytes, batch.len());
    assert!(header.matches(&batch) && header.is_from_a_producer());
    assert!(header.is_transactional() && header.is_idempotent() && !header.is_control());
    assert_eq!((header.producer_id, header.producer_epoch), (9, 2));
    assert_eq!((header.last_offset(), header.last_sequence()), (2, 42));
}

#[test]
fn sequences_wrap_to_zero() {
    let batch = Sample { count: 3, ..Sample::numbered(1, 0, i32::MAX - 1) }.bytes();
    assert_eq!(header(&batch).last_sequence(), 0);
}

#[test]
fn the_offset_is_not_under_the_checksum_and_all_else_is() {
    let mut batch = BytesMut::from(Sample::default().bytes());
    stamp_offset(&mut batch, 77);
    assert_eq!(header(&batch).base_offset, 77);
    assert!(header(&batch).matches(&batch));
    for at in CHECKED_FROM..batch.len() {
        let mut bad = batch.clone();
        bad[at] ^= 1;
        assert!(!header(&batch).matches(&bad), "byte {at}");
    }
}

#[test]
fn the_time_of_appending_replaces_the_producers() {
    let mut batch = BytesMut::from(Sample::default().bytes());
    let attributes = header(&batch).attributes;
    stamp_append_time(&mut batch, attributes, 5_555);
    let stamped = header(&batch);
    assert!(stamped.matches(&batch));
    assert_eq!((stamped.max_timestamp, stamped.attributes), (5_555, attributes | LOG_APPEND_TIME));
}

#[test]
fn a_marker_says_how_the_transaction_ended() {
    for commits in [true, false] {
        let marker = end_marker(5, 3, commits, 1_234);
        let header = header(&marker);
        assert!(header.matches(&marker) && header.is_control() && !header.is_from_a_producer());
        assert_eq!((header.producer_id, header.producer_epoch), (5, 3));
        assert_eq!(is_commit(&marker), commits);
    }
}

#[test]
fn a_marker_is_one_record_to_a_foreign_decoder() {
    use kafka_protocol::records::RecordBatchDecoder;
    let mut marker = end_marker(5, 3, true, 1_234).freeze();
    let records = RecordBatchDecoder::decode(&mut marker).unwrap().records;
    assert_eq!(records.len(), 1);
    assert!(records[0].control && records[0].transactional);
    assert_eq!(records[0].key.as_deref(), Some(&[0, 0, 0, 1][..]));
    assert_eq!(records[0].value.as_deref(), Some(&[0; 6][..]));
}

#[test]
fn what_is_no_batch_has_no_header() {
    let batch = Sample::default().bytes();
    assert_eq!(BatchHeader::read(&batch[..HEADER_BYTES - 1]), None);
    let mut old_magic = BytesMut::from(batch.clone());
    old_magic[16] = 1;
    assert_eq!(BatchHeader::read(&old_magic), None);
    let mut short = BytesMut::from(batch.clone());
    short[8..12].copy_from_slice(&48_i32.to_be_bytes());
    assert_eq!(BatchHeader::read(&short), None);
    let mut negative = BytesMut::from(batch);
    negative[8..12].copy_from_slice(&(-1_i32).to_be_bytes());
    assert_eq!(BatchHeader::read(&negative), None);
}

#[test]
fn whole_batches_stop_at_the_first_that_is_cut() {
    let one = Sample::default().bytes();
    let three = [&one[..], &one[..], &one[..]].concat();
    for cut in 0..=three.len() {
        let bytes = Bytes::copy_from_slice(&three[..cut]);
        assert_eq!(whole_batches(&bytes).count(), cut / one.len(), "cut at {cut}");
    }
}

/// A record with a key, to be put into a batch.
#[derive(Clone, Debug)]
pub(crate) struct Keyed {
    pub key: Option<String>,
    /// `None` makes a tombstone.
    pub value: Option<String>,
    pub timestamp_ms: i64,
}

/// A batch of such records from a producer without a number, as another implementation encodes it.
pub(crate) fn keyed(compression: kafka_protocol::records::Compression, records: &[Keyed]) -> Bytes {
    keyed_by(Sample::default(), compression, records)
}

/// The same, with the producer, epoch, sequence and transaction of `sample`.
pub(crate) fn keyed_by(
    sample: Sample,
    compression: kafka_protocol::records::Compression,
    records: &[Keyed],
) -> Bytes {
    use kafka_protocol::records::{Record, RecordBatchEncoder, RecordEncodeOptions, TimestampType};
    let record = |(at, keyed): (usize, &Keyed)| Record {
        transactional: sample.is_transactional,
        control: false,
        delete_horizon: false,
        partition_leader_epoch: 0,
        producer_id: sample.producer_id,
        producer_epoch: sample.epoch,
        timestamp_type: TimestampType::Creation,
        offset: i64::try_from(at).unwrap(),
        sequence: sample.sequence + i32::try_from(at).unwrap(),
        timestamp: keyed.timestamp_ms,
        key: keyed.key.clone().map(Bytes::from),
        value: keyed.value.clone().map(Bytes::from),
        headers: Default::default(),
    };
    let records: Vec<Record> = records.iter().enumerate().map(record).collect();
    let mut bytes = BytesMut::new();
    let options = RecordEncodeOptions { version: 2, compression };
    RecordBatchEncoder::encode(&mut bytes, &records, &options).unwrap();
    bytes.freeze()
}
