//! In which epoch of the raw topic a partition's offsets count.
//!
//! A raw topic that was deleted and created again counts its offsets from 0, and whoever counts events would take the new
//! ones for repeats of the old. So a partition that begins looks whether its log is the one that was read before: by
//! the timestamps noted with the group's commit; or, since a broker forgets the commits of a topic that is deleted, by
//! the newest of its events in the valid topic. If it is not, the next epoch begins, and every valid event of it says so.
//!
//! A log that has merely lost its end is the same: what is judged again has its old positions, and is known by them.

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
    let known = match committed {
        Some(committed) => {
            let Note { epoch, marks } = committed.note;
            Known { epoch, offset: committed.next_offset - 1, marks }
        }
        None => last_valid(shared, partition).await?,
    };
    let first = known.marks.map(|marks| marks.first);
    let is_news = committed.is_none();
    let same = Begun { start_offset, epoch: known.epoch, first, is_news };
    let Some(first) = first else { return Ok(same) };
    let found = glance(brokers, topic, partition, &[known.offset, first.0]).await?;
    if is_same(&known, &found) {
        return Ok(same);
    }
    let (epoch, offset, end) = (known.epoch, known.offset, found.end);
    error!(
        topic,
        partition,
        epoch,
        offset,
        end,
        "the raw topic was made anew: begins its next epoch, its events are news"
    );
    Ok(Begun { start_offset: found.start, epoch: epoch + 1, first: None, is_news: true })
}

/// Whether the log still has what was read of it, as far as retention lets it tell.
fn is_same(known: &Known, found: &Glance) -> bool {
    let Some(marks) = known.marks else { return true };
    let [last_ms, first_ms] = found.timestamps_ms.as_slice() else { return true };
    let has_last = found.end > known.offset && last_ms.is_none_or(|at_ms| at_ms == marks.last_ms);
    // Its end may be lost; a new log begins at 0.
    let (first, expected_ms) = marks.first;
    let has_first = match first_ms {
        Some(at_ms) => *at_ms == expected_ms && first != known.offset,
        None => first < found.start,
    };
    has_last || has_first
}

/// The newest event of the partition in the valid topic. Without one, nothing that was written before may pass for
/// what is written from now on.
async fn last_valid(shared: &Shared, partition: i32) -> Result<Known, KafkaError> {
    let (brokers, prefix) = (shared.brokers.as_str(), &shared.config.kafka.topic_prefix);
    let valid = Topic::Valid.name(prefix);
    let nothing = Known { epoch: 0, offset: -1, marks: None };
    if let Err(KafkaError::Topic { .. }) = admin::partition_count(brokers, &valid).await {
        return Ok(nothing);
    }
    let stretches = scan::stretches(brokers, &valid, None).await?;
    let mut length = TAIL;
    loop {
        let cut =
            |whole: &Stretch| Stretch { start: whole.start.max(whole.end - length), ..*whole };
        let tails: Vec<Stretch> = stretches.iter().map(cut).collect();
        let mut seen = Seen::of(partition);
        if tails.iter().any(|tail| !tail.is_empty()) {
            let mut records = scan::read(brokers, &valid, &tails)?;
            while let Some(record) = records.recv().await {
                seen.note(&record?, &shared.topic);
            }
        }
        if let Some(known) = seen.known {
            return Ok(known);
        }
        if tails == stretches {
            let epoch = seen.newest_epoch.map_or(0, |newest| newest + 1);
            return Ok(Known { epoch, ..nothing });
        }
        length = length.saturating_mul(TAIL_GROWTH);
    }
}

/// What was seen of a raw partition among valid events.
struct Seen {
    partition: i32,
    known: Option<Known>,
    /// Of any partition.
    newest_epoch: Option<u32>,
}

impl Seen {
    fn of(partition: i32) -> Self {
        Self { partition, known: None, newest_epoch: None }
    }

    fn note(&mut self, record: &Record, raw: &str) {
        let Some((partition, epoch, offset)) = source_of(record, raw) else { return };
        self.newest_epoch = self.newest_epoch.max(Some(epoch));
        if partition != self.partition {
            return;
        }
        let here = (offset, record.timestamp_ms);
        let alone = Marks { first: here, last_ms: here.1 };
        let known = self.known.get_or_insert(Known { epoch, offset, marks: Some(alone) });
        let marks = known.marks.get_or_insert(alone);
        if epoch > known.epoch {
            (known.epoch, known.offset, *marks) = (epoch, offset, alone);
        } else if epoch == known.epoch {
            marks.first = marks.first.min(here);
            if offset > known.offset {
                (known.offset, marks.last_ms) = here;
            }
        }
    }
}

/// Partition, epoch and offset of the raw record that an event was made of.
fn source_of(record: &Record, raw: &str) -> Option<(i32, u32, i64)> {
    let text = |name| std::str::from_utf8(record.header(name)?).ok();
    let epoch = text(SOURCE_EPOCH).map_or(Some(0), |epoch| epoch.parse().ok())?;
    let place = (text(SOURCE_PARTITION)?.parse().ok()?, epoch, text(SOURCE_OFFSET)?.parse().ok()?);
    (text(SOURCE_TOPIC)? == raw).then_some(place)
}

#[cfg(test)]
mod tests;
