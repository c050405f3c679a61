//! Which generation of state a daemon works for, and when it goes over to the next.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tracing::{info, warn};
use upnext_common::clock::Clock;
use upnext_common::config;
use upnext_common::drain::Drain;
use upnext_common::generation::Generation;
use upnext_store::Generations;

/// How often the store is asked which generation serves.
pub(crate) const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How long a daemon goes on in a generation that serves no more: those who answer from it take a moment to load the
/// next one, whose builder stays for longer than that.
pub(crate) const GRACE: Duration = Duration::from_secs(4);

/// The store's settings with the key prefix of a generation.
pub(crate) fn redis_of(redis: &config::Redis, generation: Generation) -> config::Redis {
    config::Redis { key_prefix: generation.key_prefix(&redis.key_prefix), ..redis.clone() }
}

/// The generation that serves, however long the store is away. `None` when drained meanwhile.
pub(crate) async fn serving(generations: &Generations, drain: &Drain) -> Option<Generation> {
    let mut has_complained = false;
    loop {
        match generations.serving().await {
            Ok(serving) => return Some(serving),
            Err(error) if !error.fault().may_retry() && !has_complained => {
                warn!(%error, "which generation serves is not understood, will retry");
                has_complained = true;
            }
            Err(_) => {}
        }
        tokio::select! {
            () = drain.started() => return None,
            () = tokio::time::sleep(LOOK_EVERY / 10) => {}
        }
    }
}

/// What a daemon calls itself where several tell what they work on.
pub(crate) fn worker_name(clock: &Clock) -> String {
    static BEGUN: AtomicU64 = AtomicU64::new(0);
    let number = BEGUN.fetch_add(1, Ordering::AcqRel);
    format!("features-{}-{}-{number}", std::process::id(), clock.now_ms())
}

/// Says again and again that work goes on in a generation, so that its states stay where they are: whoever works on
/// states that are being removed takes what is gone for new. Resolves a while after another generation was taken into
/// service. Cancel safe.
pub(crate) async fn is_left(generations: &Generations, generation: Generation, worker: &str) {
    loop {
        // The next look says it again.
        generations.report(worker, generation).await.ok();
        tokio::time::sleep(LOOK_EVERY).await;
        // A store that is away says nothing; the partitions wait for it by themselves.
        match generations.serving().await {
            Ok(serving) if serving != generation => {
                info!(%generation, %serving, "another generation serves");
                break;
            }
            Ok(_) | Err(_) => {}
        }
    }
    tokio::time::sleep(GRACE).await;
}
