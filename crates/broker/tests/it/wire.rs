//! What no well-behaved client sends, spoken byte by byte.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use kafka_protocol::ResponseError;
use kafka_protocol::messages::{
    AlterConfigsRequest, ApiKey, ApiVersionsRequest, ApiVersionsResponse, DescribeConfigsRequest,
    DescribeConfigsResponse, FetchRequest, IncrementalAlterConfigsRequest,
    IncrementalAlterConfigsResponse, ListOffsetsRequest, ListOffsetsResponse, MetadataRequest,
    MetadataResponse, OffsetDeleteRequest, OffsetDeleteResponse, ProduceRequest, ProduceResponse,
    RequestHeader, TopicName,
};
use kafka_protocol::messages::{BrokerId, GroupId};
use kafka_protocol::protocol::{Decodable, Encodable, StrBytes};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::{Bench, LIMIT};

struct Line {
    stream: TcpStream,
}

fn topic(name: &'static str) -> TopicName {
    TopicName(StrBytes::from_static_str(name))
}

impl Line {
    async fn to(bench: &Bench) -> Self {
        Self { stream: TcpStream::connect(bench.broker.address()).await.expect("connected") }
    }

    async fn send(&mut self, frame: &[u8]) {
        let length = i32::try_from(frame.len()).expect("short");
        self.stream.write_all(&length.to_be_bytes()).await.expect("sent");
        self.stream.write_all(frame).await.expect("sent");
    }

    /// The next answer without its correlation id; `None` if the broker hung up.
    async fn receive(&mut self) -> Option<Bytes> {
        let length = tokio::time::timeout(LIMIT, self.stream.read_i32()).await.expect("in time");
        let mut frame = vec![0; usize::try_from(length.ok()?).expect("a length")];
        self.stream.read_exact(&mut frame).await.expect("a frame");
        let mut frame = Bytes::from(frame);
        assert_eq!(frame.get_i32(), 7);
        Some(frame)
    }

    /// Speaks versions whose headers have no tags.
    async fn ask<Q: Encodable, A: Decodable>(&mut self, key: ApiKey, version: i16, body: &Q) -> A {
        let mut frame = BytesMut::new();
        RequestHeader::default()
            .with_request_api_key(key as i16)
            .with_request_api_version(version)
            .with_correlation_id(7)
            .encode(&mut frame, key.request_header_version(version))
            .expect("a header");
        body.encode(&mut frame, version).expect("a body");
        self.send(&frame).await;
        let mut answer = self.receive().await.expect("an answer");
        if key.response_header_version(version) == 1 {
            assert_eq!(answer.get_u8(), 0);
        }
        let decoded = A::decode(&mut answer, version).expect("decodes");
        assert!(answer.is_empty(), "all of it");
        decoded
    }
}

