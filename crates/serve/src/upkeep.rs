//! Upkeep: the thread that makes trending lists and item vectors beforehand, so that no request has to.

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use parking_lot::{Condvar, Mutex, MutexGuard};
use upnext_common::clock::Clock;

use crate::worlds::Worlds;

/// Pause between two rounds: how old a list or a missing vector can be.
const ROUND: Duration = Duration::from_millis(250);
/// The pause is at least so many times what the round took: upkeep of a large catalogue leaves the processors to
/// the answers.
const PAUSE_PER_WORK: u32 = 10;

/// Runs until it is dropped.
pub(crate) struct Upkeep {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    is_over: Mutex<bool>,
    changed: Condvar,
}

impl Upkeep {
    /// # Errors
    /// When the system gives no thread.
    pub(crate) fn start(worlds: Arc<Worlds>, clock: Clock) -> std::io::Result<Self> {
        let shared = Arc::new(Shared::default());
        let theirs = Arc::clone(&shared);
        let thread = std::thread::Builder::new()
            .name("upkeep".to_owned())
            .spawn(move || theirs.run(&worlds, &clock))?;
        Ok(Self { shared, thread: Some(thread) })
    }
}

impl Drop for Upkeep {
    fn drop(&mut self) {
        *self.shared.is_over.lock() = true;
        self.shared.changed.notify_all();
        if let Some(thread) = self.thread.take() {
            thread.join().ok();
        }
    }
}

impl Shared {
    fn run(&self, worlds: &Worlds, clock: &Clock) {
        let mut is_over = self.is_over.lock();
        while !*is_over {
            let began = clock.instant();
            MutexGuard::unlocked(&mut is_over, || {
                worlds.refresh(clock.now_ms());
            });
            let took = clock.instant().duration_since(began);
            if !*is_over {
                self.changed.wait_for(&mut is_over, ROUND.max(took * PAUSE_PER_WORK));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use upnext_common::config;
    use upnext_common::generation::Generation;
    use upnext_common::item::Item;
    use upnext_common::metrics::Metrics;
    use upnext_store::Reader;

    use super::*;
    use crate::world::World;
    use crate::worlds::Served;

    #[tokio::test]
    async fn new_items_are_indexed_and_listed_without_a_request() {
        let world = Arc::new(World::new(Metrics::new()));
        let (redis, clock) = (config::Redis::default(), Clock::system());
        let reader = Reader::connect("redis://127.0.0.1:9", &redis, clock.clone()).unwrap();
        let (generation, reader) = (Generation::default(), Arc::new(reader));
        let worlds = Worlds::new(Served { generation, world: Arc::clone(&world), reader });
        let upkeep = Upkeep::start(Arc::new(worlds), clock).unwrap();
        let item = Item { item_id: "a".to_owned(), ..Item::default() };
        world.apply_items(&[(0, item)]);
        let indexed = tokio::time::timeout(Duration::from_secs(20), world.indexed()).await;
        assert!(indexed.is_ok());
        drop(upkeep);
    }
}
