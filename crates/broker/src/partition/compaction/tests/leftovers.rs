//! What interrupted work leaves behind: half-done swaps, lost footers, batches without records.

use std::fs;
use std::path::PathBuf;

use super::*;

impl Kept {
    fn files(&self, extension: &str) -> Vec<PathBuf> {
        let all = fs::read_dir(self.directory.path()).unwrap().map(|entry| entry.unwrap().path());
        all.filter(|path| path.extension().is_some_and(|found| found == extension)).collect()
    }

    /// As a swap that failed half-way leaves it: the file that stands for the segments from `base` to before `until`.
    fn leave_swap(&self, base: i64, until: i64) {
        let directory = self.directory.path();
        let swap = directory.join(format!("{base:020}-{until:020}.swap"));
        fs::copy(directory.join(format!("{base:020}.log")), swap).unwrap();
    }

    fn aborted(&self) -> usize {
        self.partition.inner.lock().producers.aborted().len()
    }

    fn try_clean(&self) -> io::Result<()> {
        let round = Round { keeping: self.keeping, now_ms: self.now_ms, is_stopping: &|| false };
        self.partition.clean(round)
    }
}

/// Four segments of one record each.
fn four_segments(keeping: Keeping) -> Kept {
    let mut kept = Kept::new(keeping);
    for value in ["1", "2", "3", "4"] {
        kept.put("k", value);
        kept.partition.inner.lock().roll().unwrap();
    }
    kept
}

#[test]
fn nothing_is_compacted_over_a_half_done_swap() {
    let mut kept = four_segments(KEEPING);
    kept.leave_swap(0, 1);
    let error = kept.try_clean().unwrap_err();
    assert!(error.to_string().contains("offset 0 is half done"), "{error}");
    assert_eq!(kept.segments(), [0, 1, 2, 3]);
    // The next start finishes it, and then all goes on.
    kept.reopen();
    assert!(kept.files("swap").is_empty());
    kept.clean();
    assert_eq!((kept.segments().len(), kept.committed().len()), (1, 1));
}

#[test]
fn what_is_deleted_is_not_brought_back_by_a_half_done_swap() {
    let keeping = Keeping {
        is_compacted: false,
        is_deleted: true,
        retention_ms: Some(1_000),
        segment_bytes: 1 << 20,
        ..KEEPING
    };
    let mut kept = four_segments(keeping);
    kept.leave_swap(1, 3);
    kept.now_ms += 5_000;
    kept.put("k", "young");
    kept.clean();
    assert_eq!((kept.segments().len(), kept.files("swap").len()), (0, 0));
    kept.reopen();
    assert_eq!((kept.partition.bounds().start_offset, kept.committed().len()), (4, 1));
}

#[test]
fn a_swap_of_what_stays_in_part_is_left_to_the_next_start() {
    let mut keeping = Keeping { is_compacted: false, is_deleted: true, ..KEEPING };
    let kept = four_segments(keeping);
    kept.leave_swap(1, 4);
    // Three of four are too much.
    keeping.retention_bytes = Some(kept.bytes() / 4);
    let mut kept = Kept { keeping, ..kept };
    kept.clean();
    assert_eq!((kept.segments(), kept.files("swap").len()), (vec![1, 2, 3], 1));
    kept.reopen();
    assert_eq!(kept.partition.bounds().start_offset, 1);
    kept.clean();
    assert!(kept.files("swap").is_empty());
}

#[test]
fn what_was_aborted_in_the_compacted_part_is_forgotten_at_a_start() {
    let mut kept = Kept::new(KEEPING);
    kept.write(2, Compression::None, &[("a", Some("aborted"))]);
    kept.partition.end_transaction(2, 0, false, kept.now_ms).unwrap();
    kept.write(2, Compression::None, &[("a", Some("committed"))]);
    kept.partition.end_transaction(2, 0, true, kept.now_ms).unwrap();
    kept.put("last", "1");
    let before = kept.state();
    kept.clean_all();
    // Killed before the footers came to disk: nothing tells that the segments are compacted, but the marker stands.
    let lose_footers = |kept: &mut Kept| {
        for path in kept.files("footer") {
            fs::remove_file(path).unwrap();
        }
        kept.reopen();
    };
    kept.reopen();
    assert_eq!(kept.aborted(), 0, "the footer says that it is compacted");
    lose_footers(&mut kept);
    assert_eq!((kept.aborted(), kept.state()), (1, before.clone()));
    kept.clean();
    kept.now_ms += 20_000;
    kept.clean();
    lose_footers(&mut kept);
    assert_eq!(
        kept.aborted(),
        0,
        "a reader would wait for its marker, and miss what was committed"
    );
    assert_eq!(kept.state(), before);
}

#[test]
fn the_latest_record_is_found_though_a_later_batch_was_emptied() {
    let mut kept = Kept::new(KEEPING);
    kept.put("a", "1");
    kept.put("b", "1");
    kept.now_ms += 1;
    kept.write(-1, Compression::None, &[("a", None)]);
    let latest = |kept: &Kept| kept.partition.latest().unwrap().map(|found| found.offset);
    assert_eq!(latest(&kept), Some(2));
    kept.clean_all();
    kept.now_ms += 10_000;
    kept.clean();
    assert_eq!(kept.committed().len(), 1, "the tombstone is gone, its batch is not");
    assert_eq!(latest(&kept), Some(1));
}
