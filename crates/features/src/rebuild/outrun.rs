//! Whether retention overtakes a rebuild: what is dropped before it is read would be missing, and nobody would notice.
//!
//! Where each log begins is looked at again and again, before where the new state has come to. What was dropped between
//! two looks was read if the new state had come past it at the first of them; if not, it may not have been.

use std::collections::BTreeMap;

use upnext_kafka::scan::Stretch;
use upnext_store::Stage;

/// How far the new state had come when it was last looked at.
pub(super) struct Reached {
    known: BTreeMap<(Stage, i32), i64>,
    forgets_dropped: bool,
}

impl Reached {
    pub(super) fn new(forgets_dropped: bool) -> Self {
        Self { known: BTreeMap::new(), forgets_dropped }
    }

    /// How many records of a log are gone that may not have been read. `now`: the next offset of each partition, asked
    /// after its stretch.
    pub(super) fn look(&mut self, stage: Stage, stretches: &[Stretch], now: &[i64]) -> i64 {
        let mut dropped = 0;
        for (stretch, now) in stretches.iter().zip(now) {
            let before = self.known.insert((stage, stretch.partition), *now);
            let read = match (stage, before) {
                (Stage::Users, _) if self.forgets_dropped => stretch.start,
                (_, Some(before)) => before,
                // A rebuild begins only while the log has all of its events.
                (Stage::Users, None) => 0,
                // One that is continued: the beginning of the signals may have been read long ago.
                (Stage::Items, None) => *now,
            };
            dropped += (stretch.start - read).max(0);
        }
        dropped
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(stage: Stage, forgets_dropped: bool, looks: &[(i64, i64)], expected: &[i64]) {
        let mut reached = Reached::new(forgets_dropped);
        let look = |(start, now): &(i64, i64)| {
            reached.look(stage, &[Stretch { partition: 3, start: *start, end: 900 }], &[*now])
        };
        assert_eq!(looks.iter().map(look).collect::<Vec<_>>(), expected);
    }

    #[test]
    fn what_is_dropped_behind_the_new_state_is_no_loss() {
        check(Stage::Users, false, &[(0, 0), (0, 70), (70, 90), (80, 95)], &[0, 0, 0, 0]);
        check(Stage::Items, true, &[(0, 0), (0, 70), (70, 90), (80, 95)], &[0, 0, 0, 0]);
    }

    #[test]
    fn what_is_dropped_before_it_was_read_is_told() {
        // The reader goes on behind the gap as if nothing were.
        check(Stage::Users, false, &[(0, 0), (40, 60)], &[0, 40]);
        check(Stage::Users, false, &[(5, 60)], &[5]);
        check(Stage::Users, false, &[(0, 50), (60, 90), (60, 95)], &[0, 10, 0]);
        check(Stage::Items, true, &[(0, 50), (60, 90)], &[0, 10]);
    }

    #[test]
    fn who_wants_to_forget_is_not_held_up() {
        check(Stage::Users, true, &[(30, 0), (70, 90), (95, 95)], &[0, 0, 0]);
    }

    #[test]
    fn signals_that_were_heard_before_an_interruption_may_be_gone() {
        check(Stage::Items, false, &[(40, 60), (60, 80)], &[0, 0]);
        check(Stage::Items, false, &[(70, 60)], &[10]);
    }
}
