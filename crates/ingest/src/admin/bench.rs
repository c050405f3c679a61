//! A bench for producers' tests: reset, send, then ask how many were good and bad, and why.
//!
//! It follows the valid and the dead-letter topic from the reset on, without a group, and costs nothing until somebody
//! asks. Events that the HTTP API rejected in its answer are on no topic and are not counted.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::sync::{mpsc, watch};
use upnext_common::clock::Clock;
use upnext_common::drain::Drain;
use upnext_common::topic::Topic;
use upnext_contract::{RegistryClient, unframe};
use upnext_http::axum::Json;
use upnext_http::axum::extract::State;
use upnext_http::{Params, Problem};
use upnext_kafka::tail::{self, TailEvent};
use upnext_kafka::{KafkaError, Record};

use super::{Admin, unread};
use crate::dlq::{DeadLetters, Letter};

/// Bad events that are kept, the newest.
const BAD_MAX: usize = 100;
/// Longest wait until both topics are followed.
const READY_BOUND: Duration = Duration::from_secs(10);
/// Without a question for so long, following ends.
const IDLE_MAX: Duration = Duration::from_secs(600);
const IDLE_CHECK: Duration = Duration::from_secs(30);

pub(super) struct Bench {
    from: DeadLetters,
    registry: Option<Arc<RegistryClient>>,
    clock: Clock,
    drain: Drain,
    current: tokio::sync::Mutex<Option<Arc<Run>>>,
}

/// From one reset to the next.
struct Run {
    seen: Mutex<Seen>,
    bad: Mutex<VecDeque<Value>>,
    asked_at: Mutex<Instant>,
    stop: Drain,
}

/// What came since the reset.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
struct Seen {
    since_ms: i64,
    accepted: u64,
    rejected: u64,
    by_reason: BTreeMap<String, u64>,
    /// Accepted, by type of event.
    by_type: BTreeMap<String, u64>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct HowMany {
    limit: Option<usize>,
}

impl Bench {
    pub(super) fn new(
        from: DeadLetters,
        registry: Option<Arc<RegistryClient>>,
        clock: Clock,
        drain: Drain,
    ) -> Self {
        Self { from, registry, clock, drain, current: tokio::sync::Mutex::new(None) }
    }

    /// Counts from now on: whatever is written after this has resolved is counted.
    async fn reset(&self) -> Result<Arc<Run>, Problem> {
        let mut current = self.current.lock().await;
        if let Some(before) = current.take() {
            before.stop.start();
        }
        let run = self.begin().await?;
        *current = Some(Arc::clone(&run));
        Ok(run)
    }

    /// What runs, begun now if nothing does.
    async fn run(&self) -> Result<Arc<Run>, Problem> {
        let current = self.current.lock().await.clone();
        match current.filter(|run| !run.stop.has_started()) {
            Some(run) => {
                *run.asked_at.lock() = self.clock.instant();
                Ok(run)
            }
            None => self.reset().await,
        }
    }

    async fn begin(&self) -> Result<Arc<Run>, Problem> {
        let stop = self.drain.child();
        let seen = Seen { since_ms: self.clock.now_ms(), ..Seen::default() };
        let run = Arc::new(Run {
            seen: Mutex::new(seen),
            bad: Mutex::new(VecDeque::new()),
            asked_at: Mutex::new(self.clock.instant()),
            stop: stop.clone(),
        });
        let (ready, mut waiting) = watch::channel(0_u8);
        for topic in [Topic::Valid, Topic::DeadLetters] {
            let events = self.follow(topic, &stop).map_err(unread)?;
            let follower = Follower {
                run: Arc::clone(&run),
                registry: self.registry.clone(),
                clock: self.clock.clone(),
                is_bad: topic == Topic::DeadLetters,
            };
            tokio::spawn(follower.follow(events, ready.clone()));
        }
        let both = waiting.wait_for(|count| *count == 2);
        match tokio::time::timeout(READY_BOUND, both).await {
            Ok(Ok(_)) => Ok(run),
            Ok(Err(_)) | Err(_) => {
                stop.start();
                Err(Problem::unavailable("the topics of outcomes cannot be followed"))
            }
        }
    }

    fn follow(&self, topic: Topic, stop: &Drain) -> Result<mpsc::Receiver<TailEvent>, KafkaError> {
        let name = topic.name(&self.from.topic_prefix);
        tail::follow(&self.from.brokers, &name, false, stop.clone())
    }
}

/// Counts what comes on one topic.
struct Follower {
    run: Arc<Run>,
    registry: Option<Arc<RegistryClient>>,
    clock: Clock,
    is_bad: bool,
}

impl Follower {
    async fn follow(self, mut events: mpsc::Receiver<TailEvent>, ready: watch::Sender<u8>) {
        let mut idle = tokio::time::interval(IDLE_CHECK);
        loop {
            tokio::select! {
                event = events.recv() => match event {
                    None => return,
                    Some(TailEvent::CaughtUp) => ready.send_modify(|count| *count += 1),
                    Some(TailEvent::Record(record)) if self.is_bad => self.note_bad(record),
                    Some(TailEvent::Record(record)) => self.note_good(&record).await,
                },
                _ = idle.tick() => {
                    let silent = self.clock.instant() - *self.run.asked_at.lock();
                    if silent > IDLE_MAX {
                        self.run.stop.start();
                    }
                }
            }
        }
    }

    fn note_bad(&self, record: Record) {
        let letter = Letter::of(record);
        let mut seen = self.run.seen.lock();
        seen.rejected += 1;
        *seen.by_reason.entry(letter.reason.clone()).or_default() += 1;
        drop(seen);
        let mut bad = self.run.bad.lock();
        if bad.len() == BAD_MAX {
            bad.pop_front();
        }
        bad.push_back(letter.json());
    }

    async fn note_good(&self, record: &Record) {
        let kind = self.kind(record.value.as_deref().unwrap_or_default()).await;
        let mut seen = self.run.seen.lock();
        seen.accepted += 1;
        *seen.by_type.entry(kind.to_owned()).or_default() += 1;
    }

    /// By its schema, which says it without decoding.
    async fn kind(&self, value: &[u8]) -> &'static str {
        let (Some(registry), Ok((id, _))) = (&self.registry, unframe(value)) else {
            return "unknown";
        };
        let schema = registry.schema(id).await.ok();
        schema.and_then(|schema| schema.event_type()).map_or("unknown", |kind| kind.name())
    }
}

pub(super) async fn reset(State(admin): State<Arc<Admin>>) -> Result<Json<Value>, Problem> {
    let run = admin.bench.reset().await?;
    let since_ms = run.seen.lock().since_ms;
    Ok(Json(json!({ "since_ms": since_ms })))
}

pub(super) async fn counts(State(admin): State<Arc<Admin>>) -> Result<Json<Value>, Problem> {
    let run = admin.bench.run().await?;
    let seen = run.seen.lock().clone();
    Ok(Json(json!(seen)))
}

pub(super) async fn bad(
    State(admin): State<Arc<Admin>>,
    Params(HowMany { limit }): Params<HowMany>,
) -> Result<Json<Value>, Problem> {
    let run = admin.bench.run().await?;
    let bad = run.bad.lock();
    let surplus = bad.len().saturating_sub(limit.unwrap_or(BAD_MAX));
    let newest: Vec<&Value> = bad.iter().skip(surplus).collect();
    Ok(Json(json!({ "bad": newest })))
}
