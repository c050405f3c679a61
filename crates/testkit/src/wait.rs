//! Waiting for a condition with a bound, and finding a free port.

use std::net::{Ipv4Addr, TcpListener};
use std::time::Duration;

use upnext_common::clock::Clock;

const POLL: Duration = Duration::from_millis(10);

/// Polls `condition` until it holds; fails the test once `bound` has passed.
///
/// It blocks its thread: inside an async test use [`eventually_async`], or a multi-thread runtime.
#[track_caller]
#[expect(clippy::disallowed_methods, reason = "this is the bounded wait that replaces sleeping")]
pub fn eventually(bound: Duration, mut condition: impl FnMut() -> bool) {
    let clock = Clock::system();
    let start = clock.instant();
    while !condition() {
        assert!(clock.instant() - start < bound, "the condition did not hold within {bound:?}");
        std::thread::sleep(POLL);
    }
}

/// Like [`eventually`] for a condition that awaits: `eventually_async(bound, async || …).await`.
pub async fn eventually_async(bound: Duration, mut condition: impl AsyncFnMut() -> bool) {
    wait_for(bound, async || condition().await.then_some(())).await;
}

/// Polls `attempt` until it gives a value; fails the test once `bound` has passed.
pub async fn wait_for<T>(bound: Duration, mut attempt: impl AsyncFnMut() -> Option<T>) -> T {
    let clock = Clock::system();
    let start = clock.instant();
    loop {
        if let Some(value) = attempt().await {
            return value;
        }
        assert!(clock.instant() - start < bound, "nothing came within {bound:?}");
        tokio::time::sleep(POLL).await;
    }
}

/// A loopback port that was free a moment ago.
#[must_use]
pub fn free_port() -> u16 {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .and_then(|listener| listener.local_addr())
        .expect("loopback has a free port")
        .port()
}
