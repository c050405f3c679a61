//! Producers' identities and transactions.

use kafka_protocol::ResponseError;
use kafka_protocol::messages::add_partitions_to_txn_response::{
    AddPartitionsToTxnPartitionResult, AddPartitionsToTxnTopicResult,
};
use kafka_protocol::messages::txn_offset_commit_response::{
    TxnOffsetCommitResponsePartition, TxnOffsetCommitResponseTopic,
};
use kafka_protocol::messages::{
    AddOffsetsToTxnRequest, AddOffsetsToTxnResponse, AddPartitionsToTxnRequest,
    AddPartitionsToTxnResponse, EndTxnRequest, EndTxnResponse, InitProducerIdRequest,
    InitProducerIdResponse, ProducerId, TxnOffsetCommitRequest, TxnOffsetCommitResponse,
};

use super::code;
use crate::group::Speaker;
use crate::groups::check_metadata;
use crate::node::Node;
use crate::offsets::Committed;
use crate::transactions::Identity;

pub(super) fn init(
    node: &Node,
    version: i16,
    request: &InitProducerIdRequest,
) -> InitProducerIdResponse {
    let was = Identity { producer_id: request.producer_id.0, epoch: request.producer_epoch };
    let was = (was.producer_id >= 0).then_some(was);
    let who = match request.transactional_id.as_ref() {
        None => node.transactions.new_producer(),
        Some(id) => node.transactions.take_over(id, request.transaction_timeout_ms, was),
    };
    let answer = InitProducerIdResponse::default();
    match who.map_err(|error| fenced_as_of(error, version >= 4)) {
        Ok(who) => {
            answer.with_producer_id(ProducerId(who.producer_id)).with_producer_epoch(who.epoch)
        }
        Err(error) => answer
            .with_error_code(error.code())
            .with_producer_id(ProducerId(-1))
            .with_producer_epoch(-1),
    }
}

/// Older clients know a fenced producer by its epoch only.
fn fenced_as_of(error: ResponseError, knows_fencing: bool) -> ResponseError {
    if error == ResponseError::ProducerFenced && !knows_fencing {
        return ResponseError::InvalidProducerEpoch;
    }
    error
}

/// All partitions or, if one is unknown, none.
pub(super) fn add_partitions(
    node: &Node,
    version: i16,
    request: AddPartitionsToTxnRequest,
) -> AddPartitionsToTxnResponse {
    let topics = request.v3_and_below_topics;
    let asked = || {
        topics
            .iter()
            .flat_map(|topic| topic.partitions.iter().map(|index| (topic.name.to_string(), *index)))
    };
    let is_known = |topic: &str, index: i32| node.catalog.partition(topic, index).map(|_| ());
    let all_known = asked().all(|(topic, index)| is_known(&topic, index).is_ok());
    let added = if all_known {
        let id = &request.v3_and_below_transactional_id;
        let who = Identity {
            producer_id: request.v3_and_below_producer_id.0,
            epoch: request.v3_and_below_producer_epoch,
        };
        node.transactions.add_partitions(id, who, asked())
    } else {
        Err(ResponseError::OperationNotAttempted)
    };
    let added = added.map_err(|error| fenced_as_of(error, version >= 2));
    let results = topics.iter().map(|topic| {
        let partitions = topic.partitions.iter().map(|index| {
            let result = is_known(&topic.name, *index).and(added);
            AddPartitionsToTxnPartitionResult::default()
                .with_partition_index(*index)
                .with_partition_error_code(code(&result))
        });
        AddPartitionsToTxnTopicResult::default()
            .with_name(topic.name.clone())
            .with_results_by_partition(partitions.collect())
    });
    AddPartitionsToTxnResponse::default().with_results_by_topic_v3_and_below(results.collect())
}

pub(super) fn add_group(
    node: &Node,
    version: i16,
    request: &AddOffsetsToTxnRequest,
) -> AddOffsetsToTxnResponse {
    let who = Identity { producer_id: request.producer_id.0, epoch: request.producer_epoch };
    let added = node.transactions.add_group(&request.transactional_id, who);
    let added = added.map_err(|error| fenced_as_of(error, version >= 2));
    AddOffsetsToTxnResponse::default().with_error_code(code(&added))
}

pub(super) fn end(node: &Node, version: i16, request: &EndTxnRequest) -> EndTxnResponse {
    let who = Identity { producer_id: request.producer_id.0, epoch: request.producer_epoch };
    let ended = node.transactions.end(&request.transactional_id, who, request.committed);
    let ended = ended.map_err(|error| fenced_as_of(error, version >= 2));
    EndTxnResponse::default().with_error_code(code(&ended))
}

/// All offsets or none.
pub(super) fn add_offsets(node: &Node, request: TxnOffsetCommitRequest) -> TxnOffsetCommitResponse {
    let added = code(&keep_offsets(node, &request));
    let topics = request.topics.into_iter().map(|topic| {
        let partitions = topic.partitions.iter().map(|partition| {
            TxnOffsetCommitResponsePartition::default()
                .with_partition_index(partition.partition_index)
                .with_error_code(added)
        });
        let partitions = partitions.collect();
        TxnOffsetCommitResponseTopic::default().with_partitions(partitions).with_name(topic.name)
    });
    TxnOffsetCommitResponse::default().with_topics(topics.collect())
}

fn keep_offsets(node: &Node, request: &TxnOffsetCommitRequest) -> Result<(), ResponseError> {
    let speaker = Speaker {
        member_id: &request.member_id,
        instance_id: request.group_instance_id.as_deref(),
        generation: request.generation_id,
    };
    // Producers that know nothing of the group's rounds name no generation.
    if speaker.generation >= 0 {
        let now = node.config.clock.instant();
        node.groups.with(&request.group_id, |group| group.may_commit(speaker, now))??;
    }
    let who = Identity { producer_id: request.producer_id.0, epoch: request.producer_epoch };
    let mut offsets = Vec::new();
    for topic in &request.topics {
        for asked in &topic.partitions {
            node.catalog.partition(&topic.name, asked.partition_index)?;
            let metadata = asked.committed_metadata.as_deref().unwrap_or_default();
            check_metadata(metadata)?;
            offsets.push(Committed {
                topic: topic.name.to_string(),
                partition: asked.partition_index,
                offset: asked.committed_offset,
                leader_epoch: asked.committed_leader_epoch,
                metadata: metadata.to_owned(),
            });
        }
    }
    let added =
        node.transactions.add_offsets(&request.transactional_id, who, &request.group_id, offsets);
    added.map_err(|error| fenced_as_of(error, false))
}
