//! How a member comes into a group: who may, under which id, and whether it means a new round.

use std::time::{Duration, Instant};

use bytes::Bytes;
use kafka_protocol::ResponseError;
use tokio::sync::oneshot;
use uuid::Uuid;

use super::member::{JoinReply, Member};
use super::round::{JoinRefused, Joined};
use super::{Group, State};

/// A wish to join.
#[derive(Clone, Debug)]
pub(crate) struct Join {
    /// Empty for a newcomer.
    pub member_id: String,
    /// Given by static members, whose place is kept over a restart.
    pub instance_id: Option<String>,
    pub client_id: String,
    pub session: Duration,
    pub patience: Duration,
    pub protocol_type: String,
    pub protocols: Vec<(String, Bytes)>,
    /// Whether a newcomer is told its id first and joins with it then.
    pub asks_id_first: bool,
    /// Whether a restarted leader can be told to leave the assignment as it is.
    pub can_skip_assignment: bool,
}

const SESSION_MIN: Duration = Duration::from_millis(100);
const SESSION_MAX: Duration = Duration::from_mins(30);

impl Group {
    /// Answers at once or when the round is complete.
    pub(crate) fn join(
        &mut self,
        join: Join,
        now: Instant,
    ) -> oneshot::Receiver<Result<Joined, JoinRefused>> {
        let (reply, answer) = oneshot::channel();
        match self.admit(&join, now) {
            Ok(id) => self.enter(id, join, reply, now),
            Err(refused) => {
                reply.send(Err(refused)).ok();
            }
        }
        answer
    }

    /// The id under which the wish is granted.
    fn admit(&mut self, join: &Join, now: Instant) -> Result<String, JoinRefused> {
        let refuse = |error| JoinRefused { error, member_id: join.member_id.clone() };
        if !(SESSION_MIN..=SESSION_MAX).contains(&join.session) {
            return Err(refuse(ResponseError::InvalidSessionTimeout));
        }
        if !self.can_work_with(join) {
            return Err(refuse(ResponseError::InconsistentGroupProtocol));
        }
        if join.member_id.is_empty() {
            return self.admit_newcomer(join, now);
        }
        if let Some(instance) = &join.instance_id {
            return self.instance_member(instance, &join.member_id).map_err(refuse);
        }
        let is_known = self.members.contains_key(&join.member_id)
            || self.promised.remove(&join.member_id).is_some();
        if !is_known {
            return Err(refuse(ResponseError::UnknownMemberId));
        }
        Ok(join.member_id.clone())
    }

    fn admit_newcomer(&mut self, join: &Join, now: Instant) -> Result<String, JoinRefused> {
        let name = join.instance_id.as_ref().unwrap_or(&join.client_id);
        let member_id = format!("{name}-{}", Uuid::new_v4());
        if join.instance_id.is_none() && join.asks_id_first {
            self.promised.insert(member_id.clone(), now + join.session);
            return Err(JoinRefused { error: ResponseError::MemberIdRequired, member_id });
        }
        Ok(member_id)
    }

    /// Whether everybody else knows one of the newcomer's protocols.
    fn can_work_with(&self, join: &Join) -> bool {
        if join.protocols.is_empty() || join.protocol_type.is_empty() {
            return false;
        }
        let instance = join.instance_id.as_deref();
        let is_same = |id: &String, member: &Member| {
            *id == join.member_id || instance.is_some_and(|instance| member.is_instance(instance))
        };
        let others = || self.members.iter().filter(|(id, member)| !is_same(id, member));
        let is_shared = |name: &String| others().all(|(_, member)| member.knows(name));
        others().next().is_none()
            || (self.protocol_type == join.protocol_type
                && join.protocols.iter().any(|(name, _)| is_shared(name)))
    }

    fn enter(&mut self, id: String, join: Join, reply: JoinReply, now: Instant) {
        self.protocol_type.clone_from(&join.protocol_type);
        if let Some(old_id) = self.instance_before(&id, join.instance_id.as_deref()) {
            let can_skip = join.can_skip_assignment;
            self.replace(&old_id, id, Member::new(join, reply, now), can_skip);
        } else if let Some(present) = self.members.get_mut(&id) {
            let has_changed = present.protocols != join.protocols;
            present.protocols = join.protocols;
            present.joining = Some(reply);
            present.seen = now;
            self.rejoin(&id, has_changed, now);
        } else {
            self.members.insert(id, Member::new(join, reply, now));
            self.start_round(now);
        }
    }

    /// The id under which a static instance was in until now.
    fn instance_before(&self, id: &str, instance: Option<&str>) -> Option<String> {
        let instance = instance?;
        let holder = self.members.iter().find(|(_, member)| member.is_instance(instance));
        holder.map(|(old_id, _)| old_id.clone()).filter(|old_id| old_id != id)
    }

    /// A restarted static member takes its old place, without a new round if nothing else changes.
    fn replace(&mut self, old_id: &str, id: String, mut member: Member, can_skip: bool) {
        let now = member.seen;
        if let Some(mut old) = self.members.remove(old_id) {
            old.refuse(ResponseError::FencedInstanceId, old_id);
            member.assignment = old.assignment;
        }
        let was_leader = self.leader.as_deref() == Some(old_id);
        if was_leader {
            self.leader = Some(id.clone());
        }
        self.members.insert(id.clone(), member);
        if self.state != State::Stable || self.favourite_protocol() != self.protocol {
            self.start_round(now);
            return;
        }
        let mut joined = self.joined(&id);
        if was_leader && can_skip {
            joined.skips_assignment = true;
        } else if was_leader {
            // Under its old name it does not take itself for the leader, and assigns nothing.
            joined.leader = old_id.to_owned();
            joined.members.clear();
        }
        if let Some(member) = self.members.get_mut(&id) {
            member.answer_join(Ok(joined));
        }
    }

    /// A member in place joins again: that means a new round if it has news, or is the leader.
    fn rejoin(&mut self, id: &str, has_changed: bool, now: Instant) {
        let is_repeat = match self.state {
            State::Empty | State::Joining { .. } => false,
            State::Syncing => !has_changed,
            State::Stable => !has_changed && self.leader.as_deref() != Some(id),
        };
        if !is_repeat {
            self.start_round(now);
            return;
        }
        let joined = self.joined(id);
        if let Some(member) = self.members.get_mut(id) {
            member.answer_join(Ok(joined));
        }
    }
}

impl Member {
    fn new(join: Join, reply: JoinReply, now: Instant) -> Self {
        Self {
            instance_id: join.instance_id,
            client_id: join.client_id,
            session: join.session,
            patience: join.patience,
            protocols: join.protocols,
            assignment: Bytes::new(),
            seen: now,
            joining: Some(reply),
            syncing: None,
        }
    }
}
