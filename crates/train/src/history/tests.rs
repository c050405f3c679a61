//! Reading positions and passing over what cannot be read. The read from a real broker stands in `tests/it.rs`.

use bytes::Bytes;

use super::*;

fn record(headers: &[(&str, &str)]) -> Record {
    let headers = headers
        .iter()
        .map(|(name, value)| ((*name).to_owned(), Some(Bytes::copy_from_slice(value.as_bytes()))));
    Record {
        topic: Arc::from("t"),
        partition: 1,
        offset: 9,
        timestamp_ms: 5,
        key: None,
        value: None,
        headers: headers.collect(),
    }
}

#[test]
fn the_source_is_read_from_the_headers_or_not_at_all() {
    let whole = record(&[(SOURCE_PARTITION, "3"), (SOURCE_OFFSET, "17")]);
    assert_eq!(source(&whole), Some((0, 3, 17)));
    let later = [(SOURCE_EPOCH, "2"), (SOURCE_PARTITION, "3"), (SOURCE_OFFSET, "17")];
    assert_eq!(source(&record(&later)), Some((2, 3, 17)));
    for broken in [
        record(&[]),
        record(&[(SOURCE_PARTITION, "3")]),
        record(&[(SOURCE_PARTITION, "x"), (SOURCE_OFFSET, "17")]),
    ] {
        assert_eq!(source(&broken), None);
    }
}
