//! Appending, reading and recovering, each against what was appended.

use std::fs::File;
use std::path::PathBuf;

use bytes::{Bytes, BytesMut};
use proptest::prelude::*;
use tempfile::TempDir;

use super::*;
use crate::batch::tests::{Sample, header};
use crate::batch::{stamp_offset, whole_batches};

/// Every batch that was shown; its encoding is the number of them.
#[derive(Default)]
struct Seen {
    before: u64,
    batches: Vec<(BatchHeader, Bytes)>,
}

impl Story for Seen {
    fn note(&mut self, header: &BatchHeader, batch: &[u8]) {
        self.batches.push((*header, Bytes::copy_from_slice(batch)));
    }

    fn encode(&self) -> Vec<u8> {
        (self.before + self.batches.len() as u64).to_be_bytes().to_vec()
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let before = u64::from_be_bytes(bytes.try_into().ok()?);
        Some(Self { before, batches: Vec::new() })
    }
}

const FILE_NAME: &str = "00000000000000000000.log";

/// What `append` was given, in order.
struct Written {
    directory: TempDir,
    log: Log,
    batches: Vec<(BatchHeader, Bytes)>,
}

impl Written {
    fn new() -> Self {
        let directory = TempDir::new().unwrap();
        let log = Log::open::<Seen>(directory.path()).unwrap().log;
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

    /// Seals the active segment and brings it to disk, as the cleaner does.
    fn seal(&mut self) {
        self.log.roll().unwrap();
        for segment in self.log.sealed() {
            segment.settle(self.directory.path()).unwrap();
        }
    }

    fn path(&self) -> PathBuf {
        self.directory.path().join(FILE_NAME)
    }

    /// Opens the file again, with what recovery shows.
    fn reopen(&self) -> (Log, Vec<(BatchHeader, Bytes)>) {
        let opened = Log::open::<Seen>(self.directory.path()).unwrap();
        (opened.log, opened.story.batches)
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

/// What a fetch reads.
fn read(log: &Log, from: i64, until: i64, bytes_max: usize) -> Bytes {
    let window = log.window(from);
    window.map_or(Bytes::new(), |window| window.read(from, until, bytes_max).unwrap().records)
}

fn batch_since(log: &Log, timestamp_ms: i64, from: i64) -> Option<Bytes> {
    let mut windows = log.windows_since(timestamp_ms, from).into_iter();
    windows.find_map(|window| window.batch_since(timestamp_ms, from).unwrap())
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
        let read = written.log.window(from).unwrap().read(from, until, bytes_max).unwrap();
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
        prop_assert_eq!(batch_since(&written.log, timestamp_ms, from), expected);
    }
}

/// Several segments of 20 batches each, of one record; all but the last are settled.
fn segmented(count: i64) -> Written {
    let mut written = Written::new();
    for at in 0..count {
        if at > 0 && at % 20 == 0 {
            written.seal();
        }
        let timestamp_ms = if at == 33 { 1_000 } else { at };
        written.append(Sample { timestamp_ms, ..Sample::default() });
    }
    written
}

#[test]
fn segments_read_as_one_log_from_each_offset_and_time() {
    let written = segmented(90);
    let (log, _) = written.reopen();
    for log in [&written.log, &log] {
        assert_eq!((log.sealed().len(), log.next_offset(), log.base_offset()), (4, 90, 0));
        for from in 0..90 {
            let found = read(log, from, i64::MAX, 1);
            assert_eq!(header(&found).base_offset, from);
            let since = batch_since(log, from, 0).unwrap();
            assert_eq!(header(&since).base_offset, from.min(if from > 33 { 33 } else { from }));
        }
        assert_eq!(header(&batch_since(log, 0, 50).unwrap()).base_offset, 50);
        assert_eq!(batch_since(log, 1_001, 0), None);
        assert_eq!(log.max_timestamp(), Some(1_000));
    }
}

#[test]
fn sealed_segments_are_trusted_and_not_read_again() {
    let mut written = segmented(50);
    let directory = written.directory.path();
    keep_producers(directory, 20, &20_u64.to_be_bytes()).unwrap();
    keep_producers(directory, 40, &40_u64.to_be_bytes()).unwrap();
    let opened = Log::open::<Seen>(directory).unwrap();
    assert_eq!((opened.story.before, opened.story.batches.len()), (40, 10));
    assert!(opened.before_active.is_none());
    // Without the story of before 40, the headers of sealed segments tell it again.
    std::fs::remove_file(files::producers(directory, 40)).unwrap();
    let opened = Log::open::<Seen>(directory).unwrap();
    assert_eq!((opened.story.before, opened.story.batches.len()), (0, 50));
    assert_eq!(opened.before_active, Some(40_u64.to_be_bytes().to_vec()));
    // A damaged footer, or one of another file, costs a scan and nothing else.
    std::fs::write(files::footer(directory, 0), b"rubbish").unwrap();
    std::fs::copy(files::footer(directory, 20), files::footer(directory, 40)).unwrap();
    written.log = Log::open::<Seen>(directory).unwrap().log;
    assert_eq!((written.log.sealed().len(), written.log.next_offset()), (2, 50));
    assert!(!written.log.sealed()[0].is_settled() && written.log.sealed()[1].is_settled());
    assert_eq!(header(&read(&written.log, 7, i64::MAX, 1)).base_offset, 7);
}

#[test]
fn a_directory_of_before_there_were_segments_is_one_segment() {
    let written = Written::of([Sample::default(), Sample::default()]);
    assert_eq!(std::fs::read_dir(written.directory.path()).unwrap().count(), 1);
    let (log, seen) = written.reopen();
    assert_eq!((log.sealed().len(), log.next_offset(), seen.len()), (0, 2, 2));
}

#[test]
fn an_interrupted_replacement_is_finished_or_undone() {
    let written = segmented(70);
    let directory = written.directory.path();
    let swapped = directory.join(format!("{:020}-{:020}.swap", 20, 60));
    // Not decided: thrown away.
    std::fs::copy(files::log(directory, 20), files::clean(directory, 20)).unwrap();
    let (log, _) = written.reopen();
    assert!(!files::clean(directory, 20).exists());
    assert_eq!(log.sealed().len(), 3);
    // Decided, whichever of the steps after it were done: the one stands for the two.
    for steps in 0..3 {
        let copy = TempDir::new().unwrap();
        for entry in std::fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            std::fs::copy(&path, copy.path().join(path.file_name().unwrap())).unwrap();
        }
        let swapped = copy.path().join(swapped.file_name().unwrap());
        std::fs::copy(files::log(directory, 40), &swapped).unwrap();
        if steps > 0 {
            std::fs::remove_file(files::footer(copy.path(), 20)).unwrap();
        }
        if steps > 1 {
            std::fs::remove_file(files::footer(copy.path(), 40)).unwrap();
            std::fs::remove_file(files::log(copy.path(), 40)).unwrap();
        }
        let log = Log::open::<Seen>(copy.path()).unwrap().log;
        let bases: Vec<i64> = log.sealed().iter().map(|segment| segment.base_offset).collect();
        assert_eq!(bases, [0, 20], "{steps} steps");
        assert!(!swapped.exists());
        // The file holds offsets 40 to 59: a reader of 20 is shown 40 next, and goes on behind it.
        assert_eq!(header(&read(&log, 20, i64::MAX, 1)).base_offset, 40);
        assert_eq!(header(&read(&log, 59, i64::MAX, 1)).base_offset, 59);
        assert_eq!(header(&read(&log, 60, i64::MAX, 1)).base_offset, 60);
    }
}

#[test]
fn a_log_that_is_opened_again_reads_the_same() {
    let written = Written::of((0..200).map(|at| Sample { timestamp_ms: at, ..Sample::default() }));
    let (log, _) = written.reopen();
    for from in [0, 1, 99, 199] {
        let before = read(&written.log, from, i64::MAX, 1_000);
        assert_eq!(before, read(&log, from, i64::MAX, 1_000), "from {from}");
    }
    assert_eq!(log.max_timestamp(), Some(199));
}

#[test]
fn nothing_is_read_past_the_end() {
    let written = Written::of([Sample::default()]);
    assert!(written.log.window(1).is_none());
    assert!(Written::new().log.window(0).is_none());
    assert_eq!(batch_since(&Written::new().log, 0, 0), None);
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
    written.log.active.file = Arc::new(File::open(&path).unwrap());
    let mut batch = BytesMut::from(Sample::default().bytes());
    stamp_offset(&mut batch, 1);
    assert!(written.log.append(&header(&batch), &batch).is_err());
    assert_eq!(written.log.next_offset(), 1);
    // The file cannot be cut either, so that nothing more is accepted even when writing would work again.
    let file = File::options().read(true).write(true).open(&path).unwrap();
    written.log.active.file = Arc::new(file);
    assert!(written.log.append(&header(&batch), &batch).is_err());
    assert_eq!(written.reopen().1.len(), 1);
}

#[test]
fn a_read_from_a_gap_comes_past_a_large_batch_before_it() {
    let directory = TempDir::new().unwrap();
    let mut writer = CleanWriter::create(directory.path(), 0).unwrap();
    let mut write = |offset, filler_bytes| {
        let mut batch = BytesMut::from(Sample { filler_bytes, ..Sample::default() }.bytes());
        stamp_offset(&mut batch, offset);
        writer.append(&header(&batch), &batch).unwrap();
        batch.freeze()
    };
    // Compaction left nothing between 1 and 9. The index leads to 0, and what is read ahead does not reach past 1.
    write(0, 20);
    write(1, 100_000);
    let found = write(9, 50_000);
    let segment = writer.finish(10).unwrap();
    let window = segment.window_from(segment.index.position_of(5));
    for bytes_max in [1, 1_000, 200_000] {
        let read = window.read(5, 10, bytes_max).unwrap();
        assert_eq!((read.end_offset, &read.records), (10, &found), "{bytes_max}");
    }
    assert!(window.read(5, 9, 1).unwrap().records.is_empty(), "nothing before 9");
}
