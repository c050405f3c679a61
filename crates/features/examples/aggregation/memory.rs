//! What the daemon holds: while a million users are loaded, and while one of them goes wild.

use std::time::Duration;

use upnext_common::clock::Clock;
use upnext_common::config::Features;
use upnext_common::deadline::Deadline;
use upnext_common::event::Subject;

use crate::Outcome;
use crate::daemon::{Watched, value};
use crate::filling::{self, Whose};
use crate::roles::start_stack;

const LOOK: Duration = Duration::from_millis(100);
const EVENTS_EACH: u64 = 2;
/// Queues, fetched and unsent records, as docs/OPERATIONS.md reckons them.
const REST_MB: u64 = 256;
const BOT_PER_SECOND: u64 = 1_000;

pub(crate) async fn load(users: u64) -> Outcome<()> {
    let (stack, place, _) = start_stack(&["load."]).await?;
    let count = users * EVENTS_EACH;
    let mut daemon = Watched::start(&place, "load.", "both", None)?;
    let filler = filling::start(&place, "load.", Whose::Each(EVENTS_EACH), (count, 0))?;
    let mut stand = daemon.stand()?;
    let idle_kb = stand.resident_kb;
    let mut printed = 0;
    while stand.users < count {
        tokio::time::sleep(LOOK).await;
        stand = daemon.stand()?;
        if stand.users * 10 / count > printed {
            printed = stand.users * 10 / count;
            println!(
                "{} users: {} MB resident",
                stand.users / EVENTS_EACH,
                stand.resident_kb / 1_024
            );
        }
    }
    filler.ended()?;
    let bound = Features::default().cached_bytes_max >> 20;
    println!(
        "{users} users loaded: {} MB resident before, at most {} MB; cached states may take {bound} MB, the rest {REST_MB}",
        idle_kb / 1_024,
        stand.most_kb / 1_024
    );
    daemon.ended()?;
    stack.ended()
}

pub(crate) async fn bot(seconds: u64) -> Outcome<()> {
    let (stack, place, _) = start_stack(&["bot."]).await?;
    let mut daemon = Watched::start(&place, "bot.", "both", None)?;
    let count = seconds * BOT_PER_SECOND;
    filling::start(&place, "bot.", Whose::Bot, (count, BOT_PER_SECOND))?.ended()?;
    while daemon.stand()?.users < count {
        tokio::time::sleep(LOOK).await;
    }
    let text = daemon.metrics()?;
    let puts = value(&text, "upnext_flushed_states_total{stage=\"users\"}");
    let flushes = value(&text, "upnext_flush_entries_count{stage=\"users\"}");
    let reader = place.reader("bot.")?;
    let deadline = Deadline::after(Clock::system().instant(), Duration::from_secs(10));
    let mut bytes = 0;
    while bytes == 0 {
        // The reader connects in the background.
        tokio::time::sleep(LOOK).await;
        let found = reader.users(&[Subject::User("u0000000")], deadline).await;
        bytes = found.map_or(0, |found| found[0].as_ref().map_or(0, bytes::Bytes::len));
    }
    println!(
        "{count} events of one user at {BOT_PER_SECOND}/s: {puts} puts in {flushes} flushes, a blob of {bytes} bytes"
    );
    daemon.ended()?;
    stack.ended()
}
