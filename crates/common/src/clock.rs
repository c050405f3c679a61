//! Time as an argument: wall time for stamps, monotonic time for deadlines.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Where the time comes from. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Clock(Source);

#[derive(Clone, Debug)]
enum Source {
    System,
    Manual { start: Instant, start_ms: i64, elapsed_ms: Arc<AtomicI64> },
}

impl Clock {
    #[must_use]
    pub fn system() -> Self {
        Self(Source::System)
    }

    /// A clock that stands at `start_ms` until it is advanced.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "the clock is where time is read")]
    pub fn manual(start_ms: i64) -> Self {
        let elapsed_ms = Arc::new(AtomicI64::new(0));
        Self(Source::Manual { start: Instant::now(), start_ms, elapsed_ms })
    }

    /// Milliseconds since the epoch.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "the clock is where time is read")]
    pub fn now_ms(&self) -> i64 {
        match &self.0 {
            Source::System => {
                let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
                i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
            }
            Source::Manual { start_ms, elapsed_ms, .. } => {
                start_ms + elapsed_ms.load(Ordering::Acquire)
            }
        }
    }

    /// Monotonic time.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "the clock is where time is read")]
    pub fn instant(&self) -> Instant {
        match &self.0 {
            Source::System => Instant::now(),
            Source::Manual { start, elapsed_ms, .. } => {
                let elapsed = u64::try_from(elapsed_ms.load(Ordering::Acquire)).unwrap_or(0);
                *start + Duration::from_millis(elapsed)
            }
        }
    }

    /// Moves a manual clock on; a system clock takes no notice.
    pub fn advance(&self, by: Duration) {
        if let Source::Manual { elapsed_ms, .. } = &self.0 {
            let by_ms = i64::try_from(by.as_millis()).unwrap_or(i64::MAX);
            elapsed_ms.fetch_add(by_ms, Ordering::AcqRel);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manual_clock_moves_only_when_told() {
        let clock = Clock::manual(1_000);
        let before = clock.instant();
        clock.advance(Duration::from_millis(250));
        assert_eq!(clock.now_ms(), 1_250);
        assert_eq!(clock.instant() - before, Duration::from_millis(250));
    }
}
