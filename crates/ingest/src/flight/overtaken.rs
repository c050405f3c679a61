//! Which refused events must not be sent again, because a later one was written before them.

use upnext_common::topic::Topic;

/// A record that a broker refused, and where.
pub(super) struct Refused {
    pub(super) offset: i64,
    pub(super) topic: Topic,
    /// `None`: it did not get as far as a partition.
    pub(super) partition: Option<i32>,
}

/// An event that was written to the valid topic, or perhaps was.
pub(super) struct Written {
    pub(super) offset: i64,
    /// `None`: nobody knows.
    pub(super) partition: Option<i32>,
}

/// Offsets of events that were refused in a partition of the valid topic where one after them was written. They come
/// too late for that one: whoever counts has seen the later. A gapless producer does so only with its first records
/// there.
pub(super) fn overtaken(refused: &[Refused], written: &[Written]) -> Vec<i64> {
    let by = |refused: &Refused, later: &Written| {
        later.offset > refused.offset
            && (later.partition.is_none() || later.partition == refused.partition)
    };
    let events = refused.iter().filter(|refused| refused.topic == Topic::Valid);
    events
        .filter(|refused| written.iter().any(|later| by(refused, later)))
        .map(|refused| refused.offset)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(refused: (i64, Topic), written: (i64, Option<i32>), is_overtaken: bool) {
        let (offset, topic) = refused;
        let refused = [Refused { offset, topic, partition: Some(1) }];
        let (later, partition) = written;
        let found = overtaken(&refused, &[Written { offset: later, partition }]);
        assert_eq!(found == [offset], is_overtaken, "{offset} by {later} in {partition:?}");
        assert_eq!(found.is_empty(), !is_overtaken);
    }

    #[test]
    fn an_event_is_overtaken_by_a_later_one_in_its_own_partition() {
        check((7, Topic::Valid), (9, Some(1)), true);
        check((7, Topic::Valid), (9, None), true);
        check((7, Topic::Valid), (9, Some(0)), false);
        check((7, Topic::Valid), (5, Some(1)), false);
    }

    #[test]
    fn a_letter_is_not_overtaken_by_an_event_in_the_partition_of_the_same_number() {
        check((7, Topic::DeadLetters), (9, Some(1)), false);
    }
}
