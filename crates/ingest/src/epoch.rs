//! In which epoch of the raw topic a partition's offsets count.
//!
//! A raw topic that was deleted and created again counts its offsets from 0, and whoever counts events would take the new
//! ones for repeats of the old. So a partition that begins looks whether its log is the one that was read before: by
//! the timestamps noted with the group's commit; or, since a broker forgets the commits of a topic that is deleted, by
//! the newest of its events in the valid topic. If it is not, the next epoch begins, and every valid event of it says so.
//!
//! A log that has merely lost its end (an unclean broker) is read on from the last record that is still there; what was
//! written behind it since has offsets that were read before, and so is of the next epoch too.

use std::collections::BTreeMap;
use std::time::Duration;

use tracing::{error, warn};
use upnext_common::position::{SOURCE_EPOCH, SOURCE_OFFSET, SOURCE_PARTITION, SOURCE_TOPIC};
use upnext_common::topic::Topic;
use upnext_kafka::glance::{Glance, glance};
use upnext_kafka::group::{Marks, Note, committed};
use upnext_kafka::scan::{self, Stretch};
use upnext_kafka::{KafkaError, Record, admin};

use crate::Shared;
use crate::partition::Stop;

/// Wait between two attempts to look.
const LOOK_WAIT: Duration = Duration::from_millis(500);
/// Records looked through at the end of each partition of the valid topic, and how many times more when that was not
/// enough.
const TAIL: i64 = 500;
const TAIL_GROWTH: i64 = 16;

/// Where a partition begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Begun {
    pub(crate) start_offset: i64,
    pub(crate) epoch: u32,
    /// The first record that was read in this epoch: offset and timestamp.
    pub(crate) first: Option<(i64, i64)>,
    /// Whether the group has yet to know.
    pub(crate) is_news: bool,
}

/// What is known of a log by what was read of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Known {
    epoch: u32,
    /// The last record that was read.
    offset: i64,
    marks: Option<Marks>,
}

impl Known {
    fn nothing(epoch: u32) -> Self {
        Self { epoch, offset: -1, marks: None }
    }

    /// The offsets by which the log is known.
    fn asked(&self) -> Vec<i64> {
        self.marks.map_or(Vec::new(), |marks| vec![self.offset, marks.first.0])
    }
}

/// What became of a log since it was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Log {
    Same,
    /// It is the same, but its end is gone.
    Shortened,
    Anew,
}

/// Where the partition begins, however long the broker takes to say; `None` when stopped meanwhile.
pub(crate) async fn begin(
    shared: &Shared,
    partition: i32,
    start_offset: i64,
    stop: &Stop,
) -> Option<Begun> {
    let mut has_complained = false;
    loop {
        let looked = tokio::select! {
            looked = look(shared, partition, start_offset) => looked,
            () = stop.started() => return None,
        };
        match looked {
            Ok(begun) => return Some(begun),
            Err(cause) if !std::mem::replace(&mut has_complained, true) => {
                warn!(partition, %cause, "the raw log cannot be looked at, will retry");
            }
            Err(_) => {}
        }
        tokio::select! {
            () = stop.started() => return None,
            () = tokio::time::sleep(LOOK_WAIT) => {}
        }
    }
}

async fn look(shared: &Shared, partition: i32, start_offset: i64) -> Result<Begun, KafkaError> {
    let (brokers, topic) = (shared.brokers.as_str(), shared.topic.as_str());
    let group = &shared.config.ingest.group;
    let committed = committed(brokers, group, (topic, partition)).await?;
    // A tool that sets a group back leaves no note.
    let noted = committed.and_then(|committed| committed.note.zip(Some(committed.next_offset)));
    let known = match noted {
        Some((Note { epoch, marks }, next_offset)) => {
            Known { epoch, offset: next_offset - 1, marks }
        }
        None => match Seen::by_now(shared, partition, i64::MAX).await? {
            Seen { newest: Some(of_another), at_ms, .. } if at_ms.is_empty() => {
                Known::nothing(epoch_of_topic(shared, &of_another).await?)
            }
            seen => seen.known(),
        },
    };
    let (epoch, offset) = (known.epoch, known.offset);
    let found = glance(brokers, topic, partition, &known.asked()).await?;
    let (start, end) = (found.start, found.end);
    let first = known.marks.map(|marks| marks.first);
    let log = verdict(&known, &found, start_offset);
    if log == Log::Same {
        return Ok(Begun { start_offset, epoch, first, is_news: noted.is_none() });
    }
    let read_to = read_to(shared, Stretch { partition, start, end }).await?;
    let (start_offset, first) = match read_to {
        None if log == Log::Anew => (start, None),
        read_to => (read_to.unwrap_or(end), first.filter(|first| first.0 < end)),
    };
    error!(
        topic,
        partition,
        epoch,
        offset,
        end,
        start_offset,
        "the raw topic was made anew or has lost its end: what comes from here on is news"
    );
    Ok(Begun { start_offset, epoch: epoch + 1, first, is_news: true })
}

/// What became of a log. `start_offset`: up to where it was read, as the reader says.
fn verdict(known: &Known, found: &Glance, start_offset: i64) -> Log {
    let is_short = found.end < start_offset.max(known.offset + 1);
    let short_or_same = if is_short { Log::Shortened } else { Log::Same };
    let Some(marks) = known.marks else { return short_or_same };
    let [last_ms, first_ms] = found.timestamps_ms.as_slice() else { return short_or_same };
    // What retention has removed says nothing.
    if found.end > known.offset && last_ms.is_none_or(|at_ms| at_ms == marks.last_ms) {
        return short_or_same;
    }
    let (first, expected_ms) = marks.first;
    let has_first = match first_ms {
        Some(at_ms) => *at_ms == expected_ms && first != known.offset,
        // A new log begins at 0.
        None => first < found.start,
    };
    if has_first { Log::Shortened } else { Log::Anew }
}

