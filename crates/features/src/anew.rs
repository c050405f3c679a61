//! Is the log that is read the one that the watermark speaks of? Looked at whenever a partition begins.
//!
//! A topic that was deleted and created again counts its offsets from 0: continuing at the watermark would wait for
//! ever, or pass over what is new. It is known by three signs: it ends before the watermark; the record before the
//! watermark is not of the time that was noted; the first record that was applied is not. If only the last sign is
//! missing, the log is the same and has lost its end.
//!
//! In both cases work begins at the start of the log in the next epoch. Positions compare by epoch first, so that the
//! states that stand are added to. Source positions are kept, so that what is told again (a shortened log, valid events
//! made anew from the same raw ones) is known. Only where raw events were made anew as well do their positions begin
//! again, and are forgotten.
//!
//! The epoch stands in the group's commit as well: a store that has lost everything, or all since long ago, must not
//! begin an epoch that is over, whose signals the items stage would take for repeats.
//!
//! The price is two connections and at most two records per partition that begins. A log that was made anew and that
//! repeats the same timestamps at both offsets passes for the same.

use std::collections::BTreeMap;
use std::time::Duration;

use tracing::{error, warn};
use upnext_common::topic::Topic;
use upnext_kafka::glance::{Glance, glance};
use upnext_kafka::group::committed;
use upnext_kafka::{KafkaError, admin};
use upnext_store::{SourcePosition, Watermark};

use crate::Shared;
use crate::partition::Stop;
use crate::stage::Stage;

/// Waits between two attempts to look.
const LOOK_WAIT: Duration = Duration::from_millis(500);

/// What became of a log since a watermark was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Log {
    Same,
    /// It is the same, but its end is gone.
    Shortened,
    Anew,
}

/// Where work begins: at `stored`, or at the start of the next epoch. However long the broker takes to say; `None` when
/// stopped meanwhile.
pub(crate) async fn begin<S: Stage>(
    shared: &Shared<S>,
    partition: i32,
    stored: Watermark,
    stop: &Stop,
) -> Option<Watermark> {
    let mut has_complained = false;
    loop {
        match look(shared, partition, &stored).await {
            Ok(begun) => return Some(begun),
            Err(cause) if !has_complained => {
                let stage = S::STAGE.name();
                warn!(stage, partition, %cause, "the log cannot be looked at, will retry");
                has_complained = true;
            }
            Err(_) => {}
        }
        tokio::select! {
            () = stop.started() => return None,
            () = tokio::time::sleep(LOOK_WAIT) => {}
        }
    }
}

async fn look<S: Stage>(
    shared: &Shared<S>,
    partition: i32,
    stored: &Watermark,
) -> Result<Watermark, KafkaError> {
    let topic = shared.topic.as_str();
    let committed = committed(&shared.brokers, &shared.group, (topic, partition)).await?;
    let known = committed.and_then(|committed| committed.note).map_or(0, |note| note.epoch);
    if known > stored.epoch {
        let (stage, epoch) = (S::STAGE.name(), stored.epoch);
        warn!(stage, partition, epoch, known, "the store has lost the topic's epoch");
        let sources = sources_kept(shared, stored, Log::Anew).await?;
        return Ok(Watermark { epoch: known, sources, ..Watermark::default() });
    }
    if stored.next_offset == 0 {
        // Of a group that stood behind when this epoch began: its sources are of the time before.
        let log = if stored.epoch > 0 { Log::Anew } else { Log::Same };
        let sources = sources_kept(shared, stored, log).await?;
        return Ok(Watermark { sources, ..stored.clone() });
    }
    let found = glance(&shared.brokers, topic, partition, &asked(stored)).await?;
    let log = verdict(stored, &found);
    if log == Log::Same {
        return Ok(stored.clone());
    }
    let sources = sources_kept(shared, stored, log).await?;
    let is_raw_anew = sources != stored.sources;
    let Watermark { epoch, next_offset, .. } = stored;
    error!(
        topic,
        partition,
        epoch,
        next_offset,
        end = found.end,
        is_raw_anew,
        "{}",
        match log {
            Log::Shortened =>
                "the log has lost its end: read again from its start, nothing counts twice",
            Log::Same | Log::Anew =>
                "the topic was made anew: begins its next epoch, state is kept and added to",
        }
    );
    Ok(Watermark { epoch: epoch + 1, sources, ..Watermark::default() })
}

/// Whether a partition's log is the one that a watermark speaks of.
pub(crate) async fn is_same(
    brokers: &str,
    (topic, partition): (&str, i32),
    stored: &Watermark,
) -> Result<bool, KafkaError> {
    let found = glance(brokers, topic, partition, &asked(stored)).await?;
    Ok(stored.next_offset > 0 && verdict(stored, &found) != Log::Anew)
}

