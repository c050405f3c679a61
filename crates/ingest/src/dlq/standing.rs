//! Which dead letters were valid after all: ingest was killed between writing one and committing, and judged the record
//! otherwise when it came again (its schema had been registered meanwhile, a limit was raised). Their events are
//! counted already.

use upnext_common::drain::Drain;
use upnext_common::position::{Position, SOURCE_OFFSET, SOURCE_PARTITION, SOURCE_TOPIC};
use upnext_common::topic::Topic;
use upnext_kafka::{KafkaError, Record, scan};

use super::DeadLetters;
use super::ledger::Ledger;

/// A valid event bears the timestamp of its raw record, as the letter does, unless the topic notes when it was written:
/// then they are as far apart as a kill and a start.
const APART_MAX_MS: i64 = 3_600_000;

/// Positions of raw records, and from when on their events may stand.
#[derive(Default)]
pub(super) struct Asked {
    positions: Ledger,
    since_ms: Option<i64>,
}

impl Asked {
    pub(super) fn insert(&mut self, source: &Position, timestamp_ms: i64) {
        self.positions.insert(source);
        let since_ms = self.since_ms.get_or_insert(timestamp_ms);
        *since_ms = timestamp_ms.min(*since_ms);
    }

    /// Those of the positions whose events stand among the valid ones now; holds no more than was asked for. What it had
    /// found when drained.
    pub(super) async fn standing(
        self,
        from: &DeadLetters,
        drain: &Drain,
    ) -> Result<Ledger, KafkaError> {
        let mut standing = Ledger::default();
        let Some(since_ms) = self.since_ms else { return Ok(standing) };
        let topic = Topic::Valid.name(&from.topic_prefix);
        let since_ms = since_ms.saturating_sub(APART_MAX_MS);
        let stretches = scan::stretches(&from.brokers, &topic, Some(since_ms)).await?;
        let mut records = scan::read(&from.brokers, &topic, &stretches)?;
        loop {
            let record = tokio::select! {
                biased;
                () = drain.started() => return Ok(standing),
                record = records.recv() => record,
            };
            let Some(record) = record else { return Ok(standing) };
            if let Some(source) = source_of(&record?).filter(|it| self.positions.contains(it)) {
                standing.insert(&source);
            }
        }
    }
}

/// Where the record that the event was made from stood.
fn source_of(record: &Record) -> Option<Position> {
    let text = |name| std::str::from_utf8(record.header(name)?).ok();
    Some(Position {
        topic: text(SOURCE_TOPIC)?.to_owned(),
        partition: text(SOURCE_PARTITION)?.parse().ok()?,
        offset: text(SOURCE_OFFSET)?.parse().ok()?,
    })
}
