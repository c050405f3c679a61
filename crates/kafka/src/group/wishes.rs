//! What the owners of partitions ask of the reader's thread: the newest commit and reposition of each partition.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;

use super::Note;

/// Newest wish per partition, so it needs no queue and no limit.
#[derive(Debug, Default)]
pub(super) struct Wishes {
    waiting: Mutex<Waiting>,
    any: AtomicBool,
    ended: AtomicBool,
}

#[derive(Debug, Default)]
pub(super) struct Waiting {
    pub(super) commits: BTreeMap<i32, Wish>,
    pub(super) repositions: BTreeMap<i32, Wish>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Wish {
    /// The assignment it is said for; `None`: the present one.
    pub(super) epoch: Option<u64>,
    pub(super) offset: i64,
    /// What stands with a commit.
    pub(super) note: Option<Note>,
}

impl Wishes {
    pub(super) fn commit(&self, partition: i32, wish: Wish) {
        put_newer(&mut self.waiting.lock().commits, partition, wish);
        self.any.store(true, Ordering::Release);
    }

    pub(super) fn reposition(&self, partition: i32, epoch: Option<u64>, offset: i64) {
        let wish = Wish { epoch, offset, note: None };
        put_newer(&mut self.waiting.lock().repositions, partition, wish);
        self.any.store(true, Ordering::Release);
    }

    /// Nothing more will be asked for.
    pub(super) fn end(&self) {
        self.ended.store(true, Ordering::Release);
    }

    pub(super) fn has_ended(&self) -> bool {
        self.ended.load(Ordering::Acquire)
    }

    /// Takes everything that waits; `None` when nothing does.
    pub(super) fn take(&self) -> Option<Waiting> {
        self.any.swap(false, Ordering::AcqRel).then(|| std::mem::take(&mut *self.waiting.lock()))
    }
}

/// A wish of an assignment that has ended since must not displace one of its successor.
fn put_newer(wishes: &mut BTreeMap<i32, Wish>, partition: i32, wish: Wish) {
    let is_older = wishes
        .get(&partition)
        .and_then(|found| found.epoch.zip(wish.epoch))
        .is_some_and(|(found, new)| new < found);
    if !is_older {
        wishes.insert(partition, wish);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_wish_of_a_partition_counts() {
        let wishes = Wishes::default();
        let wish = |epoch, offset| Wish { epoch: Some(epoch), offset, note: None };
        wishes.commit(0, wish(1, 10));
        wishes.commit(0, wish(1, 12));
        wishes.commit(1, wish(2, 5));
        let waiting = wishes.take().unwrap();
        assert_eq!(waiting.commits[&0], wish(1, 12));
        assert_eq!(waiting.commits[&1], wish(2, 5));
        assert!(wishes.take().is_none());
    }

    #[test]
    fn an_ended_assignment_does_not_displace_its_successor() {
        let wishes = Wishes::default();
        wishes.reposition(0, Some(7), 70);
        wishes.reposition(0, Some(6), 60);
        assert_eq!(wishes.take().unwrap().repositions[&0].offset, 70);
    }
}
