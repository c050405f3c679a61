//! What there is: calls and versions, the broker, topics and partitions.

use std::sync::Arc;

use kafka_protocol::ResponseError;
use kafka_protocol::messages::api_versions_response::ApiVersion;
use kafka_protocol::messages::describe_cluster_response::DescribeClusterBroker;
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::metadata_response::{
    MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic,
};
use kafka_protocol::messages::{
    ApiVersionsResponse, DescribeClusterResponse, MetadataRequest, MetadataResponse, TopicName,
};

use crate::catalog::{Settings, Topic, check_name};
use crate::node::{NODE_ID, Node, text};
use crate::wire::{Answer, Call, Request};

/// A client that asks in a version too new is answered in the oldest, with the error and the list.
pub(super) fn versions(request: &Request) -> Answer {
    let api_versions = Call::ALL.iter().map(|call| {
        let (min, max) = call.versions();
        ApiVersion::default().with_api_key(call.code()).with_min_version(min).with_max_version(max)
    });
    let answer = ApiVersionsResponse::default().with_api_keys(api_versions.collect());
    if Call::ApiVersions.offers(request.version) {
        return request.answer(&answer);
    }
    let error = ResponseError::UnsupportedVersion.code();
    request.answer_as(&answer.with_error_code(error), 0)
}

pub(super) fn metadata(node: &Node, version: i16, request: MetadataRequest) -> MetadataResponse {
    let may_create = request.allow_auto_topic_creation || version < 4;
    let topics = match request.topics {
        Some(asked) if !(asked.is_empty() && version == 0) => {
            asked.into_iter().map(|topic| describe_asked(node, topic, may_create)).collect()
        }
        Some(_) | None => {
            let all = node.catalog.all();
            all.into_iter().map(|(name, topic)| describe(name, &topic)).collect()
        }
    };
    let broker = MetadataResponseBroker::default()
        .with_node_id(NODE_ID)
        .with_host(node.host())
        .with_port(node.port());
    MetadataResponse::default()
        .with_brokers(vec![broker])
        .with_cluster_id(Some(text(node.catalog.cluster_id().to_string())))
        .with_controller_id(NODE_ID)
        .with_topics(topics)
}

fn describe_asked(
    node: &Node,
    asked: MetadataRequestTopic,
    may_create: bool,
) -> MetadataResponseTopic {
    let Some(name) = asked.name.map(|name| name.to_string()) else {
        let mut all = node.catalog.all().into_iter();
        return match all.find(|(_, topic)| topic.id() == asked.topic_id) {
            Some((name, topic)) => describe(name, &topic),
            None => MetadataResponseTopic::default()
                .with_topic_id(asked.topic_id)
                .with_name(Some(TopicName::default()))
                .with_error_code(ResponseError::UnknownTopicId.code()),
        };
    };
    match find_or_create(node, &name, may_create && node.config.auto_create_topics) {
        Ok(topic) => describe(name, &topic),
        Err(error) => MetadataResponseTopic::default()
            .with_name(Some(TopicName(text(name))))
            .with_error_code(error.code()),
    }
}

fn find_or_create(node: &Node, name: &str, may_create: bool) -> Result<Arc<Topic>, ResponseError> {
    check_name(name)?;
    match node.catalog.topic(name) {
        Err(ResponseError::UnknownTopicOrPartition) if may_create => {
            match node.catalog.create(name, node.config.default_partitions, Settings::default()) {
                Err(ResponseError::TopicAlreadyExists) => node.catalog.topic(name),
                made => made,
            }
        }
        found => found,
    }
}

fn describe(name: String, topic: &Topic) -> MetadataResponseTopic {
    let partition = |index| {
        MetadataResponsePartition::default()
            .with_partition_index(index)
            .with_leader_id(NODE_ID)
            .with_leader_epoch(0)
            .with_replica_nodes(vec![NODE_ID])
            .with_isr_nodes(vec![NODE_ID])
    };
    MetadataResponseTopic::default()
        .with_name(Some(TopicName(text(name))))
        .with_topic_id(topic.id())
        .with_partitions((0..topic.partition_count()).map(partition).collect())
}

pub(super) fn describe_cluster(node: &Node) -> DescribeClusterResponse {
    let broker = DescribeClusterBroker::default()
        .with_broker_id(NODE_ID)
        .with_host(node.host())
        .with_port(node.port());
    DescribeClusterResponse::default()
        .with_cluster_id(text(node.catalog.cluster_id().to_string()))
        .with_controller_id(NODE_ID)
        .with_brokers(vec![broker])
}
