//! Valid events as ingest writes them: as fast as they are taken, or at a fixed pace whatever happens.

use std::time::Duration;

use bytes::Bytes;
use upnext_common::clock::Clock;
use upnext_common::config;
use upnext_common::event::{Event, EventBody};
use upnext_common::position::{SOURCE_OFFSET, SOURCE_PARTITION, SOURCE_TOPIC};
use upnext_common::topic::Topic;
use upnext_contract::{Encoder, RegistryClient};
use upnext_kafka::{Header, Outgoing, Producer, ProducerSettings};

use crate::Outcome;
use crate::crowd::{Crowd, event};
use crate::roles::{Place, Role};

/// Longest time between two turns of a paced writer.
const TURN: Duration = Duration::from_millis(2);
const FLUSH_LIMIT: Duration = Duration::from_secs(120);

/// Who the events are of.
#[derive(Clone, Copy)]
pub(crate) enum Whose {
    /// A crowd of so many users.
    Crowd(u64),
    /// One user who does nothing else.
    Bot,
    /// User after user, so many events each.
    Each(u64),
}

impl Whose {
    fn word(self) -> String {
        match self {
            Self::Crowd(users) => format!("crowd:{users}"),
            Self::Bot => "bot".to_owned(),
            Self::Each(events) => format!("each:{events}"),
        }
    }

    fn of(word: &str) -> Outcome<Self> {
        match word.split_once(':') {
            Some(("crowd", users)) => Ok(Self::Crowd(users.parse()?)),
            Some(("each", events)) => Ok(Self::Each(events.parse()?)),
            _ if word == "bot" => Ok(Self::Bot),
            _ => Err(format!("`{word}` is nobody").into()),
        }
    }
}

/// Starts a writer of `count` valid events; `per_second` of 0 is as fast as they are taken.
pub(crate) fn start(
    place: &Place,
    prefix: &str,
    whose: Whose,
    count_at: (u64, u64),
) -> Outcome<Role> {
    start_into(place, (prefix, "valid"), whose, count_at)
}

/// The same before ingest.
pub(crate) fn start_raw(
    place: &Place,
    prefix: &str,
    whose: Whose,
    count_at: (u64, u64),
) -> Outcome<Role> {
    start_into(place, (prefix, "raw"), whose, count_at)
}

fn start_into(
    place: &Place,
    (prefix, topic): (&str, &str),
    whose: Whose,
    (count, per_second): (u64, u64),
) -> Outcome<Role> {
    let [brokers, registry, redis] = place.words();
    let (whose, count, per_second) = (whose.word(), count.to_string(), per_second.to_string());
    Role::start(&["fill", brokers, registry, redis, prefix, topic, &whose, &count, &per_second])
}

pub(crate) async fn run(words: &[&str]) -> Outcome<()> {
    let (place, rest) = Place::of(words)?;
    let [prefix, topic, whose, count, per_second] = rest.as_slice() else {
        return Err("PREFIX TOPIC WHOSE COUNT PER_SECOND".into());
    };
    let client =
        RegistryClient::new(&place.registry, &config::Registry::default(), Clock::system())?;
    let mut writer = Writer {
        encoder: Encoder::register_all(&client, prefix).await?,
        producer: Producer::new(&place.brokers, ProducerSettings::default())?,
        prefix: prefix.clone(),
        is_raw: topic == "raw",
        whose: Whose::of(whose)?,
        crowd: Crowd::new(7, if let Whose::Crowd(users) = Whose::of(whose)? { users } else { 1 }),
        made: 0,
        clock: Clock::system(),
    };
    let (count, per_second) = (count.parse()?, per_second.parse()?);
    if per_second == 0 {
        writer.all(count).await?
    } else {
        writer.paced(count, per_second).await?
    }
    writer.producer.flush(FLUSH_LIMIT).await?;
    println!("{count}");
    Ok(())
}

struct Writer {
    encoder: Encoder,
    producer: Producer,
    prefix: String,
    /// Written before ingest, so without what ingest stamps.
    is_raw: bool,
    whose: Whose,
    crowd: Crowd,
    made: u64,
    clock: Clock,
}

impl Writer {
    async fn all(&mut self, count: u64) -> Outcome<()> {
        for _ in 0..count {
            let now_ms = self.clock.now_ms();
            self.write(now_ms).await?;
        }
        Ok(())
    }

    /// Each event at its own time: what is late is written late, with the time it should have had.
    async fn paced(&mut self, count: u64, per_second: u64) -> Outcome<()> {
        let (begun, begun_ms) = (self.clock.instant(), self.clock.now_ms());
        while self.made < count {
            let gone = self.clock.instant().duration_since(begun);
            let due = u64::try_from(gone.as_micros())? * per_second / 1_000_000;
            while self.made < due.min(count) {
                let intended_ms = begun_ms + i64::try_from(self.made * 1_000 / per_second)?;
                self.write(intended_ms).await?;
            }
            tokio::time::sleep(TURN).await;
        }
        Ok(())
    }

    async fn write(&mut self, now_ms: i64) -> Outcome<()> {
        let event = self.next(now_ms);
        self.made += 1;
        let topic = if self.is_raw { Topic::Events } else { Topic::Valid };
        let record = Outgoing {
            topic: topic.name(&self.prefix),
            partition: None,
            key: event.key().map(|key| Bytes::copy_from_slice(key.as_bytes())),
            value: Some(self.encoder.event(&event)?),
            headers: if self.is_raw { Vec::new() } else { self.stamps() },
            timestamp_ms: Some(now_ms),
        };
        drop(self.producer.send_when_room(&record).await?);
        Ok(())
    }

    /// As ingest stamps what it passes on.
    fn stamps(&self) -> Vec<Header> {
        let text = |value: String| Some(Bytes::from(value));
        vec![
            (SOURCE_TOPIC.to_owned(), text(Topic::Events.name(&self.prefix))),
            (SOURCE_PARTITION.to_owned(), text(std::process::id().to_string())),
            (SOURCE_OFFSET.to_owned(), text(self.made.to_string())),
        ]
    }

    fn next(&mut self, now_ms: i64) -> Event {
        let number = self.made;
        let viewed = |at: u64| EventBody::ItemViewed { item_id: format!("i{:06}", at % 10_000) };
        match self.whose {
            Whose::Crowd(_) => self.crowd.next(now_ms),
            Whose::Bot => event(0, number / 50, (number, now_ms), viewed(number * 7)),
            Whose::Each(events) => {
                event(number / events, number / events, (number, now_ms), viewed(number * 7))
            }
        }
    }
}
