//! Which records were there when: so that a backlog need not wait record by record for an absent schema to be believed.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use tracing::debug;
use upnext_common::clock::Clock;
use upnext_kafka::admin;

/// How often the ends of the topic are noted, while somebody waits, and how many times are remembered.
const EVERY: Duration = Duration::from_secs(5);
const MARKS_MAX: usize = 64;

/// Ends of the topic's partitions, as they were noted.
pub(crate) struct Marks {
    brokers: String,
    topic: String,
    clock: Clock,
    noted: tokio::sync::Mutex<VecDeque<Mark>>,
}

struct Mark {
    at: Instant,
    ends: Vec<i64>,
}

impl Marks {
    pub(crate) fn new(brokers: &str, topic: &str, clock: Clock) -> Self {
        let noted = tokio::sync::Mutex::new(VecDeque::new());
        Self { brokers: brokers.to_owned(), topic: topic.to_owned(), clock, noted }
    }

    /// The earliest noted moment at which this record stood in the topic. Notes the ends where that is due.
    pub(crate) async fn since(&self, partition: i32, offset: i64) -> Option<Instant> {
        let mut noted = self.noted.lock().await;
        let now = self.clock.instant();
        if noted.back().is_none_or(|last| now >= last.at + EVERY) {
            match admin::end_offsets(&self.brokers, &self.topic).await {
                // What stood there when it was told stood there by now.
                Ok(ends) => noted.push_back(Mark { at: self.clock.instant(), ends }),
                Err(error) => debug!(%error, "the ends of the topic are not told"),
            }
            if noted.len() > MARKS_MAX {
                noted.pop_front();
            }
        }
        let place = usize::try_from(partition).ok()?;
        let held = |mark: &&Mark| mark.ends.get(place).is_some_and(|end| offset < *end);
        noted.iter().find(held).map(|mark| mark.at)
    }
}
