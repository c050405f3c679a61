//! How long nothing has come that was waited for.

use std::time::{Duration, Instant};

use upnext_common::clock::Clock;

/// How long reading to an end goes on without a single record before it is given up.
const SILENCE_MAX: Duration = Duration::from_secs(60);

pub(crate) struct Silence {
    clock: Clock,
    since: Instant,
}

impl Silence {
    pub(crate) fn new(clock: Clock) -> Self {
        Self { since: clock.instant(), clock }
    }

    /// Something came, and whoever wanted it has taken it.
    pub(crate) fn ends(&mut self) {
        self.since = self.clock.instant();
    }

    pub(crate) fn is_too_long(&self) -> bool {
        self.clock.instant().duration_since(self.since) >= SILENCE_MAX
    }
}
