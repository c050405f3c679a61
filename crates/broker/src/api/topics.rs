//! Making, growing and deleting topics, and deleting records.

use kafka_protocol::ResponseError;
use kafka_protocol::messages::create_partitions_response::CreatePartitionsTopicResult;
use kafka_protocol::messages::create_topics_request::CreatableTopic;
use kafka_protocol::messages::create_topics_response::CreatableTopicResult;
use kafka_protocol::messages::delete_records_response::{
    DeleteRecordsPartitionResult, DeleteRecordsTopicResult,
};
use kafka_protocol::messages::delete_topics_response::DeletableTopicResult;
use kafka_protocol::messages::{
    CreatePartitionsRequest, CreatePartitionsResponse, CreateTopicsRequest, CreateTopicsResponse,
    DeleteRecordsRequest, DeleteRecordsResponse, DeleteTopicsRequest, DeleteTopicsResponse,
};
use uuid::Uuid;

use super::code;
use crate::catalog::Settings;
use crate::node::{Node, text};

pub(super) fn create(node: &Node, request: CreateTopicsRequest) -> CreateTopicsResponse {
    let topics = request.topics.into_iter().map(|topic| {
        let made = create_one(node, &topic, request.validate_only);
        let answer = CreatableTopicResult::default().with_name(topic.name);
        match made {
            Ok((id, partitions)) => answer
                .with_topic_id(id)
                .with_num_partitions(partitions)
                .with_replication_factor(1)
                .with_configs(Some(Vec::new())),
            Err(error) => answer
                .with_error_code(error.code())
                .with_error_message(Some(text(error.to_string()))),
        }
    });
    CreateTopicsResponse::default().with_topics(topics.collect())
}

fn create_one(
    node: &Node,
    topic: &CreatableTopic,
    is_trial: bool,
) -> Result<(Uuid, i32), ResponseError> {
    let partitions = match (topic.assignments.len(), topic.num_partitions) {
        (0, -1) => node.config.default_partitions,
        (0, partitions) => partitions,
        (assigned, _) => i32::try_from(assigned).map_err(|_| ResponseError::InvalidPartitions)?,
    };
    if !matches!(topic.replication_factor, -1 | 1) {
        return Err(ResponseError::InvalidReplicationFactor);
    }
    let mut settings = Settings::default();
    for config in &topic.configs {
        match &config.value {
            Some(value) => settings.set(&config.name, value)?,
            None => settings.clear(&config.name)?,
        }
    }
    if is_trial {
        node.catalog.check_new(&topic.name, partitions)?;
        return Ok((Uuid::nil(), partitions));
    }
    let made = node.catalog.create(&topic.name, partitions, settings)?;
    Ok((made.id(), partitions))
}

pub(super) fn delete(node: &Node, request: DeleteTopicsRequest) -> DeleteTopicsResponse {
    let responses = request.topic_names.into_iter().map(|name| {
        let deleted = node.catalog.delete(&name);
        if deleted.is_ok() {
            node.groups.forget_topic(&name);
        }
        DeletableTopicResult::default().with_name(Some(name)).with_error_code(code(&deleted))
    });
    DeleteTopicsResponse::default().with_responses(responses.collect())
}

pub(super) fn grow(node: &Node, request: CreatePartitionsRequest) -> CreatePartitionsResponse {
    let results = request.topics.into_iter().map(|topic| {
        let grown = if request.validate_only {
            node.catalog.check_growth(&topic.name, topic.count)
        } else {
            node.catalog.grow(&topic.name, topic.count)
        };
        CreatePartitionsTopicResult::default().with_name(topic.name).with_error_code(code(&grown))
    });
    CreatePartitionsResponse::default().with_results(results.collect())
}

pub(super) fn delete_records(node: &Node, request: DeleteRecordsRequest) -> DeleteRecordsResponse {
    let topics = request.topics.into_iter().map(|topic| {
        let partitions = topic.partitions.iter().map(|asked| {
            let index = asked.partition_index;
            let start = node.catalog.delete_records(&topic.name, index, asked.offset);
            DeleteRecordsPartitionResult::default()
                .with_partition_index(index)
                .with_error_code(code(&start))
                .with_low_watermark(start.unwrap_or(-1))
        });
        let partitions = partitions.collect();
        DeleteRecordsTopicResult::default().with_partitions(partitions).with_name(topic.name)
    });
    DeleteRecordsResponse::default().with_topics(topics.collect())
}
