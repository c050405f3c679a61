//! The producer: events at a steady rate into the raw topic, with bursts on demand and some garbage.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use anyhow::Context;
use bytes::Bytes;
use tokio::task::JoinHandle;
use upnext_common::event::Event;
use upnext_common::topic::Topic;
use upnext_contract::Encoder;
use upnext_kafka::{Outgoing, Producer, ProducerSettings};

use crate::crowd::Crowd;
use crate::scene::PREFIX;

const TICK: Duration = Duration::from_millis(20);
/// One record in so many is no event at all.
const GARBAGE_EVERY: u64 = 50;
/// The broker may be away for a while when everything has been sent.
const FLUSH_BOUND: Duration = Duration::from_secs(120);

/// What was sent.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Sent {
    pub(crate) records: u64,
    pub(crate) garbage: u64,
}

#[derive(Default)]
struct Wishes {
    late: AtomicU64,
    repeats: AtomicU64,
    sent: AtomicU64,
    is_over: AtomicBool,
}

pub(crate) struct Load {
    wishes: Arc<Wishes>,
    running: JoinHandle<anyhow::Result<Sent>>,
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
        let source = Source { producer, encoder, crowd, sent: Sent::default() };
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

    /// Waits for the last event and for its acknowledgement.
    ///
    /// # Errors
    /// When something sent was not acknowledged.
    pub(crate) async fn finish(self) -> anyhow::Result<Sent> {
        self.wishes.is_over.store(true, Ordering::Release);
        self.running.await.context("the producer died")?
    }
}

struct Source {
    producer: Producer,
    encoder: Encoder,
    crowd: Crowd,
    sent: Sent,
}

async fn run(mut source: Source, pace: Pace, wishes: Arc<Wishes>) -> anyhow::Result<Sent> {
    let mut ticks = tokio::time::interval(TICK);
    let per_tick = pace.per_second as f64 * TICK.as_secs_f64();
    let mut due = 0.0;
    while !wishes.is_over.load(Ordering::Acquire) || source.sent.records < pace.events_min {
        ticks.tick().await;
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
        wishes.sent.store(source.sent.records, Ordering::Release);
    }
    source.producer.flush(FLUSH_BOUND).await?;
    Ok(source.sent)
}

impl Source {
    async fn send(&mut self, event: &Event) -> anyhow::Result<()> {
        self.sent.records += 1;
        let key = event.key().map(|key| Bytes::copy_from_slice(key.as_bytes()));
        let value = if self.sent.records.is_multiple_of(GARBAGE_EVERY) {
            self.sent.garbage += 1;
            Bytes::from_static(b"garbage")
        } else {
            self.encoder.event(event)?
        };
        let outgoing = Outgoing {
            topic: Topic::Events.name(PREFIX),
            key,
            value: Some(value),
            timestamp_ms: Some(self.crowd.now_ms()),
            ..Outgoing::default()
        };
        // What is not delivered is missed when the topic is counted.
        drop(self.producer.send_when_room(&outgoing).await?);
        Ok(())
    }
}
