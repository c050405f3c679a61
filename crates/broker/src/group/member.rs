//! One member of a group: what it can do, when it was last heard, and the answers it waits for.

use std::time::{Duration, Instant};

use bytes::Bytes;
use kafka_protocol::ResponseError;
use tokio::sync::oneshot;

use super::{JoinRefused, Joined, Synced};

pub(super) type JoinReply = oneshot::Sender<Result<Joined, JoinRefused>>;
pub(super) type SyncReply = oneshot::Sender<Result<Synced, ResponseError>>;

pub(crate) struct Member {
    pub(super) instance_id: Option<String>,
    pub(crate) client_id: String,
    pub(super) session: Duration,
    /// How long a round waits for this member.
    pub(super) patience: Duration,
    /// Assignment strategies it knows, by preference, each with what it tells the leader.
    pub(super) protocols: Vec<(String, Bytes)>,
    pub(super) assignment: Bytes,
    pub(super) seen: Instant,
    pub(super) joining: Option<JoinReply>,
    pub(super) syncing: Option<SyncReply>,
}

impl Member {
    pub(crate) fn instance_id(&self) -> Option<&str> {
        self.instance_id.as_deref()
    }

    pub(crate) fn assignment(&self) -> &Bytes {
        &self.assignment
    }

    /// What it told the leader for `protocol`.
    pub(crate) fn metadata(&self, protocol: &str) -> Bytes {
        let known = self.protocols.iter().find(|(name, _)| name == protocol);
        known.map(|(_, metadata)| metadata.clone()).unwrap_or_default()
    }

    pub(super) fn knows(&self, protocol: &str) -> bool {
        self.protocols.iter().any(|(name, _)| name == protocol)
    }

    pub(super) fn is_instance(&self, instance: &str) -> bool {
        self.instance_id.as_deref() == Some(instance)
    }

    /// Whether its session has run out. One that waits for an answer is not silent.
    pub(super) fn is_silent(&self, now: Instant) -> bool {
        self.joining.is_none() && self.syncing.is_none() && now > self.seen + self.session
    }

    /// Answers whatever it waits for with `error`.
    pub(super) fn refuse(&mut self, error: ResponseError, member_id: &str) {
        self.answer_join(Err(JoinRefused { error, member_id: member_id.to_owned() }));
        self.answer_sync(Err(error));
    }

    /// A member that has hung up takes no answer, which is no loss.
    pub(super) fn answer_join(&mut self, answer: Result<Joined, JoinRefused>) {
        if let Some(reply) = self.joining.take() {
            reply.send(answer).ok();
        }
    }

    pub(super) fn answer_sync(&mut self, answer: Result<Synced, ResponseError>) {
        if let Some(reply) = self.syncing.take() {
            reply.send(answer).ok();
        }
    }
}
