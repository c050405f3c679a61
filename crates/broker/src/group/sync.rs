//! How work is handed out: the leader brings the assignment, everyone fetches their part.

use std::time::Instant;

use bytes::Bytes;
use kafka_protocol::ResponseError;
use tokio::sync::oneshot;

use super::round::Synced;
use super::{Group, Speaker, State};

impl Group {
    /// Answers at once or when the leader has assigned. Only the leader's `assignments` count.
    pub(crate) fn sync(
        &mut self,
        speaker: Speaker<'_>,
        assignments: Vec<(String, Bytes)>,
        now: Instant,
    ) -> oneshot::Receiver<Result<Synced, ResponseError>> {
        let (reply, answer) = oneshot::channel();
        let state = self.state;
        match self.known(speaker) {
            Ok(member) => {
                member.seen = now;
                member.syncing = Some(reply);
                self.advance_sync(state, speaker.member_id, assignments, now);
            }
            Err(error) => {
                reply.send(Err(error)).ok();
            }
        }
        answer
    }

    fn advance_sync(
        &mut self,
        state: State,
        id: &str,
        assignments: Vec<(String, Bytes)>,
        now: Instant,
    ) {
        match state {
            State::Empty => self.refuse_sync(id, ResponseError::UnknownMemberId),
            State::Joining { .. } => self.refuse_sync(id, ResponseError::RebalanceInProgress),
            State::Syncing if self.leader.as_deref() == Some(id) => self.assign(assignments, now),
            State::Syncing => {}
            State::Stable => self.hand_out(now),
        }
    }

    fn refuse_sync(&mut self, id: &str, error: ResponseError) {
        if let Some(member) = self.members.get_mut(id) {
            member.answer_sync(Err(error));
        }
    }

    fn assign(&mut self, assignments: Vec<(String, Bytes)>, now: Instant) {
        for member in self.members.values_mut() {
            member.assignment = Bytes::new();
        }
        for (id, assignment) in assignments {
            if let Some(member) = self.members.get_mut(&id) {
                member.assignment = assignment;
            }
        }
        self.state = State::Stable;
        self.phase_ends = None;
        self.hand_out(now);
    }

    /// Gives everyone who asked their part.
    fn hand_out(&mut self, now: Instant) {
        for member in self.members.values_mut().filter(|member| member.syncing.is_some()) {
            member.seen = now;
            let assignment = member.assignment.clone();
            let (protocol_type, protocol) = (self.protocol_type.clone(), self.protocol.clone());
            member.answer_sync(Ok(Synced { protocol_type, protocol, assignment }));
        }
    }
}
