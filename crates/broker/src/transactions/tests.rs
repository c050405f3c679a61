//! Transactions from beginning to end, over restarts, and against producers that should be gone.

use bytes::Bytes;
use std::time::Duration;
use tempfile::TempDir;

use super::*;
use crate::batch::tests::Sample;
use crate::catalog::Settings;
use crate::offsets::tests::committed;
use crate::partition::tests::{NOW_MS, RULES};
use crate::partition::{Appended, Ask};

struct Bench {
    directory: TempDir,
    clock: Clock,
    catalog: Arc<Catalog>,
    groups: Arc<Groups>,
    transactions: Transactions,
}

impl Bench {
    fn new() -> Self {
        let directory = TempDir::new().unwrap();
        let bench = Self::open(directory, Clock::manual(1_000));
        bench.catalog.create("t", 2, Settings::default()).unwrap();
        bench
    }

    fn open(directory: TempDir, clock: Clock) -> Self {
        let catalog = Arc::new(Catalog::open(directory.path()).unwrap());
        let groups = Arc::new(Groups::open(directory.path(), Duration::ZERO).unwrap());
        let transactions = Transactions::open(
            directory.path(),
            Arc::clone(&catalog),
            Arc::clone(&groups),
            clock.clone(),
        );
        let transactions = transactions.unwrap();
        Self { directory, clock, catalog, groups, transactions }
    }

    fn restart(self) -> Self {
        let Self { directory, clock, .. } = self;
        Self::open(directory, clock)
    }

    fn take_over(&self, id: &str) -> Identity {
        self.transactions.take_over(id, 60_000, None).unwrap()
    }

    fn add(&self, id: &str, who: Identity, partition: i32) -> Result<(), ResponseError> {
        self.transactions.add_partitions(id, who, [("t".to_owned(), partition)])
    }

    fn append(
        &self,
        id: &str,
        who: Identity,
        partition: i32,
        sequence: i32,
    ) -> Result<Appended, ResponseError> {
        let records = Sample::transactional(who.producer_id, who.epoch, sequence).bytes();
        self.transactions.while_open(id, who, ("t", partition), || {
            self.catalog.partition("t", partition)?.append(&records, RULES, NOW_MS)
        })
    }

    /// How far a committed-only reader gets, and how many transactions it must skip.
    fn readable(&self, partition: i32) -> (i64, usize) {
        let partition = self.catalog.partition("t", partition).unwrap();
        let ask = Ask { from: 0, bytes_max: 1 << 20, committed_only: true };
        let fetched = partition.fetch(ask).unwrap();
        (fetched.bounds.stable_offset, fetched.aborted.len())
    }

    fn committed(&self, group: &str) -> Option<i64> {
        self.groups.with_offsets(|offsets| offsets.committed(group, "t", 0).map(|it| it.offset))
    }

    /// A transaction of one record and one group's offset, not yet ended.
    fn begin(&self, id: &str) -> Identity {
        let who = self.take_over(id);
        self.add(id, who, 0).unwrap();
        self.append(id, who, 0, 0).unwrap();
        self.transactions.add_group(id, who).unwrap();
        self.transactions.add_offsets(id, who, "g", vec![committed("t", 0, 5)]).unwrap();
        who
    }
}

#[test]
fn a_commit_shows_records_and_offsets_together() {
    let bench = Bench::new();
    let who = bench.begin("x");
    assert_eq!((bench.readable(0), bench.committed("g")), ((0, 0), None));
    assert!(bench.transactions.is_pending("g", "t", 0));
    bench.transactions.end("x", who, true).unwrap();
    assert_eq!((bench.readable(0), bench.committed("g")), ((2, 0), Some(5)));
    assert!(!bench.transactions.is_pending("g", "t", 0));
    assert_eq!(bench.transactions.end("x", who, true), Ok(()), "said twice");
    assert_eq!(bench.transactions.end("x", who, false), Err(ResponseError::InvalidTxnState));
}

#[test]
fn an_abort_shows_neither() {
    let bench = Bench::new();
    let who = bench.begin("x");
    bench.transactions.end("x", who, false).unwrap();
    assert_eq!((bench.readable(0), bench.committed("g")), ((2, 1), None));
}

