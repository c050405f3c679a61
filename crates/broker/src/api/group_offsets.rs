//! What groups commit, and what they ask back.

use kafka_protocol::ResponseError;
use kafka_protocol::messages::offset_commit_request::OffsetCommitRequestPartition;
use kafka_protocol::messages::offset_commit_response::{
    OffsetCommitResponsePartition, OffsetCommitResponseTopic,
};
use kafka_protocol::messages::offset_delete_response::{
    OffsetDeleteResponsePartition, OffsetDeleteResponseTopic,
};
use kafka_protocol::messages::offset_fetch_response::{
    OffsetFetchResponseGroup, OffsetFetchResponsePartition, OffsetFetchResponsePartitions,
    OffsetFetchResponseTopic, OffsetFetchResponseTopics,
};
use kafka_protocol::messages::{
    OffsetCommitRequest, OffsetCommitResponse, OffsetDeleteRequest, OffsetDeleteResponse,
    OffsetFetchRequest, OffsetFetchResponse, TopicName,
};

use super::code;
use crate::group::Speaker;
use crate::groups::check_metadata;
use crate::node::{Node, text};
use crate::offsets::Committed;

/// Partitions that cannot be committed are refused one by one; the others stand or fall together.
pub(super) fn commit(node: &Node, request: OffsetCommitRequest) -> OffsetCommitResponse {
    let mut kept = Vec::new();
    let mut topics = Vec::with_capacity(request.topics.len());
    for topic in request.topics {
        let mut partitions = Vec::with_capacity(topic.partitions.len());
        for asked in topic.partitions {
            let index = asked.partition_index;
            let checked = check(node, &topic.name, asked).map(|committed| kept.push(committed));
            partitions.push((index, code(&checked)));
        }
        topics.push((topic.name, partitions));
    }
    let speaker = Speaker {
        member_id: &request.member_id,
        instance_id: request.group_instance_id.as_deref(),
        generation: request.generation_id_or_member_epoch,
    };
    let now = node.config.clock.instant();
    let committed = code(&node.groups.commit(&request.group_id, speaker, kept, now));
    let answer = |(index, checked): (i32, i16)| {
        OffsetCommitResponsePartition::default()
            .with_partition_index(index)
            .with_error_code(if checked == 0 { committed } else { checked })
    };
    let topics = topics.into_iter().map(|(name, partitions)| {
        OffsetCommitResponseTopic::default()
            .with_name(name)
            .with_partitions(partitions.into_iter().map(answer).collect())
    });
    OffsetCommitResponse::default().with_topics(topics.collect())
}

fn check(
    node: &Node,
    topic: &str,
    asked: OffsetCommitRequestPartition,
) -> Result<Committed, ResponseError> {
    node.catalog.partition(topic, asked.partition_index)?;
    let metadata = asked.committed_metadata.unwrap_or_default();
    check_metadata(&metadata)?;
    Ok(Committed {
        topic: topic.to_owned(),
        partition: asked.partition_index,
        offset: asked.committed_offset,
        leader_epoch: asked.committed_leader_epoch,
        metadata: metadata.to_string(),
    })
}

/// One group up to version 7, several after.
pub(super) fn fetch(node: &Node, version: i16, request: OffsetFetchRequest) -> OffsetFetchResponse {
    if version < 8 {
        let asked = request.topics.map(|topics| {
            topics
                .into_iter()
                .map(|topic| (topic.name.to_string(), topic.partition_indexes))
                .collect()
        });
        let found = find(node, &request.group_id, asked, request.require_stable);
        return OffsetFetchResponse::default().with_topics(
            found.into_iter().map(|(name, found)| single_topic(name, found)).collect(),
        );
    }
    let groups = request.groups.into_iter().map(|group| {
        let asked = group.topics.map(|topics| {
            topics
                .into_iter()
                .map(|topic| (topic.name.to_string(), topic.partition_indexes))
                .collect()
        });
        let found = find(node, &group.group_id, asked, request.require_stable);
        OffsetFetchResponseGroup::default()
            .with_topics(found.into_iter().map(|(name, found)| group_topic(name, found)).collect())
            .with_group_id(group.group_id)
    });
    OffsetFetchResponse::default().with_groups(groups.collect())
}

