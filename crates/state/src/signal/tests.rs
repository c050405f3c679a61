//! Batches come back; foreign bytes are refused.

use proptest::prelude::*;

use super::*;
use crate::sample::cases;

fn what() -> impl Strategy<Value = What> {
    let count = ("[a-z0-9é]{0,12}", 0..10_u8, any::<bool>(), any::<bool>()).prop_map(
        |(id, code, is_repeat, opens_session)| {
            let kind = EventType::from_code(code).unwrap();
            What::Count { item_id: Arc::from(id), kind, is_repeat, opens_session }
        },
    );
    let pair = (any::<u64>(), 1..=5_u8, any::<bool>()).prop_map(|(other, distance, backward)| {
        let direction = if backward { Direction::Backward } else { Direction::Forward };
        What::Pair { other: ItemHash(other), distance, direction }
    });
    prop_oneof![count, pair]
}

fn entry() -> impl Strategy<Value = SignalEntry> {
    (0..i64::MAX, any::<u32>(), any::<u64>(), any::<i64>(), what()).prop_map(
        |(offset, index, item, time_ms, what)| {
            let index = index >> 1;
            SignalEntry { offset, index, signal: Signal { item: ItemHash(item), time_ms, what } }
        },
    )
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn batches_come_back(
        source_partition: i32,
        entries in proptest::collection::vec(entry(), 0..20),
        source_epoch in 0..u32::MAX / 2,
    ) {
        let batch = SignalBatch { source_partition, entries, source_epoch };
        prop_assert_eq!(SignalBatch::decode(&batch.encode()), Ok(batch));
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        drop(SignalBatch::decode(&bytes));
    }

    #[test]
    fn a_cut_batch_is_refused(entries in proptest::collection::vec(entry(), 1..5), cut in 2..40_usize) {
        let bytes = SignalBatch { source_partition: 3, entries, source_epoch: 0 }.encode();
        let kept = bytes.len().saturating_sub(cut);
        prop_assert!(SignalBatch::decode(&bytes[..kept]).is_err());
    }
}

/// The same bytes an Avro library writes for the schema in the module's words.
#[test]
fn the_bytes_are_avro() {
    let what = What::Count {
        item_id: Arc::from("ab"),
        kind: EventType::ItemLiked,
        is_repeat: true,
        opens_session: false,
    };
    let count = Signal { item: ItemHash(1), time_ms: 64, what };
    let what =
        What::Pair { other: ItemHash(u64::MAX), distance: 5, direction: Direction::Backward };
    let pair = Signal { item: ItemHash(2), time_ms: -1, what };
    let entries = [(7, 0, count), (7, 1, pair)].map(|(offset, index, signal)| SignalEntry {
        offset,
        index,
        signal,
    });
    let bytes =
        SignalBatch { source_partition: 2, entries: entries.into(), source_epoch: 1 }.encode();
    let expected = [
        4, 4, // partition 2, two entries
        14, 0, 2, 128, 1, 0, 4, b'a', b'b', 6, 1,
        0, // offset 7, index 0, item 1, time 64, Count
        14, 2, 4, 1, 2, 1, 10, 1, // offset 7, index 1, item 2, time -1, Pair
        0, 2, // the end of the entries, epoch 1
    ];
    assert_eq!(bytes, expected);
    // As it was written before there were epochs.
    let before = SignalBatch::decode(&expected[..expected.len() - 1]).unwrap();
    assert_eq!((before.entries.len(), before.source_epoch), (2, 0));
}

#[track_caller]
fn check(bytes: &[u8], expected: DecodeError) {
    assert_eq!(SignalBatch::decode(bytes), Err(expected));
}

#[test]
fn blocks_with_a_size_are_read_and_nonsense_is_refused() {
    // One block of -1 entries announces its size (8 bytes), as some Avro writers do.
    let sized = [0, 1, 16, 14, 2, 4, 1, 2, 1, 10, 1, 0];
    assert_eq!(SignalBatch::decode(&sized).unwrap().entries.len(), 1);
    check(&[0, 0xfe, 0xff, 0xff, 0x0f, 0], DecodeError::Range("entries"));
    check(&[0, 2, 14, 2, 4, 1, 4], DecodeError::Range("union branch"));
    check(&[0, 2, 14, 1, 4, 1, 4], DecodeError::Range("entry index"));
    check(&[0, 2, 14, 2, 4, 1, 2, 1, 10, 9], DecodeError::Range("a boolean"));
    check(&[0, 2, 14, 2, 4, 1, 0, 0, 40, 0, 0, 0], DecodeError::Range("event type"));
    check(&[0, 0, 0, 0], DecodeError::Trailing(1));
    check(&[0, 0, 1], DecodeError::Range("an epoch"));
}
