//! Writes, ends of transactions, cleaning and restarts in any order.

use proptest::prelude::*;

use super::*;

#[derive(Clone, Debug)]
enum Step {
    /// A key, a value or a tombstone, a producer, a codec.
    Write(u8, Option<u8>, i64, usize),
    End(i64, bool),
    Clean,
    Reopen,
    Wait,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        12 => (0..6_u8, proptest::option::weighted(0.8, any::<u8>()), prop_oneof![Just(-1), 1..4_i64], 0..5_usize)
            .prop_map(|(key, value, producer, codec)| Step::Write(key, value, producer, codec)),
        3 => (1..4_i64, any::<bool>()).prop_map(|(producer, commits)| Step::End(producer, commits)),
        2 => Just(Step::Clean),
        1 => Just(Step::Reopen),
        1 => Just(Step::Wait),
    ]
}

/// Takes the steps; whatever they are, what committed-only readers come to know is the same before and after cleaning.
fn run(steps: Vec<Step>) {
    let codecs = [
        Compression::None,
        Compression::Gzip,
        Compression::Snappy,
        Compression::Lz4,
        Compression::Zstd,
    ];
    let mut kept = Kept::new(Keeping { segment_bytes: 400, ..KEEPING });
    for step in steps {
        match step {
            Step::Write(key, value, producer, codec) => {
                let value = value.map(|value| value.to_string());
                kept.write(producer, codecs[codec], &[(&key.to_string(), value.as_deref())]);
            }
            Step::End(producer, commits) => {
                let is_open = kept.partition.open_transactions().iter().any(|it| it.0 == producer);
                if is_open {
                    kept.partition.end_transaction(producer, 0, commits, kept.now_ms).unwrap();
                }
            }
            Step::Clean => {
                let before = kept.state();
                kept.clean_all();
                assert_eq!(kept.state(), before);
            }
            Step::Reopen => {
                let (before, bounds) = (kept.state(), kept.partition.bounds());
                let open = kept.partition.open_transactions();
                kept.reopen();
                assert_eq!(kept.partition.bounds(), bounds);
                assert_eq!(kept.partition.open_transactions(), open);
                assert_eq!(kept.state(), before);
            }
            Step::Wait => kept.now_ms += 6_000,
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn whatever_happens_cleaning_changes_nothing_that_is_known(
        steps in proptest::collection::vec(step(), 1..60),
    ) {
        run(steps);
    }
}

#[test]
fn a_segment_that_was_emptied_does_not_hold_readers_up() {
    let write = |key, value, producer| Step::Write(key, value, producer, 0);
    run(vec![
        write(2, Some(0), -1),
        write(1, Some(0), -1),
        write(0, None, 3),
        Step::Clean,
        write(3, Some(1), -1),
        write(0, Some(65), -1),
        Step::End(3, false),
        Step::Clean,
        write(0, Some(124), 3),
        write(3, None, 1),
        write(5, None, 2),
        write(5, Some(201), -1),
        Step::End(1, true),
        Step::Wait,
        write(0, Some(93), -1),
        Step::Wait,
        Step::Clean,
        Step::End(2, true),
        Step::End(3, false),
        write(3, None, 1),
        Step::Clean,
    ]);
}
