//! What a reading thread hands on: bounded in number, and in bytes as its sender sees them.

use std::collections::VecDeque;
use std::thread;
use std::time::Duration;

use tokio::sync::mpsc;

/// How often a sender that waits for bytes to be taken looks again.
const ROOM_RECHECK: Duration = Duration::from_millis(2);

/// The sender's end. The only one: so it knows the sizes of what is not taken yet.
pub(crate) struct Ahead<T> {
    sender: mpsc::Sender<T>,
    /// Of what was sent last, oldest first: everything that waits, and perhaps some that was taken.
    sizes: VecDeque<usize>,
    bytes: usize,
    bytes_max: usize,
}

impl<T> Ahead<T> {
    /// At most `count_max` wait, and no more than `bytes_max` bytes unless one alone has more.
    pub(crate) fn channel(count_max: usize, bytes_max: usize) -> (Self, mpsc::Receiver<T>) {
        let (sender, receiver) = mpsc::channel(count_max);
        (Self { sender, sizes: VecDeque::new(), bytes: 0, bytes_max }, receiver)
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.sender.is_closed()
    }

    /// Waits for room as long as it takes, unless `is_over`. Whether somebody will read it. Blocks.
    pub(crate) fn send(&mut self, item: T, size: usize, is_over: impl Fn() -> bool) -> bool {
        while !self.has_room(size) {
            if self.is_closed() || is_over() {
                return false;
            }
            thread::park_timeout(ROOM_RECHECK);
        }
        self.sizes.push_back(size);
        self.bytes += size;
        self.sender.blocking_send(item).is_ok()
    }

    fn has_room(&mut self, size: usize) -> bool {
        let waiting = self.sender.max_capacity() - self.sender.capacity();
        while self.sizes.len() > waiting {
            self.bytes -= self.sizes.pop_front().unwrap_or(0);
        }
        self.sizes.is_empty() || self.bytes + size <= self.bytes_max
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_bound_it_where_the_number_does_not() {
        let (mut ahead, mut receiver) = Ahead::channel(100, 10_000);
        for item in 0..2 {
            assert!(ahead.has_room(4_000) && ahead.send(item, 4_000, || false));
        }
        assert!(!ahead.has_room(4_000) && ahead.has_room(2_000));
        assert_eq!(receiver.blocking_recv(), Some(0));
        assert!(ahead.has_room(4_000));
        assert_eq!(receiver.blocking_recv(), Some(1));
        assert!(ahead.send(2, 1_000_000, || false), "one alone always has room");
        assert!(!ahead.has_room(0) && !ahead.send(3, 1, || true), "over is over");
        drop(receiver);
        assert!(!ahead.send(4, 1, || false), "and nobody reads any more");
    }
}
