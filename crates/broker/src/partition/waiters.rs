//! The fetches that wait at one partition. A fetch may wait at many; the first append wakes it.

use std::sync::{Arc, Weak};

use parking_lot::Mutex;
use tokio::sync::Notify;

#[derive(Default)]
pub(super) struct Waiters(Mutex<Vec<Weak<Notify>>>);

impl Waiters {
    /// Enrols a fetch until the next waking. Those that have gone are forgotten on the way, so that the list is no
    /// longer than the connections are many.
    pub(super) fn add(&self, fetch: &Arc<Notify>) {
        let mut waiting = self.0.lock();
        waiting.retain(|other| {
            other.strong_count() > 0 && !std::ptr::eq(other.as_ptr(), Arc::as_ptr(fetch))
        });
        waiting.push(Arc::downgrade(fetch));
    }

    pub(super) fn wake(&self) {
        let waiting = std::mem::take(&mut *self.0.lock());
        for fetch in waiting.iter().filter_map(Weak::upgrade) {
            fetch.notify_one();
        }
    }
}
