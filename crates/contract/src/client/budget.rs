//! How often the registry may be asked, whatever arrives.

use std::time::{Duration, Instant};

use parking_lot::Mutex;
use upnext_common::clock::Clock;

/// Calls that may come at once, and calls a second after that: at most ten in any second.
const BURST: u32 = 5;
const INTERVAL: Duration = Duration::from_millis(200);

/// A token bucket. One per process: all partitions share it.
pub(super) struct Budget {
    clock: Clock,
    state: Mutex<State>,
}

struct State {
    tokens: u32,
    /// When the tokens were counted last.
    at: Instant,
}

impl Budget {
    pub(super) fn new(clock: Clock) -> Self {
        let state = Mutex::new(State { tokens: BURST, at: clock.instant() });
        Self { clock, state }
    }

    /// Returns once a call may be made.
    pub(super) async fn spend(&self) {
        while let Some(wait) = self.wait() {
            tokio::time::sleep(wait).await;
        }
    }

    /// Takes a token, or says how long until there is one.
    fn wait(&self) -> Option<Duration> {
        let now = self.clock.instant();
        let mut state = self.state.lock();
        while state.tokens < BURST && now.duration_since(state.at) >= INTERVAL {
            state.tokens += 1;
            state.at += INTERVAL;
        }
        if state.tokens == BURST {
            state.at = now;
        }
        if state.tokens == 0 {
            return Some(INTERVAL.saturating_sub(now.duration_since(state.at)));
        }
        state.tokens -= 1;
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_second_sees_more_than_ten_calls() {
        let clock = Clock::manual(0);
        let budget = Budget::new(clock.clone());
        let mut calls = Vec::new();
        for step in 0..10_000_u32 {
            // Quiet from 4 s to 7 s, so that a burst follows a rest.
            if !(4_000..7_000).contains(&step) && budget.wait().is_none() {
                calls.push(step);
            }
            clock.advance(Duration::from_millis(1));
        }
        for from in &calls {
            let within = calls.iter().filter(|at| (*from..from + 1_000).contains(*at)).count();
            assert!(within <= 10, "{within} calls in the second from {from} ms");
        }
        assert!(calls.len() > 35, "{} calls in ten seconds", calls.len());
    }
}
