//! When an answer must be out: made once at admission, passed by value, only ever made earlier.

use std::time::{Duration, Instant};

/// A moment by which work must be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Deadline(Instant);

impl Deadline {
    /// The deadline of a request admitted at `now` with `budget` left.
    #[must_use]
    pub fn after(now: Instant, budget: Duration) -> Self {
        Self(now + budget)
    }

    /// The same or an earlier deadline that leaves `reserve` for what comes after.
    #[must_use]
    pub fn keeping(self, reserve: Duration) -> Self {
        Self(self.0.checked_sub(reserve).unwrap_or(self.0))
    }

    /// The same or an earlier deadline: at most `budget` from `now`.
    #[must_use]
    pub fn within(self, now: Instant, budget: Duration) -> Self {
        Self(self.0.min(now + budget))
    }

    /// What is left at `now`; zero once it has passed.
    #[must_use]
    pub fn left(self, now: Instant) -> Duration {
        self.0.saturating_duration_since(now)
    }

    #[must_use]
    pub fn has_passed(self, now: Instant) -> bool {
        now >= self.0
    }

    #[must_use]
    pub fn instant(self) -> Instant {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Clock;

    #[test]
    fn it_is_only_ever_made_earlier() {
        let now = Clock::manual(0).instant();
        let deadline = Deadline::after(now, Duration::from_millis(100));
        let kept = deadline.keeping(Duration::from_millis(10));
        assert_eq!(kept.left(now), Duration::from_millis(90));
        assert_eq!(kept.within(now, Duration::from_secs(9)), kept);
        assert_eq!(kept.within(now, Duration::from_millis(5)).left(now), Duration::from_millis(5));
        assert!(kept.has_passed(now + Duration::from_millis(90)));
    }
}
