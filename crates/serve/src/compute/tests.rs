//! The pool under its limits: late work, full queue, callers who left, panics.

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use super::*;

const LONG: Duration = Duration::from_secs(30);

fn pool(threads: usize, jobs_max: usize) -> ComputePool {
    ComputePool::start(threads, jobs_max, Clock::system()).unwrap()
}

fn soon(budget: Duration) -> Deadline {
    Deadline::after(Clock::system().instant(), budget)
}

/// Occupies one thread until the returned sender is dropped.
fn occupy(pool: &ComputePool) -> SyncSender<()> {
    let (release, held): (_, Receiver<()>) = sync_channel(1);
    let (began, has_begun) = sync_channel(1);
    let receiver = pool
        .submit(soon(LONG), move || {
            began.send(()).ok();
            held.recv().ok();
        })
        .unwrap();
    has_begun.recv().unwrap();
    drop(receiver);
    release
}

#[tokio::test]
async fn work_comes_back_with_its_timings() {
    let done = pool(2, 4).run(soon(LONG), || 6 * 7).await.unwrap().unwrap();
    assert_eq!(done.value, 42);
    assert!(done.waited + done.worked < LONG);
}

#[tokio::test]
async fn late_work_is_dropped_at_the_deadline() {
    let pool = pool(1, 4);
    let release = occupy(&pool);
    let (ran, has_run) = sync_channel(1);
    let outcome = pool.run(soon(Duration::from_millis(20)), move || ran.send(()).ok()).await;
    assert_eq!(outcome.unwrap().unwrap_err(), Lost::Late);
    drop(release);
    assert_eq!(pool.run(soon(LONG), || 1).await.unwrap().unwrap().value, 1);
    assert!(has_run.recv().is_err(), "the late job was dropped, not run");
}

#[tokio::test]
async fn work_whose_caller_left_is_skipped() {
    let pool = pool(1, 4);
    let release = occupy(&pool);
    let (ran, has_run) = sync_channel(1);
    drop(pool.submit(soon(LONG), move || ran.send(()).ok()).unwrap());
    drop(release);
    assert_eq!(pool.run(soon(LONG), || 1).await.unwrap().unwrap().value, 1);
    assert!(has_run.recv().is_err());
}

#[tokio::test]
async fn a_full_queue_sheds_at_the_door() {
    let pool = pool(1, 1);
    let release = occupy(&pool);
    let waiting = pool.submit(soon(LONG), || ()).unwrap();
    assert_eq!(pool.run(soon(LONG), || ()).await.unwrap_err(), Shed::QueueFull);
    drop((waiting, release));
}

#[tokio::test]
async fn what_would_come_too_late_is_shed_at_the_door() {
    let pool = pool(1, 1_000);
    pool.shared.mean_us.store(50_000, Ordering::Relaxed);
    let release = occupy(&pool);
    let waiting: Vec<_> = (0..10).map(|_| pool.submit(soon(LONG), || ()).unwrap()).collect();
    let outcome = pool.run(soon(Duration::from_millis(200)), || ()).await;
    assert_eq!(outcome.unwrap_err(), Shed::WouldBeLate);
    drop((waiting, release));
}

#[tokio::test]
async fn an_idle_pool_takes_work_however_slow_the_last_was() {
    let pool = pool(1, 4);
    pool.shared.mean_us.store(10_000_000, Ordering::Relaxed);
    assert!(pool.run(soon(Duration::from_secs(5)), || ()).await.unwrap().is_ok());
    // It learns how long the work took once the answer is out.
    upnext_testkit::eventually(LONG, || pool.shared.mean_us.load(Ordering::Relaxed) < 10_000_000);
}

#[tokio::test]
async fn a_panic_is_lost_work_and_the_thread_goes_on() {
    let pool = pool(1, 4);
    let outcome = pool.run(soon(LONG), || panic!("on purpose")).await.unwrap();
    assert_eq!(outcome.map(|done: Done<()>| done.value).unwrap_err(), Lost::Panicked);
    assert_eq!(pool.run(soon(LONG), || 2).await.unwrap().unwrap().value, 2);
}
