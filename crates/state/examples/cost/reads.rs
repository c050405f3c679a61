//! What reading a user costs, by the length of their history: by the reader that serving has from the store, then
//! windows, top items and the sequence.

use std::hint::black_box;
use std::time::Duration;

use anyhow::Context;
use upnext_common::clock::Clock;
use upnext_common::config::Redis;
use upnext_common::deadline::Deadline;
use upnext_common::event::Subject;
use upnext_state::UserState;
use upnext_store::Reader;

use crate::crowd::{NOW_MS, lived};
use crate::percentile;
use crate::store::Store;

/// Lengths of history, evenly spaced by their logarithm.
const EVENTS: [u64; 10] = [10, 28, 77, 215, 599, 1_668, 4_642, 12_915, 35_938, 100_000];
/// Users of each length.
const USERS: u64 = 40;
/// Longest wait for one read: none is given up on a busy machine.
const LIMIT: Duration = Duration::from_secs(1);
/// Rounds that only warm up.
const WARM: u64 = 500;

/// Times of one length of history: the whole read, and the part of it after the bytes have come.
#[derive(Default)]
struct Times {
    whole: Vec<Duration>,
    reading: Vec<Duration>,
    bytes: usize,
}

pub(crate) fn run(rounds: u64) -> anyhow::Result<()> {
    let mut store = Store::start()?;
    let mut times: Vec<Times> = EVENTS.iter().map(|_| Times::default()).collect();
    for (length, at) in EVENTS.iter().zip(0..) {
        let states = (0..USERS).map(|user| (at * USERS + user, lived(at * USERS + user, *length)));
        let blobs: Vec<_> = states.map(|(user, state)| (user, state.encode())).collect();
        times[usize::try_from(at)?].bytes = blobs.iter().map(|(_, blob)| blob.len()).sum::<usize>();
        store.put(&blobs)?;
    }
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    runtime.block_on(measure(&store.url(), rounds, &mut times))?;
    print(&mut times)
}

async fn measure(url: &str, rounds: u64, times: &mut [Times]) -> anyhow::Result<()> {
    let clock = Clock::system();
    let config = Redis { read_timeout_ms: LIMIT.as_millis().try_into()?, ..Redis::default() };
    let reader = Reader::connect(url, &config, clock.clone())?;
    while !reader.is_up() {
        tokio::task::yield_now().await;
    }
    for round in 0..WARM + rounds {
        // Every length in every round, each time in another order: whatever disturbs the machine disturbs all alike.
        for turn in 0..10 {
            let at = (turn * 3 + round * 7) % 10;
            let user = format!("user-{}", at * USERS + round % USERS);
            let start = clock.instant();
            let deadline = Deadline::after(start, LIMIT);
            let blobs = reader.users(&[Subject::User(&user)], deadline).await?;
            let came = clock.instant();
            read(blobs.first().and_then(Option::as_ref).context("nobody is stored there")?)?;
            let done = clock.instant();
            if round >= WARM {
                let of = &mut times[usize::try_from(at)?];
                of.whole.push(done.saturating_duration_since(start));
                of.reading.push(done.saturating_duration_since(came));
            }
        }
    }
    Ok(())
}

#[expect(clippy::print_stdout, reason = "an example talks to its user")]
fn print(times: &mut [Times]) -> anyhow::Result<()> {
    println!(" events  bytes   read p50   p99 µs   of it decoding and reading p50   p99 µs");
    let mut table = Vec::new();
    for (times, events) in times.iter_mut().zip(EVENTS) {
        let bytes = times.bytes / usize::try_from(USERS)?;
        let figures = [&mut times.whole, &mut times.reading].map(|times| {
            times.sort_unstable();
            [50, 99].map(|share| percentile(times, share).as_secs_f64() * 1e6)
        });
        let [[p50, p99], [own50, own99]] = figures;
        println!("{events:>7} {bytes:>6} {p50:>10.1} {p99:>8.1} {own50:>32.1} {own99:>8.1}");
        table.push([p50, p99]);
    }
    let (first, last) = (table[0], table[9]);
    let ratio = [0, 1].map(|at| last[at] / first[at]);
    println!(
        "a read of the top decile to one of the bottom: p50 {:.2}, p99 {:.2}",
        ratio[0], ratio[1]
    );
    Ok(())
}

/// What an answer looks at.
fn read(blob: &[u8]) -> anyhow::Result<()> {
    let state = UserState::decode(blob)?;
    black_box(state.windows(NOW_MS));
    black_box(state.top_items(NOW_MS));
    black_box(state.sequence(None));
    Ok(())
}
