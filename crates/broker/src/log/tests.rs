//! Appending, reading and recovering, each against what was appended.

use std::path::PathBuf;

use bytes::BytesMut;
use proptest::prelude::*;
use tempfile::TempDir;

use super::*;
use crate::batch::stamp_offset;
use crate::batch::tests::{Sample, header};

/// What `append` was given, in order.
struct Written {
    directory: TempDir,
    log: Log,
    batches: Vec<(BatchHeader, Bytes)>,
}

impl Written {
    fn new() -> Self {
        let directory = TempDir::new().unwrap();
        let log = Log::open(directory.path(), |_, _| {}).unwrap();
        Self { directory, log, batches: Vec::new() }
    }

    fn of(samples: impl IntoIterator<Item = Sample>) -> Self {
        let mut written = Self::new();
        samples.into_iter().for_each(|sample| written.append(sample));
        written
    }

    fn append(&mut self, sample: Sample) {
        let mut batch = BytesMut::from(sample.bytes());
        stamp_offset(&mut batch, self.log.next_offset());
        let header = header(&batch);
        self.log.append(&header, &batch).unwrap();
        self.batches.push((header, batch.freeze()));
    }

    fn path(&self) -> PathBuf {
        self.directory.path().join(FILE_NAME)
    }

    /// Opens the file again, with what recovery shows.
    fn reopen(&self) -> (Log, Vec<(BatchHeader, Bytes)>) {
        let mut seen = Vec::new();
        let log = Log::open(self.directory.path(), |header, batch| {
            seen.push((*header, Bytes::copy_from_slice(batch)));
        });
        (log.unwrap(), seen)
    }

    /// What a read must give, found the naive way.
    fn expected(&self, from: i64, until: i64, bytes_max: usize) -> Vec<u8> {
        let mut expected = Vec::new();
        for (header, batch) in &self.batches {
            if header.last_offset() < from {
                continue;
            }
            let fits = expected.is_empty() || expected.len() + batch.len() <= bytes_max;
            if header.base_offset >= until || !fits {
                break;
            }
            expected.extend_from_slice(batch);
        }
        expected
    }
}

fn samples() -> impl Strategy<Value = Vec<Sample>> {
    let sample = (1..5_i32, prop_oneof![4 => 0..300_usize, 1 => 3_000..9_000_usize], 0..50_i64)
        .prop_map(|(count, filler_bytes, timestamp_ms)| Sample {
            count,
            filler_bytes,
            timestamp_ms,
            ..Sample::default()
        });
    proptest::collection::vec(sample, 1..40)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_cut_of_the_file_leaves_the_whole_batches_before_it(
        samples in samples(),
        cut in any::<prop::sample::Index>(),
    ) {
        let written = Written::of(samples);
        let bytes = std::fs::read(written.path()).unwrap();
        let cut = cut.index(bytes.len() + 1);
        std::fs::write(written.path(), &bytes[..cut]).unwrap();

        let mut whole = 0;
        let before: Vec<_> = written.batches.iter().take_while(|(_, batch)| {
            whole += batch.len();
            whole <= cut
        }).cloned().collect();
        let (mut log, seen) = written.reopen();
        prop_assert_eq!(&seen, &before);
        let next_offset = before.last().map_or(0, |(header, _)| header.last_offset() + 1);
        prop_assert_eq!(log.next_offset(), next_offset);

        let mut batch = BytesMut::from(Sample::default().bytes());
        stamp_offset(&mut batch, next_offset);
        log.append(&header(&batch), &batch).unwrap();
        let (_, seen) = written.reopen();
        prop_assert_eq!(seen.len(), before.len() + 1);
    }

    #[test]
    fn any_flipped_bit_loses_nothing_before_it(
        samples in samples(),
        at in any::<prop::sample::Index>(),
    ) {
        let written = Written::of(samples);
        let mut bytes = std::fs::read(written.path()).unwrap();
        let at = at.index(bytes.len());
        bytes[at] ^= 0x10;
        std::fs::write(written.path(), &bytes).unwrap();
        let mut end = 0;
        let before = written.batches.iter().take_while(|(_, batch)| {
            end += batch.len();
            end <= at
        }).count();
        let (_, seen) = written.reopen();
        prop_assert!(seen.len() >= before);
        prop_assert_eq!(&seen[..before], &written.batches[..before]);
    }

    #[test]
    fn a_read_gives_what_a_walk_from_the_start_would(
        samples in samples(),
        from in any::<prop::sample::Index>(),
        until in any::<prop::sample::Index>(),
        bytes_max in 1..20_000_usize,
    ) {
        let written = Written::of(samples);
        let end = usize::try_from(written.log.next_offset()).unwrap();
        let from = i64::try_from(from.index(end)).unwrap();
        let until = i64::try_from(until.index(end + 1)).unwrap();
        let read = written.log.read(from, until, bytes_max).unwrap();
        let expected = written.expected(from, until, bytes_max);
        prop_assert_eq!(&read.records[..], &expected[..]);
        let last = whole_batches(&read.records).last();
        prop_assert_eq!(read.end_offset, last.map_or(from, |(header, _)| header.last_offset() + 1));
    }

    #[test]
    fn a_time_is_found_where_a_walk_would_find_it(
        samples in samples(),
        from in any::<prop::sample::Index>(),
        timestamp_ms in 0..60_i64,
    ) {
        let written = Written::of(samples);
        let from = from.index(usize::try_from(written.log.next_offset()).unwrap() + 1);
        let from = i64::try_from(from).unwrap();
        let expected = written
            .batches
            .iter()
            .find(|(header, _)| header.last_offset() >= from && header.max_timestamp >= timestamp_ms)
            .map(|(_, batch)| batch.clone());
        prop_assert_eq!(written.log.batch_since(timestamp_ms, from).unwrap(), expected);
    }
}

