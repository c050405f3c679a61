//! Offsets committed, forgotten and found again.

use tempfile::TempDir;

use super::*;

pub(crate) fn committed(topic: &str, partition: i32, offset: i64) -> Committed {
    let metadata = format!("tab\tand \"{offset}\"");
    Committed { topic: topic.to_owned(), partition, offset, leader_epoch: 0, metadata }
}

#[track_caller]
fn check(offsets: &Offsets, group: &str, expected: &[Committed]) {
    let found: Vec<Committed> = offsets.all_of(group).cloned().collect();
    assert_eq!(found, expected);
}

#[test]
fn the_newest_offset_of_a_partition_counts_and_survives_a_restart() {
    let directory = TempDir::new().unwrap();
    let mut offsets = Offsets::open(directory.path()).unwrap();
    offsets.commit("g", vec![committed("t", 0, 5), committed("t", 1, 6)]).unwrap();
    offsets.commit("g", vec![committed("t", 0, 7)]).unwrap();
    offsets.commit("h", vec![committed("t", 0, 9)]).unwrap();
    offsets.sync().unwrap();
    for _ in 0..2 {
        let offsets = Offsets::open(directory.path()).unwrap();
        check(&offsets, "g", &[committed("t", 0, 7), committed("t", 1, 6)]);
        assert_eq!(offsets.committed("h", "t", 0), Some(&committed("t", 0, 9)));
        assert_eq!(offsets.committed("h", "t", 1), None);
    }
}

#[test]
fn what_is_removed_or_forgotten_stays_so() {
    let directory = TempDir::new().unwrap();
    let mut offsets = Offsets::open(directory.path()).unwrap();
    offsets.commit("g", vec![committed("t", 0, 1), committed("u", 0, 2)]).unwrap();
    offsets.commit("h", vec![committed("t", 0, 3)]).unwrap();
    offsets.commit("i", vec![committed("t", 0, 4), committed("t", 1, 5)]).unwrap();
    offsets.forget_topic("u").unwrap();
    offsets.forget("h").unwrap();
    offsets.remove("i", vec![("t".to_owned(), 1)]).unwrap();
    for offsets in [&offsets, &Offsets::open(directory.path()).unwrap()] {
        check(offsets, "g", &[committed("t", 0, 1)]);
        check(offsets, "i", &[committed("t", 0, 4)]);
        assert!(!offsets.knows("h"));
        assert_eq!(offsets.groups().collect::<Vec<_>>(), ["g", "i"]);
    }
}

#[test]
fn a_journal_that_has_grown_is_written_anew() {
    let directory = TempDir::new().unwrap();
    let mut offsets = Offsets::open(directory.path()).unwrap();
    let long = Committed { metadata: "x".repeat(4_000), ..committed("t", 0, 1) };
    let path = directory.path().join("offsets.journal");
    let mut largest = 0;
    for offset in 0..1_000 {
        offsets.commit("g", vec![Committed { offset, ..long.clone() }]).unwrap();
        largest = largest.max(std::fs::metadata(&path).unwrap().len());
    }
    assert!(largest < 2 << 20, "{largest} bytes for one offset");
    let offsets = Offsets::open(directory.path()).unwrap();
    assert_eq!(offsets.committed("g", "t", 0).map(|it| it.offset), Some(999));
}
