//! A round of joining: it begins when membership changes and ends when all have joined or time is up.

use std::collections::BTreeMap;
use std::time::Instant;

use bytes::Bytes;
use kafka_protocol::ResponseError;

use super::{Group, State};

/// What a member learns at the end of a round.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Joined {
    pub generation: i32,
    pub protocol_type: String,
    pub protocol: String,
    pub leader: String,
    pub member_id: String,
    /// For the leader alone: everyone, with what they told it.
    pub members: Vec<JoinedMember>,
    /// A leader that need not assign anything.
    pub skips_assignment: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct JoinedMember {
    pub member_id: String,
    pub instance_id: Option<String>,
    pub metadata: Bytes,
}

/// Why a member may not join, and the id it is known by or shall use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct JoinRefused {
    pub error: ResponseError,
    pub member_id: String,
}

/// A member's work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Synced {
    pub protocol_type: String,
    pub protocol: String,
    pub assignment: Bytes,
}

impl Group {
    /// Begins a round, or looks whether the one under way is complete; with nobody left the group is empty.
    pub(super) fn start_round(&mut self, now: Instant) {
        if self.members.is_empty() {
            self.state = State::Empty;
            self.generation += 1;
            self.protocol.clear();
            self.leader = None;
            self.phase_ends = None;
            return;
        }
        if !matches!(self.state, State::Joining { .. }) {
            for member in self.members.values_mut() {
                member.answer_sync(Err(ResponseError::RebalanceInProgress));
            }
            let is_first = self.state == State::Empty;
            self.state = State::Joining { is_first };
            let patience = self.members.values().map(|member| member.patience).max();
            let wait = if is_first { self.initial_delay } else { patience.unwrap_or_default() };
            self.phase_ends = Some(now + wait);
        }
        let all_joined = self.members.values().all(|member| member.joining.is_some());
        if all_joined && self.state == (State::Joining { is_first: false }) {
            self.complete_joining(now);
        }
    }

    /// Ends the joining with those who came. Static members keep their place while their session lasts.
    pub(super) fn complete_joining(&mut self, now: Instant) {
        self.members.retain(|_, member| member.joining.is_some() || member.instance_id.is_some());
        let first_joined =
            self.members.iter().find(|(_, member)| member.joining.is_some()).map(|(id, _)| id);
        let leads =
            |id: &&String| self.members.get(*id).is_some_and(|member| member.joining.is_some());
        let leader = self.leader.as_ref().filter(leads).or(first_joined).cloned();
        if self.members.is_empty() {
            self.start_round(now);
            return;
        }
        let patience = self.members.values().map(|member| member.patience).max();
        self.phase_ends = Some(now + patience.unwrap_or_default());
        if leader.is_none() {
            return;
        }
        self.leader = leader;
        self.generation += 1;
        self.state = State::Syncing;
        self.protocol = self.favourite_protocol();
        let answers: Vec<Joined> = self.members.keys().map(|id| self.joined(id)).collect();
        for (member, joined) in self.members.values_mut().zip(answers) {
            member.seen = now;
            member.answer_join(Ok(joined));
        }
    }

    /// Ends the syncing without those who never asked for their work.
    pub(super) fn drop_unsynced(&mut self, now: Instant) {
        self.members.retain(|_, member| member.syncing.is_some());
        self.start_round(now);
    }

    /// The protocol most members prefer among those that all know.
    pub(super) fn favourite_protocol(&self) -> String {
        let mut votes: BTreeMap<&str, usize> = BTreeMap::new();
        let all_know = |name: &str| self.members.values().all(|other| other.knows(name));
        for member in self.members.values() {
            let shared = member.protocols.iter().map(|(name, _)| name.as_str());
            if let Some(name) = shared.into_iter().find(|name| all_know(name)) {
                *votes.entry(name).or_default() += 1;
            }
        }
        let favourite = votes.into_iter().max_by_key(|(_, count)| *count);
        favourite.map(|(name, _)| name.to_owned()).unwrap_or_default()
    }

    /// What the member is told about the present round.
    pub(super) fn joined(&self, member_id: &str) -> Joined {
        let leader = self.leader.clone().unwrap_or_default();
        let members = if leader == member_id { self.roll() } else { Vec::new() };
        Joined {
            generation: self.generation,
            protocol_type: self.protocol_type.clone(),
            protocol: self.protocol.clone(),
            leader,
            member_id: member_id.to_owned(),
            members,
            skips_assignment: false,
        }
    }

    fn roll(&self) -> Vec<JoinedMember> {
        let joined = |(id, member): (&String, &super::Member)| JoinedMember {
            member_id: id.clone(),
            instance_id: member.instance_id.clone(),
            metadata: member.metadata(&self.protocol),
        };
        self.members.iter().map(joined).collect()
    }
}