#[test]
fn a_successor_aborts_what_was_open_and_shuts_the_predecessor_out() {
    let bench = Bench::new();
    let old = bench.begin("x");
    let new = bench.take_over("x");
    assert_eq!((new.producer_id, new.epoch), (old.producer_id, old.epoch + 1));
    assert_eq!((bench.readable(0), bench.committed("g")), ((2, 1), None));
    let fenced = Err(ResponseError::ProducerFenced);
    assert_eq!(bench.transactions.end("x", old, true), fenced);
    assert_eq!(bench.add("x", old, 0), fenced);
    assert_eq!(bench.transactions.add_group("x", old), fenced);
    let late = bench.append("x", old, 0, 1);
    assert_eq!(late, Err(ResponseError::InvalidProducerEpoch));
    bench.add("x", new, 0).unwrap();
    bench.append("x", new, 0, 0).unwrap();
    bench.transactions.end("x", new, true).unwrap();
    assert_eq!(bench.readable(0), (4, 1));
}

#[test]
fn only_the_present_holder_may_raise_its_own_epoch() {
    let bench = Bench::new();
    let old = bench.take_over("x");
    let new = bench.transactions.take_over("x", 60_000, Some(old)).unwrap();
    assert_eq!(new.epoch, old.epoch + 1);
    let refused = bench.transactions.take_over("x", 60_000, Some(old));
    assert_eq!(refused, Err(ResponseError::ProducerFenced));
}

#[test]
fn records_are_taken_only_in_a_transaction_that_holds_the_partition() {
    let bench = Bench::new();
    let who = bench.take_over("x");
    assert_eq!(bench.append("x", who, 0, 0), Err(ResponseError::InvalidTxnState));
    bench.add("x", who, 0).unwrap();
    assert_eq!(bench.append("x", who, 1, 0), Err(ResponseError::InvalidTxnState));
    bench.append("x", who, 0, 0).unwrap();
    bench.transactions.end("x", who, true).unwrap();
    assert_eq!(bench.append("x", who, 0, 1), Err(ResponseError::InvalidTxnState));
    let unknown = bench.append("y", who, 0, 1);
    assert_eq!(unknown, Err(ResponseError::InvalidProducerIdMapping));
    let nothing = bench.transactions.add_offsets("x", who, "g", vec![committed("t", 0, 5)]);
    assert_eq!(nothing, Err(ResponseError::InvalidTxnState));
}

#[test]
fn an_end_without_a_beginning_is_refused() {
    let bench = Bench::new();
    let who = bench.take_over("x");
    assert_eq!(bench.transactions.end("x", who, true), Err(ResponseError::InvalidTxnState));
    let unknown = bench.transactions.end("y", who, true);
    assert_eq!(unknown, Err(ResponseError::InvalidProducerIdMapping));
    let other = Identity { producer_id: who.producer_id + 1, ..who };
    let mapping = bench.transactions.end("x", other, true);
    assert_eq!(mapping, Err(ResponseError::InvalidProducerIdMapping));
}

#[test]
fn wishes_for_an_identity_are_checked() {
    let bench = Bench::new();
    let refused = |id, timeout_ms| bench.transactions.take_over(id, timeout_ms, None).err();
    assert_eq!(refused("", 1_000), Some(ResponseError::InvalidRequest));
    assert_eq!(refused("x", 0), Some(ResponseError::InvalidTransactionTimeout));
    assert_eq!(refused("x", 15 * 60_000 + 1), Some(ResponseError::InvalidTransactionTimeout));
    assert_eq!(refused("x", 15 * 60_000), None);
}

#[test]
fn a_transaction_that_takes_too_long_is_aborted() {
    let bench = Bench::new();
    let who = bench.begin("x");
    bench.clock.advance(Duration::from_millis(59_999));
    bench.transactions.tick();
    assert_eq!(bench.readable(0), (0, 0));
    bench.clock.advance(Duration::from_millis(1));
    bench.transactions.tick();
    assert_eq!((bench.readable(0), bench.committed("g")), ((2, 1), None));
    let late = bench.transactions.end("x", who, true);
    assert_eq!(late, Err(ResponseError::ProducerFenced));
}

#[test]
fn an_open_transaction_goes_on_after_a_restart() {
    let bench = Bench::new();
    let who = bench.begin("x");
    let bench = bench.restart();
    assert_eq!(bench.readable(0), (0, 0));
    bench.append("x", who, 0, 1).unwrap();
    bench.transactions.end("x", who, true).unwrap();
    assert_eq!((bench.readable(0), bench.committed("g")), ((3, 0), Some(5)));
    let bench = bench.restart();
    assert_eq!((bench.readable(0), bench.committed("g")), ((3, 0), Some(5)));
    assert_eq!(bench.take_over("x").epoch, who.epoch + 1);
}

