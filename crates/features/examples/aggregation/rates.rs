//! How many events a second: the users stage alone, both stages, both while more comes in; beside a consumer that
//! does nothing with the same records.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use upnext_common::clock::Clock;
use upnext_common::drain::Drain;
use upnext_common::topic::Topic;
use upnext_kafka::admin;
use upnext_kafka::group::{Assignment, FromCommit, GroupSettings, Reader};

use crate::Outcome;
use crate::daemon::Watched;
use crate::filling::{self, Whose};
use crate::roles::{Pids, Place, Role, Spent, start_stack};

const LOOK: Duration = Duration::from_millis(20);
const USERS: Whose = Whose::Crowd(100_000);
/// The stream that catching up is held against.
const STREAM_PER_SECOND: u64 = 2_000;
/// Records taken from a queue at once, as the daemon does.
const RECORDS_MAX: usize = 64;

pub(crate) async fn compare(count: u64) -> Outcome<()> {
    let (stack, place, pids) = start_stack(&["alone.", "both.", "behind."]).await?;
    for prefix in ["alone.", "both.", "behind."] {
        filling::start(&place, prefix, USERS, (count, 0))?.ended()?;
    }
    let nothing = consumer(&place, count)?;
    println!("a consumer that does nothing: {nothing:.0} events/s");
    for (name, prefix, stages) in
        [("users stage alone", "alone.", "users"), ("both stages", "both.", "both")]
    {
        let found = stage(&place, pids, (prefix, stages), count).await?;
        println!(
            "{name}: {:.0} events/s, {:.3} of it; {}",
            found.rate,
            found.rate / nothing,
            found.costs()
        );
    }
    let behind = catch_up(&place, count).await?;
    println!(
        "catching up beside a stream of {STREAM_PER_SECOND}/s: {behind:.0} events/s, {:.1} times the stream",
        behind / STREAM_PER_SECOND as f64
    );
    stack.ended()
}

/// How fast, and what it took of the processors.
struct Found {
    rate: f64,
    events: u64,
    spent: Spent,
}

impl Found {
    /// Says how much of two processors an event took, whoever else used them.
    fn costs(&self) -> String {
        let each = |ms: u64| ms as f64 * 1_000.0 / self.events as f64;
        let Spent { daemon_ms, stack_ms, redis_ms } = self.spent;
        format!(
            "processor time of an event: {:.1} µs (daemon {:.1}, broker {:.1}, Redis {:.1})",
            each(daemon_ms + stack_ms + redis_ms),
            each(daemon_ms),
            each(stack_ms),
            each(redis_ms),
        )
    }
}

fn consumer(place: &Place, count: u64) -> Outcome<f64> {
    let [brokers, registry, redis] = place.words();
    let mut role =
        Role::start(&["consume", brokers, registry, redis, "alone.", &count.to_string()])?;
    let rate = role.line()?.parse()?;
    role.ended()?;
    Ok(rate)
}

/// From the first event to the last, in both stages where both run.
async fn stage(
    place: &Place,
    pids: Pids,
    prefix_stages: (&str, &str),
    count: u64,
) -> Outcome<Found> {
    let (prefix, stages) = prefix_stages;
    let mut daemon = Watched::start(place, prefix, stages, None)?;
    let clock = Clock::system();
    while daemon.stand()?.users == 0 {
        tokio::time::sleep(LOOK).await;
    }
    let (begun, before) = (clock.instant(), daemon.stand()?.users);
    let spent = pids.spent(daemon.pid());
    while !is_done(place, prefix, &mut daemon, (stages, count)).await? {
        tokio::time::sleep(LOOK).await;
    }
    let seconds = clock.instant().duration_since(begun).as_secs_f64();
    let after = pids.spent(daemon.pid());
    daemon.ended()?;
    let spent = Spent {
        daemon_ms: after.daemon_ms - spent.daemon_ms,
        stack_ms: after.stack_ms - spent.stack_ms,
        redis_ms: after.redis_ms - spent.redis_ms,
    };
    let events = count - before;
    Ok(Found { rate: events as f64 / seconds, events, spent })
}

async fn is_done(
    place: &Place,
    prefix: &str,
    daemon: &mut Watched,
    stages_count: (&str, u64),
) -> Outcome<bool> {
    let (stages, count) = stages_count;
    let stand = daemon.stand()?;
    if stand.users < count || stages == "users" {
        return Ok(stand.users >= count);
    }
    let ends = admin::end_offsets(&place.brokers, &Topic::Signals.name(prefix)).await?;
    Ok(stand.items >= u64::try_from(ends.iter().sum::<i64>())?)
}

/// The rate at which a backlog is worked off while a stream adds to it, both together.
async fn catch_up(place: &Place, backlog: u64) -> Outcome<f64> {
    let prefix = "behind.";
    let streamed = STREAM_PER_SECOND * 3_600;
    let mut daemon = Watched::start(place, prefix, "both", None)?;
    let clock = Clock::system();
    while daemon.stand()?.users == 0 {
        tokio::time::sleep(LOOK).await;
    }
    let (begun, before) = (clock.instant(), daemon.stand()?.users);
    let stream = filling::start(place, prefix, USERS, (streamed, STREAM_PER_SECOND))?;
    loop {
        tokio::time::sleep(LOOK).await;
        let ends = admin::end_offsets(&place.brokers, &Topic::Valid.name(prefix)).await?;
        let end = u64::try_from(ends.iter().sum::<i64>())?;
        let users = daemon.stand()?.users;
        // What came within the last tenth of a second is the stream's, not the backlog's.
        if users >= backlog && users + STREAM_PER_SECOND / 10 >= end {
            break;
        }
    }
    let seconds = clock.instant().duration_since(begun).as_secs_f64();
    let done = daemon.stand()?.users - before;
    stream.killed()?;
    daemon.ended()?;
    Ok(done as f64 / seconds)
}

/// Reads all and does nothing; prints the rate.
pub(crate) async fn consume(words: &[&str]) -> Outcome<()> {
    let (place, rest) = Place::of(words)?;
    let [prefix, count] = rest.as_slice() else { return Err("PREFIX COUNT".into()) };
    let settings = GroupSettings::new("nothing", &Topic::Valid.name(prefix));
    let mut reader = Reader::start(&place.brokers, settings, Arc::new(FromCommit), Drain::new())?;
    let done = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&done);
    let reading = tokio::spawn(async move {
        while let Some(assignment) = reader.next().await {
            tokio::spawn(pass(assignment, Arc::clone(&counted)));
        }
    });
    let clock = Clock::system();
    let stands = || done.load(Ordering::Acquire);
    while stands() == 0 {
        tokio::time::sleep(LOOK).await;
    }
    let (begun, before, count) = (clock.instant(), stands(), count.parse::<u64>()?);
    while stands() < count {
        tokio::time::sleep(LOOK).await;
    }
    let seconds = clock.instant().duration_since(begun).as_secs_f64();
    println!("{:.0}", (count - before) as f64 / seconds);
    reading.abort();
    Ok(())
}

async fn pass(mut assignment: Assignment, done: Arc<AtomicU64>) {
    let mut batch = Vec::with_capacity(RECORDS_MAX);
    while assignment.records.recv_many(&mut batch, RECORDS_MAX).await > 0 {
        done.fetch_add(batch.len() as u64, Ordering::AcqRel);
        batch.clear();
    }
}
