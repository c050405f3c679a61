//! What is left of batches of every codec, read again by a foreign decoder.

use bytes::Bytes;
use kafka_protocol::records::{Compression, Record as Decoded, RecordBatchDecoder};

use super::*;
use crate::batch::tests::{Keyed, header, keyed};

const CODECS: [Compression; 5] = [
    Compression::None,
    Compression::Gzip,
    Compression::Snappy,
    Compression::Lz4,
    Compression::Zstd,
];

fn decode(batch: &Bytes) -> Vec<Decoded> {
    RecordBatchDecoder::decode(&mut batch.clone()).unwrap().records
}

fn thin(batch: &Bytes, keep: impl Fn(&Record<'_>) -> bool, keep_empty: bool) -> Thinned {
    Thinning { keep, horizon_ms: 9_000, keep_empty }.apply(&header(batch), batch)
}

#[track_caller]
fn part(thinned: Thinned) -> Bytes {
    match thinned {
        Thinned::Part(part) => part,
        Thinned::Whole | Thinned::Nothing => panic!("{thinned:?}"),
    }
}

fn sample(compression: Compression) -> Bytes {
    let records: Vec<Keyed> = (0..5)
        .map(|at| Keyed {
            key: Some(format!("k{at}")),
            value: Some(format!("v{at}")),
            timestamp_ms: 100 + at,
        })
        .collect();
    keyed(compression, &records)
}

#[test]
fn what_is_kept_is_what_it_was_in_every_codec() {
    for codec in CODECS {
        let batch = sample(codec);
        let old = header(&batch);
        let left = part(thin(&batch, |record| record.offset % 2 == 1, false));
        let new = header(&left);
        assert!(new.matches(&left), "{codec:?}");
        let same = (old.base_offset, old.last_offset(), old.base_timestamp, old.attributes);
        let now = (new.base_offset, new.last_offset(), new.base_timestamp, new.attributes);
        assert_eq!(now, same, "{codec:?}");
        assert_eq!((new.record_count, new.max_timestamp), (2, 103));
        let kept: Vec<Decoded> =
            decode(&batch).into_iter().filter(|it| it.offset % 2 == 1).collect();
        assert_eq!(decode(&left), kept, "{codec:?}");
    }
}

#[test]
fn all_is_all_and_nothing_is_nothing_or_an_empty_batch() {
    for codec in CODECS {
        let batch = sample(codec);
        assert_eq!(thin(&batch, |_| true, false), Thinned::Whole);
        assert_eq!(thin(&batch, |_| false, false), Thinned::Nothing);
        let empty = part(thin(&batch, |_| false, true));
        let (old, new) = (header(&batch), header(&empty));
        assert_eq!(empty.len(), HEADER_BYTES);
        assert!(new.matches(&empty));
        assert_eq!((new.record_count, new.last_offset()), (0, old.last_offset()));
        assert_eq!((new.last_sequence(), new.attributes & CODEC), (old.last_sequence(), 0));
        assert_eq!(thin(&empty, |_| true, true), Thinned::Whole, "thinned twice");
    }
}

#[test]
fn tombstones_get_a_horizon_once_and_keep_their_times() {
    for codec in CODECS {
        let records = [
            Keyed { key: Some("a".to_owned()), value: None, timestamp_ms: 500 },
            Keyed { key: Some("b".to_owned()), value: Some("x".to_owned()), timestamp_ms: 700 },
        ];
        let batch = keyed(codec, &records);
        assert_eq!(header(&batch).delete_horizon_ms(), None);
        let marked = part(thin(&batch, |_| true, false));
        assert_eq!(header(&marked).delete_horizon_ms(), Some(9_000));
        let times: Vec<i64> = decode(&marked).iter().map(|record| record.timestamp).collect();
        assert_eq!(times, [500, 700], "{codec:?}");
        assert_eq!(thin(&marked, |_| true, false), Thinned::Whole, "a horizon is set once");
        let left = part(thin(&marked, |record| record.has_value, false));
        assert_eq!(decode(&left)[0].timestamp, 700);
        assert_eq!(decode(&left)[0].key.as_deref(), Some(&b"b"[..]));
    }
}

#[test]
fn markers_get_a_horizon_and_still_say_how_it_ended() {
    for commits in [true, false] {
        let marker = crate::batch::end_marker(5, 3, commits, 1_234).freeze();
        let marked = part(thin(&marker, |_| true, false));
        assert_eq!(header(&marked).delete_horizon_ms(), Some(9_000));
        assert!(marked.len() <= crate::batch::CONTROL_BATCH_BYTES);
        assert_eq!(crate::batch::is_commit(&marked), commits);
        assert_eq!(decode(&marked)[0].key, decode(&marker)[0].key);
    }
}

#[test]
fn what_cannot_be_looked_into_stays_whole() {
    let batch = sample(Compression::None);
    // The length of the first record, and of its key.
    for damage in [HEADER_BYTES, HEADER_BYTES + 4] {
        let mut bad = BytesMut::from(&batch[..]);
        bad[damage] = 0x7e;
        let bad = bad.freeze();
        assert_eq!(thin(&bad, |_| false, false), Thinned::Whole, "byte {damage}");
    }
    let mut unknown = BytesMut::from(&batch[..]);
    unknown[CHECKED_FROM + 1] |= 0x07;
    assert_eq!(thin(&unknown.freeze(), |_| false, false), Thinned::Whole);
}

#[test]
fn a_horizon_goes_with_the_last_that_it_was_about() {
    for codec in CODECS {
        let records = [
            Keyed { key: Some("a".to_owned()), value: None, timestamp_ms: 500 },
            Keyed { key: Some("b".to_owned()), value: Some("x".to_owned()), timestamp_ms: 700 },
        ];
        let marked = part(thin(&keyed(codec, &records), |_| true, false));
        assert_eq!(thin(&marked, |_| true, false), Thinned::Whole, "it still has its tombstone");
        let left = part(thin(&marked, |record| record.has_value, false));
        assert!(header(&left).matches(&left));
        assert_eq!(header(&left).delete_horizon_ms(), None, "{codec:?}");
        let times: Vec<i64> = decode(&left).iter().map(|record| record.timestamp).collect();
        assert_eq!(times, [700], "{codec:?}");
        assert_eq!(thin(&left, |_| true, false), Thinned::Whole, "nothing is left to be done");
        let empty = part(thin(&marked, |_| false, true));
        assert_eq!(header(&empty).delete_horizon_ms(), None);
        assert_eq!(thin(&empty, |_| true, true), Thinned::Whole);
    }
}