/// The epoch of a partition of which nothing was ever written, by what was written of another: all of them are made
/// anew together.
async fn epoch_of_topic(shared: &Shared, seen: &Place) -> Result<u32, KafkaError> {
    let Place { partition, epoch, offset, at_ms } = *seen;
    if partition >= admin::partition_count(&shared.brokers, &shared.topic).await? {
        return Ok(epoch + 1);
    }
    let found = glance(&shared.brokers, &shared.topic, partition, &[offset]).await?;
    let is_there = found.end > offset
        && found.timestamps_ms.iter().all(|found| found.is_none_or(|found| found == at_ms));
    Ok(if is_there { epoch } else { epoch + 1 })
}

/// Up to where a log still is the one of which the newest valid events were made; `None` when none of them was made of
/// it.
async fn read_to(shared: &Shared, whole: Stretch) -> Result<Option<i64>, KafkaError> {
    let seen = Seen::by_now(shared, whole.partition, whole.end).await?;
    let Some(first) = seen.at_ms.keys().next() else { return Ok(None) };
    let stretch = Stretch { start: whole.start.max(*first), ..whole };
    if stretch.is_empty() {
        return Ok(None);
    }
    let mut read_to = None;
    let mut records = scan::read(&shared.brokers, &shared.topic, &[stretch])?;
    while let Some(record) = records.recv().await {
        let record = record?;
        if seen.at_ms.get(&record.offset) == Some(&record.timestamp_ms) {
            read_to = Some(record.offset + 1);
        }
    }
    Ok(read_to)
}

/// What was seen of a raw partition among the newest valid events, those of its newest epoch.
struct Seen {
    partition: i32,
    /// Only what stands before it counts.
    before: i64,
    epoch: u32,
    /// Offsets and timestamps.
    at_ms: BTreeMap<i64, i64>,
    /// One of the newest epoch, of any partition.
    newest: Option<Place>,
}

/// Of what a valid event was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Place {
    partition: i32,
    epoch: u32,
    offset: i64,
    at_ms: i64,
}

impl Seen {
    fn of(partition: i32, before: i64) -> Self {
        Self { partition, before, epoch: 0, at_ms: BTreeMap::new(), newest: None }
    }

    /// Looks through the end of the valid topic, further back until something is found.
    async fn by_now(shared: &Shared, partition: i32, before: i64) -> Result<Self, KafkaError> {
        let brokers = shared.brokers.as_str();
        let valid = Topic::Valid.name(&shared.config.kafka.topic_prefix);
        if let Err(KafkaError::Topic { .. }) = admin::partition_count(brokers, &valid).await {
            return Ok(Self::of(partition, before));
        }
        let stretches = scan::stretches(brokers, &valid, None).await?;
        let mut length = TAIL;
        loop {
            let cut =
                |whole: &Stretch| Stretch { start: whole.start.max(whole.end - length), ..*whole };
            let tails: Vec<Stretch> = stretches.iter().map(cut).collect();
            let mut seen = Self::of(partition, before);
            if tails.iter().any(|tail| !tail.is_empty()) {
                let mut records = scan::read(brokers, &valid, &tails)?;
                while let Some(record) = records.recv().await {
                    seen.note(&record?, &shared.topic);
                }
            }
            if !seen.at_ms.is_empty() || tails == stretches {
                return Ok(seen);
            }
            length = length.saturating_mul(TAIL_GROWTH);
        }
    }

    fn note(&mut self, record: &Record, raw: &str) {
        let Some(event) = source_of(record, raw) else { return };
        if self.newest.is_none_or(|newest| event.epoch >= newest.epoch) {
            self.newest = Some(event);
        }
        let Place { partition, epoch, offset, at_ms } = event;
        if partition != self.partition || offset >= self.before || epoch < self.epoch {
            return;
        }
        if epoch > self.epoch {
            self.at_ms.clear();
        }
        self.epoch = epoch;
        self.at_ms.insert(offset, at_ms);
    }

    fn known(&self) -> Known {
        let (first, last) = (self.at_ms.first_key_value(), self.at_ms.last_key_value());
        let (Some((first, first_ms)), Some((offset, last_ms))) = (first, last) else {
            return Known::nothing(0);
        };
        let marks = Marks { first: (*first, *first_ms), last_ms: *last_ms };
        Known { epoch: self.epoch, offset: *offset, marks: Some(marks) }
    }
}

/// The raw record that an event was made of.
fn source_of(record: &Record, raw: &str) -> Option<Place> {
    let text = |name| std::str::from_utf8(record.header(name)?).ok();
    let epoch = text(SOURCE_EPOCH).map_or(Some(0), |epoch| epoch.parse().ok())?;
    let (partition, offset) =
        (text(SOURCE_PARTITION)?.parse().ok()?, text(SOURCE_OFFSET)?.parse().ok()?);
    let event = Place { partition, epoch, offset, at_ms: record.timestamp_ms };
    (text(SOURCE_TOPIC)? == raw).then_some(event)
}

#[cfg(test)]
mod tests;
