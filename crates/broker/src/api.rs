//! Every call and who answers it. What stands here only translates between messages and the broker's parts.

mod configs;
mod fetch;
mod group_admin;
mod group_offsets;
mod list_offsets;
mod membership;
mod metadata;
mod produce;
mod topics;
mod transactions;

use kafka_protocol::ResponseError;

use crate::node::Node;
use crate::wire::{Answer, Call, Request};

/// Answers a request. Waits only where the protocol waits: fetching, joining and syncing.
pub(crate) async fn answer(node: &Node, request: &Request) -> Answer {
    let version = request.version;
    match request.call {
        Call::ApiVersions => metadata::versions(request),
        Call::Metadata => request.answer(&metadata::metadata(node, version, request.body()?)),
        Call::DescribeCluster => request.answer(&metadata::describe_cluster(node)),
        Call::Produce => produce::produce(node, request),
        Call::Fetch => request.answer(&fetch::fetch(node, request.body()?).await),
        Call::ListOffsets => {
            request.answer(&list_offsets::list_offsets(node, version, request.body()?))
        }
        Call::CreateTopics => request.answer(&topics::create(node, request.body()?)),
        Call::DeleteTopics => request.answer(&topics::delete(node, request.body()?)),
        Call::CreatePartitions => request.answer(&topics::grow(node, request.body()?)),
        Call::DeleteRecords => request.answer(&topics::delete_records(node, request.body()?)),
        Call::DescribeConfigs => request.answer(&configs::describe(node, request.body()?)),
        Call::AlterConfigs => request.answer(&configs::replace(node, request.body()?)),
        Call::IncrementalAlterConfigs => request.answer(&configs::change(node, request.body()?)),
        Call::FindCoordinator => {
            request.answer(&membership::find_coordinator(node, version, request.body()?))
        }
        Call::JoinGroup => request.answer(&membership::join(node, request, request.body()?).await),
        Call::SyncGroup => request.answer(&membership::sync(node, request.body()?).await),
        Call::Heartbeat => request.answer(&membership::heartbeat(node, &request.body()?)),
        Call::LeaveGroup => request.answer(&membership::leave(node, version, request.body()?)),
        Call::OffsetCommit => request.answer(&group_offsets::commit(node, request.body()?)),
        Call::OffsetFetch => request.answer(&group_offsets::fetch(node, version, request.body()?)),
        Call::OffsetDelete => request.answer(&group_offsets::delete(node, request.body()?)),
        Call::ListGroups => request.answer(&group_admin::list(node, &request.body()?)),
        Call::DescribeGroups => request.answer(&group_admin::describe(node, request.body()?)),
        Call::DeleteGroups => request.answer(&group_admin::delete(node, request.body()?)),
        Call::InitProducerId => {
            request.answer(&transactions::init(node, version, &request.body()?))
        }
        Call::AddPartitionsToTxn => {
            request.answer(&transactions::add_partitions(node, version, request.body()?))
        }
        Call::AddOffsetsToTxn => {
            request.answer(&transactions::add_group(node, version, &request.body()?))
        }
        Call::EndTxn => request.answer(&transactions::end(node, version, &request.body()?)),
        Call::TxnOffsetCommit => request.answer(&transactions::add_offsets(node, request.body()?)),
    }
}

/// The number a result has on the wire.
fn code<T>(result: &Result<T, ResponseError>) -> i16 {
    result.as_ref().err().map_or(0, ResponseError::code)
}
