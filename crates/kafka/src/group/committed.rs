//! What a group has committed of a partition, asked without joining it; and the note that stands with a commit.

use std::time::Duration;

use rdkafka::consumer::Consumer;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use crate::{KafkaError, client};

const QUESTION_TIMEOUT: Duration = Duration::from_secs(5);
/// The note is this and a number.
const EPOCH: &str = "epoch=";

/// A commit as it was said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Committed {
    pub next_offset: i64,
    /// The topic's epoch, as its owner counts them; 0 where none was noted.
    pub topic_epoch: u32,
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
        let topic_epoch = found.elements().first().map_or(0, |one| noted(one.metadata()));
        Ok(Some(Committed { next_offset, topic_epoch }))
    })
    .await
}

/// The note of a commit in that epoch.
pub(super) fn note(topic_epoch: u32) -> String {
    format!("{EPOCH}{topic_epoch}")
}

/// What anybody else has noted says nothing.
fn noted(note: &str) -> u32 {
    note.strip_prefix(EPOCH).and_then(|number| number.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_epoch_comes_back_and_nothing_else_passes_for_one() {
        assert_eq!(noted(&note(7)), 7);
        for foreign in ["", "7", "epoch=", "epoch=-1", "epoch=x", "EPOCH=7"] {
            assert_eq!(noted(foreign), 0, "{foreign}");
        }
    }
}