fn raw(key: i16, version: i16, rest: &[u8]) -> BytesMut {
    let mut frame = BytesMut::new();
    frame.put_i16(key);
    frame.put_i16(version);
    frame.put_i32(7);
    frame.put_i16(-1);
    frame.put_slice(rest);
    frame
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn garbage_closes_its_connection_and_no_other() {
    let bench = Bench::start().await;
    let mut witness = Line::to(&bench).await;
    let frames: [&[u8]; 8] = [
        b"",
        b"short",
        &raw(999, 0, b""),
        &raw(ApiKey::Produce as i16, 99, b""),
        &raw(ApiKey::Metadata as i16, 1, b"\0"),
        &raw(ApiKey::Fetch as i16, 4, &[255; 40]),
        // Arrays of two and of four billion topics.
        &raw(ApiKey::Metadata as i16, 1, &[127, 255, 255, 255]),
        &raw(ApiKey::Metadata as i16, 9, &[0, 255, 255, 255, 255, 15]),
    ];
    for frame in frames {
        let mut line = Line::to(&bench).await;
        line.send(frame).await;
        assert_eq!(line.receive().await, None, "{frame:?}");
    }
    let body = ApiVersionsRequest::default();
    let _: ApiVersionsResponse = witness.ask(ApiKey::ApiVersions, 3, &body).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_from_the_future_learns_what_is_offered() {
    let bench = Bench::start().await;
    let mut line = Line::to(&bench).await;
    line.send(&raw(ApiKey::ApiVersions as i16, 42, b"whatever")).await;
    let mut answer = line.receive().await.unwrap();
    let answer = ApiVersionsResponse::decode(&mut answer, 0).unwrap();
    assert_eq!(answer.error_code, ResponseError::UnsupportedVersion.code());
    let produce = answer.api_keys.iter().find(|it| it.api_key == ApiKey::Produce as i16).unwrap();
    assert!(produce.min_version <= 3 && produce.max_version >= 9);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn records_that_are_no_records_are_refused_one_by_one() {
    use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
    let bench = Bench::start().await;
    bench.create("refusing", 1, &[]).await;
    let mut line = Line::to(&bench).await;
    let request = |acks, index, records: &'static [u8]| {
        let partition = PartitionProduceData::default()
            .with_index(index)
            .with_records(Some(Bytes::from_static(records)));
        let topic = TopicProduceData::default()
            .with_name(topic("refusing"))
            .with_partition_data(vec![partition]);
        ProduceRequest::default().with_acks(acks).with_topic_data(vec![topic])
    };
    let cases = [
        (request(1, 0, b""), ResponseError::CorruptMessage),
        (request(1, 0, &[7; 100]), ResponseError::CorruptMessage),
        (request(1, 5, &[7; 100]), ResponseError::UnknownTopicOrPartition),
        (request(2, 0, &[7; 100]), ResponseError::InvalidRequiredAcks),
    ];
    for (request, error) in cases {
        let answer: ProduceResponse = line.ask(ApiKey::Produce, 8, &request).await;
        let partition = &answer.responses[0].partition_responses[0];
        assert_eq!((partition.error_code, partition.base_offset), (error.code(), -1));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_sent_together_are_answered_in_order_and_acks_0_not_at_all() {
    let bench = Bench::start().await;
    let mut line = Line::to(&bench).await;
    let mut silent = raw(ApiKey::Produce as i16, 3, b"");
    ProduceRequest::default().encode(&mut silent, 3).unwrap();
    let mut metadata = raw(ApiKey::Metadata as i16, 1, b"");
    MetadataRequest::default().with_topics(None).encode(&mut metadata, 1).unwrap();
    let mut together = BytesMut::new();
    for frame in [raw(ApiKey::ApiVersions as i16, 0, b""), silent, metadata] {
        together.put_i32(i32::try_from(frame.len()).unwrap());
        together.put_slice(&frame);
    }
    line.stream.write_all(&together).await.unwrap();
    let mut versions = line.receive().await.unwrap();
    assert!(!ApiVersionsResponse::decode(&mut versions, 0).unwrap().api_keys.is_empty());
    let mut metadata = line.receive().await.unwrap();
    let metadata = MetadataResponse::decode(&mut metadata, 1).unwrap();
    assert_eq!((metadata.brokers.len(), metadata.topics.len()), (1, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_version_of_metadata_is_answered() {
    let bench = Bench::start().await;
    bench.create("described", 3, &[]).await;
    let mut line = Line::to(&bench).await;
    for version in 0..=12 {
        let mut request = MetadataRequest::default().with_allow_auto_topic_creation(true);
        request.topics = if version == 0 { Some(Vec::new()) } else { None };
        let answer: MetadataResponse = line.ask(ApiKey::Metadata, version, &request).await;
        assert_eq!(answer.brokers[0].node_id, BrokerId(1), "version {version}");
        assert_eq!(answer.topics[0].partitions.len(), 3, "version {version}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unknown_partition_is_an_error_at_once() {
    use kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic};
    use kafka_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
    let bench = Bench::start().await;
    let unknown = ResponseError::UnknownTopicOrPartition.code();
    let mut line = Line::to(&bench).await;
    let fetch = FetchTopic::default()
        .with_topic(topic("nowhere"))
        .with_partitions(vec![FetchPartition::default().with_partition_max_bytes(1_000)]);
    let fetch = FetchRequest::default()
        .with_max_wait_ms(600_000)
        .with_min_bytes(1)
        .with_max_bytes(1_000)
        .with_topics(vec![fetch]);
    for version in 4..=12 {
        let answer: kafka_protocol::messages::FetchResponse =
            line.ask(ApiKey::Fetch, version, &fetch).await;
        assert_eq!(answer.responses[0].partitions[0].error_code, unknown, "version {version}");
    }
    let list = ListOffsetsTopic::default()
        .with_name(topic("nowhere"))
        .with_partitions(vec![ListOffsetsPartition::default()]);
    let list = ListOffsetsRequest::default().with_topics(vec![list]);
    let answer: ListOffsetsResponse = line.ask(ApiKey::ListOffsets, 5, &list).await;
    assert_eq!(answer.topics[0].partitions[0].error_code, unknown);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn settings_change_one_by_one_and_only_on_topics() {
    use kafka_protocol::messages::alter_configs_request;
    use kafka_protocol::messages::incremental_alter_configs_request::{
        AlterConfigsResource, AlterableConfig,
    };
    let bench = Bench::start().await;
    bench.create("changing", 1, &[("retention.ms", "5000")]).await;
    let mut line = Line::to(&bench).await;
    let text = StrBytes::from_static_str;
    let request = |kind, operation, name, value: Option<&'static str>| {
        let config = AlterableConfig::default()
            .with_name(text(name))
            .with_config_operation(operation)
            .with_value(value.map(text));
        let resource = AlterConfigsResource::default()
            .with_resource_type(kind)
            .with_resource_name(text("changing"))
            .with_configs(vec![config]);
        IncrementalAlterConfigsRequest::default().with_resources(vec![resource])
    };
    let invalid = ResponseError::InvalidConfig.code();
    let cases = [
        (request(2, 0, "segment.ms", Some("7")), 0),
        (request(2, 1, "retention.ms", None), 0),
        (request(2, 2, "cleanup.policy", Some("compact")), 0),
        (request(2, 3, "cleanup.policy", Some("delete")), 0),
        (request(2, 0, "segment.ms", None), invalid),
        (request(2, 2, "segment.ms", Some("7")), invalid),
        (request(2, 9, "segment.ms", Some("7")), ResponseError::InvalidRequest.code()),
        (request(4, 0, "num.partitions", Some("7")), ResponseError::InvalidRequest.code()),
    ];
    for (request, code) in cases {
        let answer: IncrementalAlterConfigsResponse =
            line.ask(ApiKey::IncrementalAlterConfigs, 0, &request).await;
        assert_eq!(answer.responses[0].error_code, code, "{request:?}");
    }
    let broker = alter_configs_request::AlterConfigsResource::default().with_resource_type(4);
    let replace = AlterConfigsRequest::default().with_resources(vec![broker]);
    let answer: kafka_protocol::messages::AlterConfigsResponse =
        line.ask(ApiKey::AlterConfigs, 0, &replace).await;
    assert_eq!(answer.responses[0].error_code, ResponseError::InvalidRequest.code());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_not_there_cannot_be_described() {
    use kafka_protocol::messages::describe_configs_request::DescribeConfigsResource;
    let bench = Bench::start().await;
    let mut line = Line::to(&bench).await;
    let cases = [
        (2, "nowhere", ResponseError::UnknownTopicOrPartition),
        (4, "2", ResponseError::InvalidRequest),
        (8, "logger", ResponseError::InvalidRequest),
    ];
    for (kind, name, error) in cases {
        let resource = DescribeConfigsResource::default()
            .with_resource_type(kind)
            .with_resource_name(StrBytes::from_static_str(name));
        let request = DescribeConfigsRequest::default().with_resources(vec![resource]);
        let answer: DescribeConfigsResponse = line.ask(ApiKey::DescribeConfigs, 1, &request).await;
        assert_eq!(answer.results[0].error_code, error.code(), "{name}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn offsets_of_an_unknown_group_cannot_be_deleted() {
    let bench = Bench::start().await;
    let mut line = Line::to(&bench).await;
    let group = GroupId(StrBytes::from_static_str("unknown"));
    let request = OffsetDeleteRequest::default().with_group_id(group);
    let answer: OffsetDeleteResponse = line.ask(ApiKey::OffsetDelete, 0, &request).await;
    assert_eq!(answer.error_code, ResponseError::GroupIdNotFound.code());
}
