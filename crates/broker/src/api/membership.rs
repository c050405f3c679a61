//! Coming into a group, working in it and leaving it.

use std::time::Duration;

use kafka_protocol::ResponseError;
use kafka_protocol::messages::find_coordinator_response::Coordinator;
use kafka_protocol::messages::join_group_response::JoinGroupResponseMember;
use kafka_protocol::messages::leave_group_response::MemberResponse;
use kafka_protocol::messages::{
    FindCoordinatorRequest, FindCoordinatorResponse, HeartbeatRequest, HeartbeatResponse,
    JoinGroupRequest, JoinGroupResponse, LeaveGroupRequest, LeaveGroupResponse, SyncGroupRequest,
    SyncGroupResponse,
};

use super::code;
use crate::group::{Join, JoinRefused, Joined, Speaker, Synced};
use crate::node::{NODE_ID, Node, text};
use crate::wire::Request;

/// The coordinator of everything is this broker.
pub(super) fn find_coordinator(
    node: &Node,
    version: i16,
    request: FindCoordinatorRequest,
) -> FindCoordinatorResponse {
    if version < 4 {
        return FindCoordinatorResponse::default()
            .with_node_id(NODE_ID)
            .with_host(node.host())
            .with_port(node.port());
    }
    let coordinators = request.coordinator_keys.into_iter().map(|key| {
        Coordinator::default()
            .with_key(key)
            .with_node_id(NODE_ID)
            .with_host(node.host())
            .with_port(node.port())
    });
    FindCoordinatorResponse::default().with_coordinators(coordinators.collect())
}

/// Waits until the round is complete.
pub(super) async fn join(
    node: &Node,
    request: &Request,
    body: JoinGroupRequest,
) -> JoinGroupResponse {
    let session = milliseconds(body.session_timeout_ms);
    let protocols = body.protocols.into_iter();
    let join = Join {
        member_id: body.member_id.to_string(),
        instance_id: body.group_instance_id.map(|id| id.to_string()),
        client_id: request.client_id.clone(),
        session,
        patience: if request.version == 0 {
            session
        } else {
            milliseconds(body.rebalance_timeout_ms)
        },
        protocol_type: body.protocol_type.to_string(),
        protocols: protocols.map(|it| (it.name.to_string(), it.metadata)).collect(),
        asks_id_first: request.version >= 4,
        can_skip_assignment: request.version >= 9,
    };
    let (member_id, now) = (join.member_id.clone(), node.config.clock.instant());
    let answer = match node.groups.with(&body.group_id, |group| group.join(join, now)) {
        Ok(answer) => answer.await.unwrap_or_else(|_| {
            Err(JoinRefused { error: ResponseError::UnknownMemberId, member_id })
        }),
        Err(error) => Err(JoinRefused { error, member_id }),
    };
    match answer {
        Ok(joined) => joined_response(joined, request.version),
        Err(refused) => refused_response(refused, request.version),
    }
}

fn joined_response(joined: Joined, version: i16) -> JoinGroupResponse {
    let members = joined.members.into_iter().map(|member| {
        JoinGroupResponseMember::default()
            .with_member_id(text(member.member_id))
            .with_group_instance_id(member.instance_id.map(text))
            .with_metadata(member.metadata)
    });
    JoinGroupResponse::default()
        .with_generation_id(joined.generation)
        .with_protocol_type((version >= 7).then(|| text(joined.protocol_type)))
        .with_protocol_name(Some(text(joined.protocol)))
        .with_leader(text(joined.leader))
        .with_skip_assignment(joined.skips_assignment)
        .with_member_id(text(joined.member_id))
        .with_members(members.collect())
}

fn refused_response(refused: JoinRefused, version: i16) -> JoinGroupResponse {
    JoinGroupResponse::default()
        .with_error_code(refused.error.code())
        .with_generation_id(-1)
        // Nullable from version 7 on.
        .with_protocol_name((version < 7).then(|| text("")))
        .with_member_id(text(refused.member_id))
}

/// Waits until the leader has assigned.
pub(super) async fn sync(node: &Node, body: SyncGroupRequest) -> SyncGroupResponse {
    let assignments = body.assignments.into_iter();
    let assignments = assignments.map(|it| (it.member_id.to_string(), it.assignment)).collect();
    let speaker = Speaker {
        member_id: &body.member_id,
        instance_id: body.group_instance_id.as_deref(),
        generation: body.generation_id,
    };
    let now = node.config.clock.instant();
    let answer =
        match node.groups.with(&body.group_id, |group| group.sync(speaker, assignments, now)) {
            Ok(answer) => answer.await.unwrap_or(Err(ResponseError::RebalanceInProgress)),
            Err(error) => Err(error),
        };
    match answer {
        Ok(Synced { protocol_type, protocol, assignment }) => SyncGroupResponse::default()
            .with_protocol_type(Some(text(protocol_type)))
            .with_protocol_name(Some(text(protocol)))
            .with_assignment(assignment),
        Err(error) => SyncGroupResponse::default().with_error_code(error.code()),
    }
}

pub(super) fn heartbeat(node: &Node, body: &HeartbeatRequest) -> HeartbeatResponse {
    let speaker = Speaker {
        member_id: &body.member_id,
        instance_id: body.group_instance_id.as_deref(),
        generation: body.generation_id,
    };
    let now = node.config.clock.instant();
    let heard = node.groups.with(&body.group_id, |group| group.heartbeat(speaker, now));
    HeartbeatResponse::default().with_error_code(code(&heard.flatten()))
}

/// One member up to version 2, several after.
pub(super) fn leave(node: &Node, version: i16, body: LeaveGroupRequest) -> LeaveGroupResponse {
    let now = node.config.clock.instant();
    let leave = |member_id: &str, instance_id: Option<&str>| {
        let left =
            node.groups.with(&body.group_id, |group| group.leave(member_id, instance_id, now));
        code(&left.flatten())
    };
    if version < 3 {
        return LeaveGroupResponse::default().with_error_code(leave(&body.member_id, None));
    }
    let members = body.members.iter().map(|member| {
        let left = leave(&member.member_id, member.group_instance_id.as_deref());
        MemberResponse::default()
            .with_member_id(member.member_id.clone())
            .with_group_instance_id(member.group_instance_id.clone())
            .with_error_code(left)
    });
    LeaveGroupResponse::default().with_members(members.collect())
}

fn milliseconds(ms: i32) -> Duration {
    Duration::from_millis(u64::try_from(ms).unwrap_or(0))
}
