//! The decision log: every answer, written off the request path through a bounded queue.
//!
//! A full queue drops the newest decision and counts it: answers never wait for their own log.

use std::time::Duration;

use bytes::Bytes;
use tokio::sync::mpsc;
use tracing::{debug, warn};
use upnext_common::decision::Decision;
use upnext_common::drain::Drain;
use upnext_common::metrics::Metrics;
use upnext_common::topic::Topic;
use upnext_contract::Encoder;
use upnext_kafka::{Outgoing, Producer};

/// How long decisions that are still queued may take to be written when the daemon stops.
const FLUSH_WITHIN: Duration = Duration::from_secs(3);

/// Takes decisions from requests. Cheap to clone.
#[derive(Clone)]
pub(crate) struct DecisionLog {
    queue: mpsc::Sender<Decision>,
    metrics: Metrics,
}

/// Writes what [`DecisionLog`] took.
pub(crate) struct DecisionWriter {
    pub(crate) queue: mpsc::Receiver<Decision>,
    pub(crate) producer: Producer,
    pub(crate) encoder: Encoder,
    pub(crate) topic_prefix: String,
}

impl DecisionLog {
    /// A log with room for `queue_max` decisions, and the receiving end for its writer.
    pub(crate) fn new(queue_max: usize, metrics: Metrics) -> (Self, mpsc::Receiver<Decision>) {
        let (sender, receiver) = mpsc::channel(queue_max.max(1));
        (Self { queue: sender, metrics }, receiver)
    }

    /// Queues a decision, or drops and counts it.
    pub(crate) fn note(&self, decision: Decision) {
        if self.queue.try_send(decision).is_err() {
            self.metrics.decisions_dropped.inc();
        }
    }
}

impl DecisionWriter {
    /// Writes until the drain starts, then what is queued by then. Answers how many were written.
    pub(crate) async fn run(mut self, drain: Drain) -> u64 {
        let topic = Topic::Decisions.name(&self.topic_prefix);
        let mut written = 0;
        loop {
            let decision = tokio::select! {
                biased;
                decision = self.queue.recv() => decision,
                () = drain.started() => break,
            };
            let Some(decision) = decision else { break };
            // The drain ends the wait for room: the broker may be gone for good.
            tokio::select! {
                biased;
                was_written = self.write(&topic, &decision) => written += u64::from(was_written),
                () = drain.started() => break,
            }
        }
        while let Ok(decision) = self.queue.try_recv() {
            let write = self.write(&topic, &decision);
            match tokio::time::timeout(FLUSH_WITHIN, write).await {
                Ok(was_written) => written += u64::from(was_written),
                Err(_) => break,
            }
        }
        if let Err(error) = self.producer.flush(FLUSH_WITHIN).await {
            warn!(%error, "decisions may be missing from the log");
        }
        written
    }

    async fn write(&self, topic: &str, decision: &Decision) -> bool {
        let value = match self.encoder.decision(decision) {
            Ok(value) => value,
            Err(error) => {
                warn!(decision_id = decision.decision_id, %error, "decision not logged");
                return false;
            }
        };
        let key = decision.user_id.as_ref().or(decision.anonymous_id.as_ref());
        let record = Outgoing {
            topic: topic.to_owned(),
            key: key.map(|key| Bytes::copy_from_slice(key.as_bytes())),
            value: Some(value),
            ..Outgoing::default()
        };
        match self.producer.send_when_room(&record).await {
            Ok(delivery) => {
                // Nobody waits for it; a failure shows in the producer's own log and in the flush.
                drop(delivery);
                true
            }
            Err(error) => {
                debug!(%error, "decision not logged");
                false
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use upnext_common::tier::Tier;

    use super::*;

    fn decision() -> Decision {
        Decision {
            decision_id: "d".to_owned(),
            decided_at_ms: 0,
            user_id: None,
            anonymous_id: None,
            session_id: None,
            surface: "home".to_owned(),
            query: "{}".to_owned(),
            tier: Tier::Full,
            reasons: Vec::new(),
            model: None,
            feature_spec: String::new(),
            features_as_of_ms: None,
            user_state: Vec::new(),
            took_us: 0,
            candidates: Vec::new(),
        }
    }

    #[tokio::test]
    async fn a_full_queue_drops_the_newest_and_counts_it() {
        let metrics = Metrics::new();
        let (log, mut receiver) = DecisionLog::new(2, metrics.clone());
        for n in 0..5 {
            log.note(Decision { decided_at_ms: n, ..decision() });
        }
        assert_eq!(metrics.decisions_dropped.get(), 3);
        assert_eq!(receiver.recv().await.map(|kept| kept.decided_at_ms), Some(0));
        assert_eq!(receiver.recv().await.map(|kept| kept.decided_at_ms), Some(1));
    }
}
