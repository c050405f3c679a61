//! Groups as an operator sees them.

use kafka_protocol::messages::delete_groups_response::DeletableGroupResult;
use kafka_protocol::messages::describe_groups_response::{DescribedGroup, DescribedGroupMember};
use kafka_protocol::messages::list_groups_response::ListedGroup;
use kafka_protocol::messages::{
    DeleteGroupsRequest, DeleteGroupsResponse, DescribeGroupsRequest, DescribeGroupsResponse,
    GroupId, ListGroupsRequest, ListGroupsResponse,
};

use super::code;
use crate::group::{Group, Member, State};
use crate::node::{Node, text};

/// An empty list of states asks for all.
pub(super) fn list(node: &Node, request: &ListGroupsRequest) -> ListGroupsResponse {
    let states = &request.states_filter;
    let is_asked =
        |state: State| states.is_empty() || states.iter().any(|name| **name == *state.name());
    let groups = node.groups.list().into_iter().filter(|(_, _, state)| is_asked(*state)).map(
        |(id, protocol_type, state)| {
            ListedGroup::default()
                .with_group_id(GroupId(text(id)))
                .with_protocol_type(text(protocol_type))
                .with_group_state(text(state.name()))
        },
    );
    ListGroupsResponse::default().with_groups(groups.collect())
}

pub(super) fn describe(node: &Node, request: DescribeGroupsRequest) -> DescribeGroupsResponse {
    let groups = request.groups.into_iter().map(|id| {
        let live = node.groups.look(&id, describe_one);
        let idle = || {
            let is_known = node.groups.with_offsets(|offsets| offsets.knows(&id));
            let state = if is_known { State::Empty.name() } else { "Dead" };
            DescribedGroup::default().with_group_state(text(state))
        };
        live.unwrap_or_else(idle).with_group_id(id)
    });
    DescribeGroupsResponse::default().with_groups(groups.collect())
}

fn describe_one(group: &Group) -> DescribedGroup {
    let describe_member = |(id, member): (&String, &Member)| {
        DescribedGroupMember::default()
            .with_member_id(text(id.as_str()))
            .with_group_instance_id(member.instance_id().map(text))
            .with_client_id(text(member.client_id.as_str()))
            .with_client_host(text("/127.0.0.1"))
            .with_member_metadata(member.metadata(group.protocol()))
            .with_member_assignment(member.assignment().clone())
    };
    DescribedGroup::default()
        .with_group_state(text(group.state().name()))
        .with_protocol_type(text(group.protocol_type()))
        .with_protocol_data(text(group.protocol()))
        .with_members(group.members().map(describe_member).collect())
}

pub(super) fn delete(node: &Node, request: DeleteGroupsRequest) -> DeleteGroupsResponse {
    let results = request.groups_names.into_iter().map(|id| {
        let deleted = node.groups.delete(&id);
        DeletableGroupResult::default().with_group_id(id).with_error_code(code(&deleted))
    });
    DeleteGroupsResponse::default().with_results(results.collect())
}
