//! Offsets by time, and the ends of partitions.

use kafka_protocol::ResponseError;
use kafka_protocol::messages::list_offsets_response::{
    ListOffsetsPartitionResponse, ListOffsetsTopicResponse,
};
use kafka_protocol::messages::{ListOffsetsRequest, ListOffsetsResponse};

use crate::node::Node;
use crate::partition::Lookup;

const READ_COMMITTED: i8 = 1;
const LATEST: i64 = -1;
const EARLIEST: i64 = -2;
const WITH_MAX_TIMESTAMP: i64 = -3;

pub(super) fn list_offsets(
    node: &Node,
    version: i16,
    request: ListOffsetsRequest,
) -> ListOffsetsResponse {
    let leader_epoch = if version < 4 { -1 } else { 0 };
    let committed_only = request.isolation_level == READ_COMMITTED;
    let topics = request.topics.into_iter().map(|topic| {
        let partitions = topic.partitions.iter().map(|asked| {
            let answer =
                ListOffsetsPartitionResponse::default().with_partition_index(asked.partition_index);
            let place = (topic.name.as_str(), asked.partition_index);
            match offset_at(node, place, asked.timestamp, committed_only) {
                Ok(found) => answer
                    .with_offset(found.offset)
                    .with_timestamp(found.timestamp_ms)
                    .with_leader_epoch(leader_epoch),
                Err(error) => {
                    answer.with_error_code(error.code()).with_offset(-1).with_timestamp(-1)
                }
            }
        });
        let partitions = partitions.collect();
        ListOffsetsTopicResponse::default().with_partitions(partitions).with_name(topic.name)
    });
    ListOffsetsResponse::default().with_topics(topics.collect())
}

/// Offset -1 and time -1 stand for nothing.
fn offset_at(
    node: &Node,
    (topic, index): (&str, i32),
    timestamp: i64,
    committed_only: bool,
) -> Result<Lookup, ResponseError> {
    let partition = node.catalog.partition(topic, index)?;
    let bounds = partition.bounds();
    let end = |offset| Lookup { offset, timestamp_ms: -1 };
    let none = end(-1);
    match timestamp {
        LATEST if committed_only => Ok(end(bounds.stable_offset)),
        LATEST => Ok(end(bounds.next_offset)),
        EARLIEST => Ok(end(bounds.start_offset)),
        WITH_MAX_TIMESTAMP => Ok(partition.latest()?.unwrap_or(none)),
        i64::MIN..=-4 => Err(ResponseError::InvalidRequest),
        0.. => Ok(partition.first_since(timestamp)?.unwrap_or(none)),
    }
}
