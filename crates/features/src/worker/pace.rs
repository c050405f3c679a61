//! When a flush is due: at once after a quiet time, together with others under load.

use std::time::Duration;

use tokio::time::Instant;

/// How often an idle partition makes sure that the store still has its watermark.
const CHECK_INTERVAL: Duration = Duration::from_secs(1);
/// A partition that has caught up rests between two flushes so many times what the last one took: the fuller the
/// processors and the store are, the more each flush takes along.
const REST_PER_WORK: u32 = 4;

/// A partition that is far behind lets so many times the usual time pass: nobody sees its work soon anyway, and what
/// goes together costs less.
const BEHIND_FACTOR: u32 = 10;

/// What there is to do after what was applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Backlog {
    None,
    /// More waits in the queue.
    Some,
    /// More waits, and it is old.
    Long,
}

/// The rhythm of one partition.
pub(super) struct Pace {
    /// Longest time between two flushes while more waits and is not old.
    flush_max: Duration,
    rest: Duration,
    /// When the store last confirmed the watermark.
    seen_at: Instant,
}

impl Pace {
    pub(super) fn new(flush_ms: u64) -> Self {
        let flush_max = Duration::from_millis(flush_ms);
        Self { flush_max, rest: Duration::ZERO, seen_at: Instant::now() }
    }

    /// When to look after the partition next, with or without something `pending`.
    pub(super) fn due_at(&self, has_pending: bool, backlog: Backlog) -> Instant {
        self.seen_at + self.wait(has_pending, backlog)
    }

    fn wait(&self, has_pending: bool, backlog: Backlog) -> Duration {
        match backlog {
            _ if !has_pending => CHECK_INTERVAL,
            Backlog::None => self.rest,
            Backlog::Some => self.flush_max,
            Backlog::Long => self.flush_max * BEHIND_FACTOR,
        }
    }

    /// A flush is done.
    pub(super) fn flushed(&mut self, took: Duration) {
        self.rest = (took * REST_PER_WORK).min(self.flush_max);
        self.checked();
    }

    /// The watermark was seen unchanged.
    pub(super) fn checked(&mut self) {
        self.seen_at = Instant::now();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn the_first_of_all_is_due_at_once() {
        let pace = Pace::new(50);
        assert_eq!(pace.wait(true, Backlog::None), Duration::ZERO);
        assert_eq!(pace.wait(false, Backlog::None), CHECK_INTERVAL);
    }

    #[test]
    fn what_follows_waits_as_long_as_flushes_are_dear_and_never_longer_than_told() {
        let mut pace = Pace::new(50);
        for (took, rest) in [(1, 4), (3, 12), (12, 48), (13, 50), (500, 50), (0, 0)] {
            pace.flushed(took * MS);
            assert_eq!(pace.wait(true, Backlog::None), rest * MS);
            assert_eq!(pace.wait(true, Backlog::Some), 50 * MS);
            assert_eq!(pace.wait(true, Backlog::Long), 500 * MS);
        }
    }
}
