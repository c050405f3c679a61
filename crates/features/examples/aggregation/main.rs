//! How fast and how fresh the aggregation of state is: `aggregation rates|freshness|answer|memory|bot SIZE`, in release.
//!
//! Broker, registry and Redis run beside one process, the daemon in one of its own, so that the memory told is its
//! own. All of it shares the processors of the machine; load comes from a third process at a fixed pace.
#![expect(clippy::print_stdout, reason = "prints what it measured")]

mod answer;
mod crowd;
mod daemon;
mod filling;
mod freshness;
mod memory;
mod rates;
mod roles;

use std::error::Error;

/// As in `upnext` itself.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

pub(crate) type Outcome<T> = Result<T, Box<dyn Error>>;

#[tokio::main]
async fn main() -> Outcome<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["stack"] => roles::stack().await,
        ["fill", rest @ ..] => filling::run(rest).await,
        ["consume", rest @ ..] => rates::consume(rest).await,
        ["daemon", rest @ ..] => daemon::run(rest).await,
        ["rates", count] => rates::compare(count.parse()?).await,
        ["freshness", seconds] => freshness::measure(seconds.parse()?).await,
        ["answer", binary] => answer::measure(binary).await,
        ["memory", users] => memory::load(users.parse()?).await,
        ["bot", seconds] => memory::bot(seconds.parse()?).await,
        _ => {
            Err("usage: aggregation rates EVENTS | freshness SECONDS | answer BINARY | memory USERS | bot SECONDS"
                .into())
        }
    }
}
