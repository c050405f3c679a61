//! What a group has committed of a partition, asked without joining it; and the note that stands with a commit.

use std::fmt;
use std::time::Duration;

use rdkafka::consumer::Consumer;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use crate::{KafkaError, client};

const QUESTION_TIMEOUT: Duration = Duration::from_secs(5);
const EPOCH: &str = "epoch=";

/// A commit as it was said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Committed {
    pub next_offset: i64,
    /// `None`: somebody else has committed, with a tool perhaps.
    pub note: Option<Note>,
}

/// What stands with a commit: by what its log is known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Note {
    /// Which incarnation of the topic the offset counts in, as its owner counts them.
    pub epoch: u32,
    pub marks: Option<Marks>,
}

/// Timestamps of records that were read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Marks {
    /// Offset and timestamp of a record far back, the first one that was read in this epoch.
    pub first: (i64, i64),
    /// Timestamp of the record before the offset that is committed.
    pub last_ms: i64,
}

/// What `group` has committed of a partition; `None`: nothing, or nothing any more. A broker forgets the commits of a
/// topic that is deleted.
///
/// # Errors
/// When no broker answers.
pub async fn committed(
    brokers: &str,
    group: &str,
    (topic, partition): (&str, i32),
) -> Result<Option<Committed>, KafkaError> {
    let (settings, topic) = (client::consumer_settings(brokers, group), topic.to_owned());
    client::ask(move || {
        let mut list = TopicPartitionList::new();
        list.add_partition(&topic, partition);
        let found = client::loner(&settings)?
            .committed_offsets(list, QUESTION_TIMEOUT)
            .map_err(|cause| KafkaError::topic(&topic, cause))?;
        let Some(Offset::Offset(next_offset)) = found.elements().first().map(|one| one.offset())
        else {
            return Ok(None);
        };
        let note = found.elements().first().and_then(|one| noted(one.metadata()));
        Ok(Some(Committed { next_offset, note }))
    })
    .await
}

impl fmt::Display for Note {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{EPOCH}{}", self.epoch)?;
        let Some(Marks { first: (offset, first_ms), last_ms }) = self.marks else { return Ok(()) };
        write!(out, " {offset}@{first_ms}@{last_ms}")
    }
}

/// What anybody else has noted says nothing.
fn noted(text: &str) -> Option<Note> {
    let rest = text.strip_prefix(EPOCH)?;
    let (epoch, marks) = match rest.split_once(' ') {
        Some((epoch, marks)) => (epoch, Some(marks_of(marks)?)),
        None => (rest, None),
    };
    Some(Note { epoch: epoch.parse().ok()?, marks })
}

fn marks_of(text: &str) -> Option<Marks> {
    let mut parts = text.split('@');
    let first = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
    let last_ms = parts.next()?.parse().ok()?;
    parts.next().is_none().then_some(Marks { first, last_ms })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_comes_back_and_nothing_else_passes_for_one() {
        let marks = Some(Marks { first: (3, -5), last_ms: 9 });
        for note in [Note { epoch: 7, marks: None }, Note { epoch: 0, marks }] {
            assert_eq!(noted(&note.to_string()), Some(note));
        }
        for foreign in
            ["", "7", "epoch=", "epoch=-1", "epoch=x", "EPOCH=7", "epoch=1 2@3", "epoch=1 2@3@x"]
        {
            assert_eq!(noted(foreign), None, "{foreign}");
        }
    }
}