/// What is known of one partition: an offset, none, or that it hangs on a transaction.
struct Found {
    partition: i32,
    committed: Option<Committed>,
    is_pending: bool,
}

type ByTopic<T> = Vec<(String, Vec<T>)>;

/// Looks up what was asked for, everything if nothing was.
fn find(
    node: &Node,
    group: &str,
    asked: Option<ByTopic<i32>>,
    require_stable: bool,
) -> ByTopic<Found> {
    let asked = asked.unwrap_or_else(|| {
        node.groups.with_offsets(|offsets| {
            let mut all: ByTopic<i32> = Vec::new();
            for committed in offsets.all_of(group) {
                match all.last_mut() {
                    Some((topic, partitions)) if *topic == committed.topic => {
                        partitions.push(committed.partition);
                    }
                    Some(_) | None => {
                        all.push((committed.topic.clone(), vec![committed.partition]));
                    }
                }
            }
            all
        })
    });
    let find = |topic: &str, partition: i32| Found {
        partition,
        is_pending: require_stable && node.transactions.is_pending(group, topic, partition),
        committed: node
            .groups
            .with_offsets(|offsets| offsets.committed(group, topic, partition).cloned()),
    };
    let found = asked.into_iter().map(|(topic, partitions)| {
        let found = partitions.into_iter().map(|partition| find(&topic, partition)).collect();
        (topic, found)
    });
    found.collect()
}

impl Found {
    fn error_code(&self) -> i16 {
        if self.is_pending { ResponseError::UnstableOffsetCommit.code() } else { 0 }
    }

    fn offset(&self) -> i64 {
        self.committed.as_ref().map_or(-1, |committed| committed.offset)
    }

    fn leader_epoch(&self) -> i32 {
        self.committed.as_ref().map_or(-1, |committed| committed.leader_epoch)
    }

    fn metadata(&self) -> String {
        self.committed.as_ref().map(|committed| committed.metadata.clone()).unwrap_or_default()
    }
}

fn single_topic(name: String, found: Vec<Found>) -> OffsetFetchResponseTopic {
    let partitions = found.iter().map(|found| {
        OffsetFetchResponsePartition::default()
            .with_partition_index(found.partition)
            .with_committed_offset(found.offset())
            .with_committed_leader_epoch(found.leader_epoch())
            .with_metadata(Some(text(found.metadata())))
            .with_error_code(found.error_code())
    });
    OffsetFetchResponseTopic::default()
        .with_name(TopicName(text(name)))
        .with_partitions(partitions.collect())
}

fn group_topic(name: String, found: Vec<Found>) -> OffsetFetchResponseTopics {
    let partitions = found.iter().map(|found| {
        OffsetFetchResponsePartitions::default()
            .with_partition_index(found.partition)
            .with_committed_offset(found.offset())
            .with_committed_leader_epoch(found.leader_epoch())
            .with_metadata(Some(text(found.metadata())))
            .with_error_code(found.error_code())
    });
    OffsetFetchResponseTopics::default()
        .with_name(TopicName(text(name)))
        .with_partitions(partitions.collect())
}

/// All of them or none, in a group that nobody is in.
pub(super) fn delete(node: &Node, request: OffsetDeleteRequest) -> OffsetDeleteResponse {
    let partitions = request.topics.iter().flat_map(|topic| {
        let indexes = topic.partitions.iter().map(|partition| partition.partition_index);
        indexes.map(|index| (topic.name.to_string(), index))
    });
    let deleted = node.groups.delete_offsets(&request.group_id, partitions.collect());
    let topics = request.topics.into_iter().map(|topic| {
        let partitions = topic.partitions.iter().map(|partition| {
            OffsetDeleteResponsePartition::default().with_partition_index(partition.partition_index)
        });
        let partitions = partitions.collect();
        OffsetDeleteResponseTopic::default().with_partitions(partitions).with_name(topic.name)
    });
    OffsetDeleteResponse::default().with_error_code(code(&deleted)).with_topics(topics.collect())
}
