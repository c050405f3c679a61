//! What reading a user costs, by the length of their history: from the store to windows, top items and the sequence.

use std::hint::black_box;
use std::time::Duration;

use upnext_common::clock::Clock;
use upnext_state::UserState;

use crate::crowd::{NOW_MS, lived};
use crate::percentile;
use crate::store::Store;

/// Lengths of history, evenly spaced by their logarithm.
const EVENTS: [u64; 10] = [10, 28, 77, 215, 599, 1_668, 4_642, 12_915, 35_938, 100_000];
/// Users of each length.
const USERS: u64 = 40;
/// Rounds that only warm up.
const WARM: u64 = 500;

/// Times of one length of history: the whole read, and the part of it after the bytes have come.
#[derive(Default)]
struct Times {
    whole: Vec<Duration>,
    reading: Vec<Duration>,
    bytes: usize,
}

#[expect(clippy::print_stdout, reason = "an example talks to its user")]
pub(crate) fn run(rounds: u64) -> anyhow::Result<()> {
    let mut store = Store::start()?;
    let mut times: Vec<Times> = EVENTS.iter().map(|_| Times::default()).collect();
    for (length, at) in EVENTS.iter().zip(0..) {
        let states = (0..USERS).map(|user| (at * USERS + user, lived(at * USERS + user, *length)));
        let blobs: Vec<_> = states.map(|(user, state)| (user, state.encode())).collect();
        times[usize::try_from(at)?].bytes = blobs.iter().map(|(_, blob)| blob.len()).sum::<usize>();
        store.put(&blobs)?;
    }
    let clock = Clock::system();
    let mut blob = Vec::new();
    for round in 0..WARM + rounds {
        // Every length in every round, each time in another order: whatever disturbs the machine disturbs all alike.
        for turn in 0..10 {
            let at = (turn * 3 + round * 7) % 10;
            let start = clock.instant();
            store.get(at * USERS + round % USERS, &mut blob)?;
            let came = clock.instant();
            read(&blob)?;
            let done = clock.instant();
            if round >= WARM {
                let of = &mut times[usize::try_from(at)?];
                of.whole.push(done.saturating_duration_since(start));
                of.reading.push(done.saturating_duration_since(came));
            }
        }
    }
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
        table.push(figures);
    }
    let (first, last) = (table[0], table[9]);
    println!(
        "top decile to bottom decile: p50 {:.2}, p99 {:.2}",
        last[0][0] / first[0][0],
        last[0][1] / first[0][1]
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
