//! The bounded pool on which answers are computed, so that the runtime's workers never do.
//!
//! A job carries its deadline. Work that is late when its turn comes, or whose caller has left, is skipped. Work
//! that would come too late (measured: waiting jobs × mean duration ÷ threads) is refused at the door, so that the
//! caller can go to the ladder at once instead of waiting for nothing.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};
use thiserror::Error;
use tokio::sync::oneshot;
use upnext_common::clock::Clock;
use upnext_common::deadline::Deadline;

/// Weight of the newest duration in the running mean.
const MEAN_SHIFT: u64 = 4;
/// What a job is assumed to take before the first one was measured.
const FIRST_MEAN_US: u64 = 1_000;

/// Threads that compute answers. Dropping it lets the running jobs end and drops the waiting ones.
pub(crate) struct ComputePool {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

struct Shared {
    clock: Clock,
    threads: u64,
    jobs_max: usize,
    queue: Mutex<Queue>,
    arrived: Condvar,
    /// Running mean of a job's duration, µs.
    mean_us: AtomicU64,
}

#[derive(Default)]
struct Queue {
    jobs: VecDeque<Job>,
    running: usize,
    is_closed: bool,
}

/// Takes the moment its turn came; answers whether it did the work (a skipped job says nothing about durations).
type Job = Box<dyn FnOnce(Instant) -> bool + Send>;

/// Why work was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub(crate) enum Shed {
    #[error("the compute queue is full")]
    QueueFull,
    #[error("the work would come too late")]
    WouldBeLate,
}

/// Why work that was taken gave nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub(crate) enum Lost {
    #[error("the deadline passed first")]
    Late,
    #[error("the computation panicked")]
    Panicked,
}

/// What was computed and how long it waited for its turn.
#[derive(Debug)]
pub(crate) struct Done<T> {
    pub(crate) value: T,
    pub(crate) waited: Duration,
    pub(crate) worked: Duration,
}

impl ComputePool {
    /// Starts `threads` (at least one) threads with room for `jobs_max` waiting jobs.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub(crate) fn start(threads: usize, jobs_max: usize, clock: Clock) -> std::io::Result<Self> {
        let threads = threads.max(1);
        let shared = Arc::new(Shared {
            clock,
            threads: threads as u64,
            jobs_max,
            queue: Mutex::default(),
            arrived: Condvar::new(),
            mean_us: AtomicU64::new(FIRST_MEAN_US),
        });
        let mut running = Vec::with_capacity(threads);
        for index in 0..threads {
            let shared = Arc::clone(&shared);
            let name = format!("compute-{index}");
            running.push(std::thread::Builder::new().name(name).spawn(move || shared.work())?);
        }
        Ok(Self { shared, threads: running })
    }

    /// Runs `work` on the pool and waits for it, at most until `deadline`. Cancel safe: dropped, the work is skipped
    /// if it has not begun.
    ///
    /// # Errors
    /// [`Shed`] at the door, as the outer error; [`Lost`] when it was taken and gave nothing.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        deadline: Deadline,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<Result<Done<T>, Lost>, Shed> {
        let receiver = self.submit(deadline, work)?;
        let until = tokio::time::Instant::from_std(deadline.instant());
        Ok(match tokio::time::timeout_at(until, receiver).await {
            Ok(Ok(outcome)) => outcome,
            // The job was dropped unstarted: late, or the pool is closing.
            Ok(Err(_)) | Err(_) => Err(Lost::Late),
        })
    }

    fn submit<T: Send + 'static>(
        &self,
        deadline: Deadline,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<oneshot::Receiver<Result<Done<T>, Lost>>, Shed> {
        let (sender, receiver) = oneshot::channel();
        let submitted = self.shared.clock.instant();
        let clock = self.shared.clock.clone();
        let job: Job = Box::new(move |began| {
            if sender.is_closed() || deadline.has_passed(began) {
                return false;
            }
            let outcome = catch_unwind(AssertUnwindSafe(work));
            let worked = clock.instant().duration_since(began);
            let waited = began.duration_since(submitted);
            let answer =
                outcome.map(|value| Done { value, waited, worked }).map_err(|_| Lost::Panicked);
            sender.send(answer).ok();
            true
        });
        self.shared.take(job, deadline, submitted)?;
        Ok(receiver)
    }
}

impl Drop for ComputePool {
    fn drop(&mut self) {
        {
            let mut queue = self.shared.queue.lock();
            queue.is_closed = true;
            queue.jobs.clear();
        }
        self.shared.arrived.notify_all();
        for thread in self.threads.drain(..) {
            thread.join().ok();
        }
    }
}

impl Shared {
    fn take(&self, job: Job, deadline: Deadline, now: Instant) -> Result<(), Shed> {
        let mut queue = self.queue.lock();
        if queue.jobs.len() >= self.jobs_max {
            return Err(Shed::QueueFull);
        }
        let ahead = (queue.jobs.len() + queue.running) as u64;
        if deadline.has_passed(now + self.expected_wait(ahead)) {
            return Err(Shed::WouldBeLate);
        }
        queue.jobs.push_back(job);
        drop(queue);
        self.arrived.notify_one();
        Ok(())
    }

    /// How long until work taken now, behind `ahead` jobs, is done: an estimate that is 0 on an idle pool, so that
    /// one slow job never closes the door for good.
    fn expected_wait(&self, ahead: u64) -> Duration {
        if ahead < self.threads {
            return Duration::ZERO;
        }
        let mean_us = self.mean_us.load(Ordering::Relaxed);
        Duration::from_micros((ahead + 1) * mean_us / self.threads)
    }

    fn work(&self) {
        while let Some(job) = self.next() {
            let began = self.clock.instant();
            let did_work = job(began);
            let took = self.clock.instant().duration_since(began);
            if did_work {
                self.learn(took);
            }
            self.queue.lock().running -= 1;
        }
    }

    fn next(&self) -> Option<Job> {
        let mut queue = self.queue.lock();
        loop {
            if queue.is_closed {
                return None;
            }
            if let Some(job) = queue.jobs.pop_front() {
                queue.running += 1;
                return Some(job);
            }
            self.arrived.wait(&mut queue);
        }
    }

    fn learn(&self, took: Duration) {
        let took_us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX >> MEAN_SHIFT);
        let mean = self.mean_us.load(Ordering::Relaxed);
        let next = mean - (mean >> MEAN_SHIFT) + (took_us >> MEAN_SHIFT);
        self.mean_us.store(next.max(1), Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests;
