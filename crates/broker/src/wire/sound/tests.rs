//! Lengths that cannot be true, at every place a request has one.

use bytes::{BufMut, BytesMut};
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use kafka_protocol::messages::{FetchRequest, MetadataRequest, ProduceRequest, TopicName};
use kafka_protocol::protocol::{Decodable, Encodable, StrBytes};
use proptest::prelude::*;

use super::*;

fn sounds<T: Decodable>(body: &[u8], version: i16) -> bool {
    T::decode(&mut Sounding::new(Bytes::copy_from_slice(body)), version).is_ok()
}

fn name() -> TopicName {
    TopicName(StrBytes::from_static_str("topic"))
}

#[test]
fn an_array_longer_than_its_request_is_refused() {
    for length in [6, 1_000, i32::MAX] {
        let mut body = BytesMut::new();
        body.put_i32(length);
        body.put_slice(b"\0\x01a\0\0");
        assert!(!sounds::<MetadataRequest>(&body, 1), "{length}");
    }
    let compact: [&[u8]; 3] = [b"\xff\xff\xff\xff\x0f", b"\xff\xff\xff\xff\xff\xff", b"\xc8\x01\0"];
    for body in compact {
        assert!(!sounds::<MetadataRequest>(body, 9), "{body:?}");
    }
}

#[test]
fn what_clients_send_passes_in_every_version() {
    let partition = PartitionProduceData::default()
        .with_index(i32::MAX)
        .with_records(Some(Bytes::from(vec![0xff; 5_000])));
    let topic = TopicProduceData::default().with_name(name()).with_partition_data(vec![partition]);
    let produce = ProduceRequest::default()
        .with_acks(-1)
        .with_timeout_ms(i32::MAX)
        .with_topic_data(vec![topic]);
    for version in 3..=9 {
        let mut body = BytesMut::new();
        produce.encode(&mut body, version).unwrap();
        assert!(sounds::<ProduceRequest>(&body, version), "produce {version}");
    }
    let fetch = FetchRequest::default().with_max_wait_ms(i32::MAX).with_max_bytes(i32::MAX);
    for version in 4..=12 {
        let mut body = BytesMut::new();
        fetch.encode(&mut body, version).unwrap();
        assert!(sounds::<FetchRequest>(&body, version), "fetch {version}");
    }
    let topics = vec![MetadataRequestTopic::default().with_name(Some(name())); 300];
    let metadata = MetadataRequest::default().with_topics(Some(topics));
    for version in 4..=12 {
        let mut body = BytesMut::new();
        metadata.encode(&mut body, version).unwrap();
        assert!(sounds::<MetadataRequest>(&body, version), "metadata {version}");
    }
}

proptest! {
    #[test]
    fn whatever_passes_decodes_to_something_no_longer_than_itself(
        body in proptest::collection::vec(any::<u8>(), 0..60),
        version in 0..=12_i16,
    ) {
        if sounds::<MetadataRequest>(&body, version) {
            let decoded = MetadataRequest::decode(&mut Bytes::from(body.clone()), version).unwrap();
            prop_assert!(decoded.topics.is_none_or(|topics| topics.len() <= body.len()));
        }
    }
}