#[test]
fn a_log_that_is_opened_again_reads_the_same() {
    let written = Written::of((0..200).map(|at| Sample { timestamp_ms: at, ..Sample::default() }));
    let (log, _) = written.reopen();
    for from in [0, 1, 99, 199] {
        let before = written.log.read(from, i64::MAX, 1_000).unwrap();
        let after = log.read(from, i64::MAX, 1_000).unwrap();
        assert_eq!(before.records, after.records, "from {from}");
    }
    assert_eq!(log.max_timestamp(), Some(199));
}

#[test]
fn nothing_is_read_past_the_end() {
    let written = Written::of([Sample::default()]);
    assert!(written.log.read(1, i64::MAX, 1_000).unwrap().records.is_empty());
    assert!(Written::new().log.read(0, i64::MAX, 1_000).unwrap().records.is_empty());
    assert_eq!(Written::new().log.batch_since(0, 0).unwrap(), None);
}

#[test]
fn a_gap_in_the_offsets_is_kept_and_a_step_back_is_torn() {
    let mut written = Written::of([Sample::default()]);
    let mut bytes = std::fs::read(written.path()).unwrap();
    let mut again = BytesMut::from(Sample::default().bytes());
    stamp_offset(&mut again, 5);
    bytes.extend_from_slice(&again);
    stamp_offset(&mut again, 3);
    bytes.extend_from_slice(&again);
    std::fs::write(written.path(), &bytes).unwrap();
    let (log, seen) = written.reopen();
    assert_eq!((seen.len(), log.next_offset()), (2, 6));
    written.log = log;
    assert_eq!(std::fs::metadata(written.path()).unwrap().len(), 2 * again.len() as u64);
}

#[test]
fn a_write_that_fails_leaves_no_trace() {
    let mut written = Written::of([Sample::default()]);
    let path = written.path();
    written.log.file = File::open(&path).unwrap();
    let mut batch = BytesMut::from(Sample::default().bytes());
    stamp_offset(&mut batch, 1);
    assert!(written.log.append(&header(&batch), &batch).is_err());
    assert_eq!(written.log.next_offset(), 1);
    // The file cannot be cut either, so that nothing more is accepted even when writing would work again.
    written.log.file = File::options().read(true).write(true).open(&path).unwrap();
    assert!(written.log.append(&header(&batch), &batch).is_err());
    assert_eq!(written.reopen().1.len(), 1);
}