/// The offsets by which the log is known: of the last and of the first record applied.
fn asked(stored: &Watermark) -> Vec<i64> {
    let first = stored.marks.map(|marks| marks.first.0);
    std::iter::once(stored.next_offset - 1).chain(first).collect()
}

fn verdict(stored: &Watermark, found: &Glance) -> Log {
    let last = stored.next_offset - 1;
    let is_there = found.end > last;
    let Some(marks) = stored.marks else {
        return if is_there { Log::Same } else { Log::Anew };
    };
    let [last_ms, first_ms] = found.timestamps_ms.as_slice() else { return Log::Same };
    // What retention has removed says nothing.
    let may_be_last = last < found.start || *last_ms == Some(marks.last_ms);
    let may_be_first = first_ms.is_none_or(|first_ms| first_ms == marks.first.1);
    if is_there && may_be_last && may_be_first {
        return Log::Same;
    }
    if *first_ms == Some(marks.first.1) && marks.first.0 != last {
        Log::Shortened
    } else {
        Log::Anew
    }
}

/// The source positions that still hold: none of raw events that were made anew as well.
async fn sources_kept<S: Stage>(
    shared: &Shared<S>,
    stored: &Watermark,
    log: Log,
) -> Result<BTreeMap<i32, SourcePosition>, KafkaError> {
    let may_be_anew = S::TOPIC == Topic::Valid && log == Log::Anew && !stored.sources.is_empty();
    let is_raw_anew = may_be_anew && is_raw_anew(shared, stored).await?;
    Ok(if is_raw_anew { BTreeMap::new() } else { stored.sources.clone() })
}

/// Whether the raw topic no longer holds what was read of it.
async fn is_raw_anew<S>(shared: &Shared<S>, stored: &Watermark) -> Result<bool, KafkaError> {
    let raw = Topic::Events.name(&shared.config.kafka.topic_prefix);
    match admin::partition_count(&shared.brokers, &raw).await {
        Ok(_) => {}
        // It is gone, with its positions.
        Err(KafkaError::Topic { .. }) => return Ok(true),
        Err(cause) => return Err(cause),
    }
    // A broker that does not answer now says nothing of the topic.
    let ends = admin::end_offsets(&shared.brokers, &raw).await?;
    let end = |partition: i32| usize::try_from(partition).ok().and_then(|at| ends.get(at).copied());
    Ok(stored.sources.iter().any(|(partition, last)| end(*partition).unwrap_or(0) <= last.offset))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(stored: &str, (start, end): (i64, i64), timestamps_ms: &[Option<i64>], expected: Log) {
        let stored: Watermark = stored.parse().unwrap();
        assert_eq!(asked(&stored).len(), timestamps_ms.len());
        let found = Glance { start, end, timestamps_ms: timestamps_ms.to_vec() };
        assert_eq!(verdict(&stored, &found), expected);
    }

    #[test]
    fn a_log_is_known_by_its_records() {
        let stored = "0 50 #3@1000@2000";
        check(stored, (0, 50), &[Some(2_000), Some(1_000)], Log::Same);
        check(stored, (0, 90), &[Some(2_000), Some(1_000)], Log::Same);
        // By chance of the same time at its end.
        check(stored, (0, 90), &[Some(2_000), Some(7)], Log::Anew);
        // Made anew and shorter, or grown past.
        check(stored, (0, 20), &[None, Some(7)], Log::Anew);
        check(stored, (0, 0), &[None, None], Log::Anew);
        check(stored, (0, 90), &[Some(7), Some(8)], Log::Anew);
        check(stored, (0, 90), &[None, Some(8)], Log::Anew);
        // The same, but its end is gone, and perhaps written anew.
        check(stored, (0, 49), &[None, Some(1_000)], Log::Shortened);
        check(stored, (0, 90), &[Some(7), Some(1_000)], Log::Shortened);
        // Retention has removed what was applied, or more.
        check(stored, (50, 60), &[None, None], Log::Same);
        check(stored, (70, 90), &[None, None], Log::Same);
        check(stored, (30, 60), &[Some(2_000), None], Log::Same);
        check(stored, (30, 60), &[Some(7), None], Log::Anew);
    }

    #[test]
    fn one_record_is_no_sign_of_a_shortened_log() {
        check("0 4 #3@1000@1000", (0, 9), &[Some(1_000), Some(1_000)], Log::Same);
        check("0 4 #3@1000@1000", (0, 9), &[Some(7), Some(7)], Log::Anew);
    }

    #[test]
    fn without_marks_only_the_end_tells() {
        check("0 50", (0, 50), &[None], Log::Same);
        check("0 50", (0, 49), &[None], Log::Anew);
    }
}
