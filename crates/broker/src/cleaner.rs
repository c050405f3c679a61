//! The thread that cleans logs and brings them to disk, round after round, one partition at a time.

use std::fs::File;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::oneshot;

use crate::node::Node;
use crate::partition::Round;

/// The running thread. Dropped, it ends by itself.
pub(crate) struct Cleaner {
    is_stopping: Arc<AtomicBool>,
    /// Dropped to wake the thread.
    wake: Option<SyncSender<()>>,
    ended: Option<oneshot::Receiver<()>>,
    _thread: JoinHandle<()>,
}

impl Cleaner {
    /// Starts the thread, which holds on to `lock` until it ends.
    pub(crate) fn start(node: Arc<Node>, lock: Arc<File>) -> io::Result<Self> {
        let is_stopping = Arc::new(AtomicBool::new(false));
        let (wake, woken) = sync_channel(1);
        let (end, ended) = oneshot::channel();
        let stopping = Arc::clone(&is_stopping);
        let thread =
            std::thread::Builder::new().name("broker-cleaner".to_owned()).spawn(move || {
                Rounds { node, is_stopping: stopping }.run(&woken);
                drop(lock);
                if end.send(()).is_err() {
                    tracing::debug!("the broker was dropped, not stopped");
                }
            })?;
        Ok(Self { is_stopping, wake: Some(wake), ended: Some(ended), _thread: thread })
    }

    /// Asks the thread to end and waits until it has.
    pub(crate) async fn stop(mut self) {
        self.ask_to_stop();
        if let Some(ended) = self.ended.take() {
            // An error says that the thread is gone, which is what is waited for.
            drop(ended.await);
        }
    }

    fn ask_to_stop(&mut self) {
        self.is_stopping.store(true, Ordering::Release);
        self.wake = None;
    }
}

impl Drop for Cleaner {
    fn drop(&mut self) {
        self.ask_to_stop();
    }
}

struct Rounds {
    node: Arc<Node>,
    is_stopping: Arc<AtomicBool>,
}

impl Rounds {
    fn run(&self, woken: &Receiver<()>) {
        let config = &self.node.config;
        let mut since_flush = Duration::ZERO;
        while woken.recv_timeout(config.clean_interval) == Err(RecvTimeoutError::Timeout) {
            self.clean_all();
            since_flush += config.clean_interval;
            if since_flush >= config.flush_interval {
                since_flush = Duration::ZERO;
                self.flush_all();
            }
        }
    }

    fn clean_all(&self) {
        let is_stopping = || self.is_stopping.load(Ordering::Acquire);
        for (name, topic) in self.node.catalog.all() {
            let keeping = topic.keeping();
            for (index, partition) in topic.partitions().iter().enumerate() {
                if is_stopping() {
                    return;
                }
                let now_ms = self.node.config.clock.now_ms();
                let round = Round { keeping, now_ms, is_stopping: &is_stopping };
                let cleaned = partition.clean(round);
                if let Some(error) = cleaned.err().filter(|_| !partition.is_closed()) {
                    tracing::error!(topic = %name, index, %error, "cannot clean a log, will retry");
                }
            }
        }
    }

    fn flush_all(&self) {
        for (name, topic) in self.node.catalog.all() {
            for (index, partition) in topic.partitions().iter().enumerate() {
                if self.is_stopping.load(Ordering::Acquire) {
                    return;
                }
                if let Err(error) = partition.flush() {
                    tracing::error!(topic = %name, index, %error, "cannot bring a log to disk");
                }
            }
        }
    }
}
