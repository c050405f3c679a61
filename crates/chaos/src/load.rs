//! The producer: events at a steady rate into the raw topic, with bursts on demand and some garbage.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::Context;
use bytes::Bytes;
use tokio::task::JoinHandle;
use upnext_common::event::Event;
use upnext_common::topic::Topic;
use upnext_contract::Encoder;
use upnext_kafka::{Outgoing, Producer, ProducerSettings};

use crate::crowd::Crowd;
use crate::garbage::Garbage;
use crate::ledger::{Content, Fate, Ledger};
use crate::newcomer;
use crate::scene::PREFIX;

const TICK: Duration = Duration::from_millis(20);
/// One record in so many is no event at all.
const GARBAGE_EVERY: u64 = 50;
/// The broker may be away for a while when everything has been sent.
const FLUSH_BOUND: Duration = Duration::from_secs(120);

#[derive(Default)]
struct Wishes {
    newcomer: Mutex<Option<Newcomer>>,
    late: AtomicU64,
    repeats: AtomicU64,
    sent: AtomicU64,
    is_over: AtomicBool,
}

/// A schema that comes up, and how many events are still to stand under it.
#[derive(Clone, Copy, Debug)]
struct Newcomer {
    id: u32,
    left: u64,
}

pub(crate) struct Load {
    wishes: Arc<Wishes>,
    running: JoinHandle<anyhow::Result<Ledger>>,
}

/// How much, and how fast.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pace {
    pub(crate) events_min: u64,
    pub(crate) per_second: u64,
}

impl Load {
    /// Sends until it is told to finish, and at least so many events.
    ///
    /// # Errors
    /// When the producer's settings are refused.
    pub(crate) fn start(
        brokers: &str,
        encoder: Encoder,
        crowd: Crowd,
        pace: Pace,
    ) -> anyhow::Result<Self> {
        let producer = Producer::new(brokers, ProducerSettings::default())?;
        let wishes = Arc::new(Wishes::default());
        let source = Source { producer, encoder, crowd, ledger: Ledger::default(), newcomer: None };
        let running = tokio::spawn(run(source, pace, Arc::clone(&wishes)));
        Ok(Self { wishes, running })
    }

    pub(crate) fn sent(&self) -> u64 {
        self.wishes.sent.load(Ordering::Acquire)
    }

    /// So many of the newest events once more, at the next opportunity.
    pub(crate) fn repeat(&self, count: u64) {
        self.wishes.repeats.fetch_add(count, Ordering::AcqRel);
    }

    /// So many events from long ago.
    pub(crate) fn send_late(&self, count: u64) {
        self.wishes.late.fetch_add(count, Ordering::AcqRel);
    }

    /// From now on, so many events stand under a schema that nobody has seen before.
    pub(crate) fn use_schema(&self, id: u32, left: u64) {
        if let Ok(mut newcomer) = self.wishes.newcomer.lock() {
            *newcomer = Some(Newcomer { id, left });
        }
    }

    /// Waits for the last event and for its acknowledgement. Gives everything that was sent.
    ///
    /// # Errors
    /// When something sent was not acknowledged.
    pub(crate) async fn finish(self) -> anyhow::Result<Ledger> {
        self.wishes.is_over.store(true, Ordering::Release);
        self.running.await.context("the producer died")?
    }
}

struct Source {
    producer: Producer,
    encoder: Encoder,
    crowd: Crowd,
    ledger: Ledger,
    newcomer: Option<Newcomer>,
}

async fn run(mut source: Source, pace: Pace, wishes: Arc<Wishes>) -> anyhow::Result<Ledger> {
    let mut ticks = tokio::time::interval(TICK);
    let per_tick = pace.per_second as f64 * TICK.as_secs_f64();
    let mut due = 0.0;
    while !wishes.is_over.load(Ordering::Acquire) || source.ledger.len() < pace.events_min {
        ticks.tick().await;
        if let Ok(mut newcomer) = wishes.newcomer.lock() {
            source.newcomer = newcomer.take().or(source.newcomer);
        }
        due += per_tick;
        while due >= 1.0 {
            due -= 1.0;
            let event = source.crowd.next();
            source.send(&event).await?;
        }
        for _ in 0..wishes.repeats.swap(0, Ordering::AcqRel) {
            let event = source.crowd.repeated();
            source.send(&event).await?;
        }
        for _ in 0..wishes.late.swap(0, Ordering::AcqRel) {
            let event = source.crowd.late();
            source.send(&event).await?;
        }
        wishes.sent.store(source.ledger.len(), Ordering::Release);
    }
    source.producer.flush(FLUSH_BOUND).await?;
    Ok(source.ledger)
}

impl Source {
    async fn send(&mut self, event: &Event) -> anyhow::Result<()> {
        let (timestamp_ms, number) = (self.crowd.now_ms(), self.ledger.len() + 1);
        let (key, value, fate) = if number.is_multiple_of(GARBAGE_EVERY) {
            let which = number / GARBAGE_EVERY;
            let garbage = Garbage::ALL[(which % Garbage::ALL.len() as u64) as usize];
            let (key, value) = garbage.of((event, timestamp_ms), &self.encoder, which)?;
            (key, value, Fate::Dead(garbage.reason()))
        } else {
            let key = event.key().map(|key| Bytes::copy_from_slice(key.as_bytes()));
            let value = self.encoder.event(event)?;
            // Whatever schema it came under, it is valid under ours.
            let content = Content::of(key.as_deref(), Some(&value), timestamp_ms);
            (key, Some(self.under_newcomer(event, value)?), Fate::Valid(content))
        };
        let mut outgoing = Outgoing {
            topic: Topic::Events.name(PREFIX),
            key,
            value,
            timestamp_ms: Some(timestamp_ms),
            ..Outgoing::default()
        };
        outgoing.headers.push(self.ledger.enter(&outgoing, fate));
        // What is not delivered is missed when the topic is counted.
        drop(self.producer.send_when_room(&outgoing).await?);
        Ok(())
    }

    fn under_newcomer(&mut self, event: &Event, value: Bytes) -> anyhow::Result<Bytes> {
        match &mut self.newcomer {
            Some(newcomer) if event.event_type() == newcomer::KIND && newcomer.left > 0 => {
                newcomer.left -= 1;
                newcomer::reframed(&value, newcomer.id)
            }
            Some(_) | None => Ok(value),
        }
    }
}
