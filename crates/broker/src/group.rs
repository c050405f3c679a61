//! One consumer group as a state machine of the classic protocol. It reads no clock and does no I/O.
//!
//! Members join; when all have, each learns who is in and one, the leader, hands out the work (sync). Whoever joins,
//! leaves or falls silent starts the next round.

mod join;
mod member;
mod round;
mod sync;

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

use kafka_protocol::ResponseError;

pub(crate) use join::Join;
pub(crate) use member::Member;
pub(crate) use round::{JoinRefused, Joined, Synced};

pub(crate) struct Group {
    state: State,
    /// Counts the rounds.
    generation: i32,
    protocol_type: String,
    protocol: String,
    leader: Option<String>,
    members: BTreeMap<String, Member>,
    /// Ids given out to members that have yet to join with them, and until when they are good.
    promised: HashMap<String, Instant>,
    /// When the present phase is cut short.
    phase_ends: Option<Instant>,
    initial_delay: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    Empty,
    /// Waiting for members to join; the flag says that it is a first round, which waits its delay out.
    Joining {
        is_first: bool,
    },
    /// Waiting for the leader's assignment.
    Syncing,
    Stable,
}

impl State {
    /// Kafka's name for it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Empty => "Empty",
            Self::Joining { .. } => "PreparingRebalance",
            Self::Syncing => "CompletingRebalance",
            Self::Stable => "Stable",
        }
    }
}

/// Who speaks for which member, as requests say it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Speaker<'a> {
    pub member_id: &'a str,
    pub instance_id: Option<&'a str>,
    pub generation: i32,
}

impl Group {
    pub(crate) fn new(initial_delay: Duration) -> Self {
        Self {
            state: State::Empty,
            generation: 0,
            protocol_type: String::new(),
            protocol: String::new(),
            leader: None,
            members: BTreeMap::new(),
            promised: HashMap::new(),
            phase_ends: None,
            initial_delay,
        }
    }

    pub(crate) fn state(&self) -> State {
        self.state
    }

    pub(crate) fn protocol_type(&self) -> &str {
        &self.protocol_type
    }

    /// The assignment strategy in use; empty while none is.
    pub(crate) fn protocol(&self) -> &str {
        &self.protocol
    }

    pub(crate) fn members(&self) -> impl Iterator<Item = (&String, &Member)> {
        self.members.iter()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// Whether nobody is in and nobody was told to come.
    pub(crate) fn is_forgettable(&self) -> bool {
        self.members.is_empty() && self.promised.is_empty()
    }

    /// Takes a sign of life.
    pub(crate) fn heartbeat(
        &mut self,
        speaker: Speaker<'_>,
        now: Instant,
    ) -> Result<(), ResponseError> {
        self.known(speaker)?.seen = now;
        match self.state {
            State::Joining { .. } => Err(ResponseError::RebalanceInProgress),
            State::Empty | State::Syncing | State::Stable => Ok(()),
        }
    }

    /// Lets a member go. Static members may be named by their instance alone.
    pub(crate) fn leave(
        &mut self,
        member_id: &str,
        instance_id: Option<&str>,
        now: Instant,
    ) -> Result<(), ResponseError> {
        if self.promised.remove(member_id).is_some() {
            return Ok(());
        }
        let id = match instance_id {
            Some(instance) => self.instance_member(instance, member_id)?,
            None => member_id.to_owned(),
        };
        if self.remove(&id, now) { Ok(()) } else { Err(ResponseError::UnknownMemberId) }
    }

    /// Whether offsets may be committed: by a member of this round, or from outside while nobody is in.
    pub(crate) fn may_commit(
        &mut self,
        speaker: Speaker<'_>,
        now: Instant,
    ) -> Result<(), ResponseError> {
        if speaker.generation < 0 && self.members.is_empty() {
            return Ok(());
        }
        self.known(speaker)?.seen = now;
        match self.state {
            State::Syncing => Err(ResponseError::RebalanceInProgress),
            State::Empty | State::Joining { .. } | State::Stable => Ok(()),
        }
    }

    /// Does what time asks for: members that fell silent go, phases that took too long end.
    pub(crate) fn tick(&mut self, now: Instant) {
        self.promised.retain(|_, until| now < *until);
        let silent: Vec<String> = self
            .members
            .iter()
            .filter(|(_, member)| member.is_silent(now))
            .map(|(id, _)| id.clone())
            .collect();
        for id in silent {
            tracing::info!(member = %id, "group member fell silent");
            self.remove(&id, now);
        }
        if self.phase_ends.is_some_and(|end| now >= end) {
            self.end_phase(now);
        }
    }

    fn end_phase(&mut self, now: Instant) {
        match self.state {
            State::Joining { .. } => self.complete_joining(now),
            State::Syncing => self.drop_unsynced(now),
            State::Empty | State::Stable => self.phase_ends = None,
        }
    }

    /// The member that speaks, if it is who it says and of this round.
    fn known(&mut self, speaker: Speaker<'_>) -> Result<&mut Member, ResponseError> {
        if let Some(instance) = speaker.instance_id {
            self.instance_member(instance, speaker.member_id)?;
        }
        let generation = self.generation;
        let member =
            self.members.get_mut(speaker.member_id).ok_or(ResponseError::UnknownMemberId)?;
        if speaker.generation != generation {
            return Err(ResponseError::IllegalGeneration);
        }
        Ok(member)
    }

    /// The member of a static instance; one that another has replaced is fenced.
    fn instance_member(&self, instance: &str, member_id: &str) -> Result<String, ResponseError> {
        let holder = self.members.iter().find(|(_, member)| member.is_instance(instance));
        let (id, _) = holder.ok_or(ResponseError::UnknownMemberId)?;
        if member_id.is_empty() || id == member_id {
            Ok(id.clone())
        } else {
            Err(ResponseError::FencedInstanceId)
        }
    }

    /// Whether there was such a member.
    fn remove(&mut self, id: &str, now: Instant) -> bool {
        let Some(mut member) = self.members.remove(id) else { return false };
        member.refuse(ResponseError::UnknownMemberId, id);
        if self.leader.as_deref() == Some(id) {
            self.leader = None;
        }
        self.start_round(now);
        true
    }
}

#[cfg(test)]
mod tests;