#[test]
fn an_end_that_was_decided_is_carried_out_at_the_next_start() {
    for commits in [true, false] {
        let bench = Bench::new();
        let who = bench.begin("x");
        bench.add("x", who, 1).unwrap();
        bench.append("x", who, 1, 0).unwrap();
        // As if the broker had died after the decision and one of the two markers.
        {
            let mut inner = bench.transactions.inner.lock();
            let mut record = inner.records["x"].clone();
            record.state = State::Ending { is_commit: commits };
            inner.keep("x", record).unwrap();
        }
        assert_eq!(bench.add("x", who, 0), Err(ResponseError::ConcurrentTransactions));
        let partition = bench.catalog.partition("t", 0).unwrap();
        partition.end_transaction(who.producer_id, who.epoch, commits, 0).unwrap();
        drop(partition);

        let bench = bench.restart();
        let aborted = usize::from(!commits);
        assert_eq!((bench.readable(0), bench.readable(1)), ((2, aborted), (2, aborted)));
        assert_eq!(bench.committed("g"), commits.then_some(5));
        assert_eq!(bench.transactions.end("x", who, commits), Ok(()));
    }
}

#[test]
fn what_nobody_knows_of_is_aborted_at_the_next_start() {
    let bench = Bench::new();
    let records: Bytes = Sample::transactional(999, 0, 0).bytes();
    bench.catalog.partition("t", 0).unwrap().append(&records, RULES, NOW_MS).unwrap();
    assert_eq!(bench.readable(0), (0, 0));
    assert_eq!(bench.restart().readable(0), (2, 1));
}

#[test]
fn a_deleted_topic_does_not_keep_a_transaction_from_ending() {
    let bench = Bench::new();
    let who = bench.begin("x");
    bench.catalog.delete("t").unwrap();
    assert_eq!(bench.transactions.end("x", who, true), Ok(()));
}

#[test]
fn producer_ids_are_never_given_twice() {
    let mut bench = Bench::new();
    let mut given = Vec::new();
    for _ in 0..3 {
        given.extend((0..3).map(|_| bench.transactions.new_producer().unwrap().producer_id));
        given.push(bench.take_over("x").producer_id);
        bench = bench.restart();
    }
    let holder = given[3];
    given.retain(|id| *id != holder);
    let count = given.len();
    given.sort_unstable();
    given.dedup();
    assert_eq!((count, given.len()), (9, 9));
}

#[test]
fn an_epoch_that_cannot_rise_makes_a_new_producer_id() {
    let bench = Bench::new();
    let first = bench.take_over("x");
    {
        let mut inner = bench.transactions.inner.lock();
        let record = Record { epoch: EPOCH_MAX, ..inner.records["x"].clone() };
        inner.keep("x", record).unwrap();
    }
    let next = bench.take_over("x");
    assert_eq!(next.epoch, 0);
    assert_ne!(next.producer_id, first.producer_id);
    bench.transactions.sync().unwrap();
}

/// A transaction on both partitions whose commit was decided and then refused by the disk of the first.
fn decided() -> (Bench, Identity) {
    let bench = Bench::new();
    let who = bench.take_over("a");
    for partition in 0..2 {
        bench.add("a", who, partition).unwrap();
        bench.append("a", who, partition, 0).unwrap();
    }
    bench.catalog.partition("t", 0).unwrap().close();
    let refused = bench.transactions.end("a", who, true);
    assert_eq!(refused, Err(ResponseError::KafkaStorageError));
    (bench, who)
}

#[test]
fn a_successor_does_not_undo_what_was_decided() {
    let (bench, _) = decided();
    let refused = bench.transactions.take_over("a", 60_000, None);
    assert_eq!(refused, Err(ResponseError::KafkaStorageError));
    let bench = bench.restart();
    assert_eq!((bench.readable(0), bench.readable(1)), ((2, 0), (2, 0)), "committed, both");
    bench.take_over("a");
}

#[test]
fn what_was_decided_is_not_taken_for_unknown() {
    let (bench, _) = decided();
    bench.transactions.abort_unknown(&bench.transactions.inner.lock());
    assert_eq!(bench.readable(1), (0, 0), "still open");
    let bench = bench.restart();
    assert_eq!(bench.readable(1), (2, 0), "committed");
}
