//! A crowd of users in Redis: how large their states are, and what the server takes for them.

use crate::crowd::{Die, EVENTS_MAX, bot, events_of, lived};
use crate::percentile;
use crate::store::Store;

/// Users stored at once.
const BATCH: u64 = 500;
/// What a bot does in a minute.
const BOT_EVENTS: u64 = 60_000;

#[expect(clippy::print_stdout, reason = "an example talks to its user")]
pub(crate) fn run(users: u64) -> anyhow::Result<()> {
    let mut store = Store::start()?;
    let empty = store.memory("used_memory")?;
    let mut die = Die::new(1);
    let (mut sizes, mut histories) = (Vec::new(), Vec::new());
    for first in (0..users).step_by(usize::try_from(BATCH)?) {
        let mut blobs = Vec::new();
        for user in first..users.min(first + BATCH) {
            let events = events_of(&mut die);
            let blob = lived(user, events).encode();
            histories.push(events);
            sizes.push(blob.len());
            blobs.push((user, blob));
        }
        store.put(&blobs)?;
    }
    let used = store.memory("used_memory")?;
    let events: u64 = histories.iter().sum();
    let (mean, all) = (sizes.iter().sum::<usize>() / sizes.len().max(1), users.max(1));
    let largest = sizes.iter().max().copied().unwrap_or(0);
    histories.sort_unstable();
    sizes.sort_unstable();
    let at = |share| (percentile(&histories, share), percentile(&sizes, share));
    println!("{users} users, {events} events, {} each in the mean", events / all);
    for share in [50, 90, 99, 100] {
        let (events, bytes) = at(share);
        println!("  p{share:<3} {events:>7} events {bytes:>6} bytes");
    }
    println!("a state: mean {mean} bytes, largest {largest}");
    println!("redis used_memory: {used} bytes, {} before, {} a user", empty, (used - empty) / all);
    println!("a user of {EVENTS_MAX} events: {} bytes", lived(0, EVENTS_MAX).encode().len());
    println!("a bot of {BOT_EVENTS} events in a minute: {} bytes", bot(BOT_EVENTS).encode().len());
    Ok(())
}
