//! How fast ingest is beside a plain copy of the same records: `throughput [RECORDS]`, in release.
//!
//! Broker and registry run in one process, the copy and ingest each in one of its own, so that the memory told is
//! theirs. Events have 300 bytes and stand in 4 partitions before either begins; both read all of them, one after
//! the other. The copy reads and writes with the same clients and judges nothing.
#![expect(clippy::print_stdout, reason = "prints what it measured")]

use std::collections::{BTreeMap, VecDeque};
use std::error::Error;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use upnext_common::clock::Clock;
use upnext_common::config::{self, Config};
use upnext_common::drain::Drain;
use upnext_common::event::{Device, Event, EventBody};
use upnext_common::metrics::{EventLabels, Metrics};
use upnext_common::topic::Topic;
use upnext_contract::{Encoder, RegistryClient};
use upnext_http::Health;
use upnext_ingest::Ingest;
use upnext_kafka::group::{Assignment, FromCommit, GroupSettings, Reader};
use upnext_kafka::{Delivery, KafkaError, Outgoing, Producer, ProducerSettings, admin};
use upnext_testkit::Stack;
use uuid::Uuid;

/// As in `upnext` itself.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

type Outcome<T> = Result<T, Box<dyn Error>>;

const VALUE_BYTES: usize = 300;
const PARTITIONS: i32 = 4;
const USERS: u64 = 10_000;
const ITEMS: u64 = 5_000;
/// Records that the copy has under way in one partition; ingest's default.
const IN_FLIGHT_MAX: usize = 2_000;
const LOOK: Duration = Duration::from_millis(5);
/// Prefix of the topics the copy writes to.
const COPY_PREFIX: &str = "copy.";

#[tokio::main]
async fn main() -> Outcome<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["stack"] => stack().await,
        ["copy", brokers, _, count] => copy(brokers, count.parse()?).await,
        ["ingest", brokers, registry, count] => ingest(brokers, registry, count.parse()?).await,
        [count] => compare(count.parse()?).await,
        _ => compare(1_000_000).await,
    }
}

/// Fills the raw topic, lets both read it, and prints how they compare.
async fn compare(count: u64) -> Outcome<()> {
    let mut stack = role(&["stack"])?;
    let mut told = lines(&mut stack)?;
    let (brokers, registry) = (told()?, told()?);
    for prefix in [config::Kafka::default().topic_prefix.as_str(), COPY_PREFIX] {
        admin::ensure_topics(&brokers, &kafka(prefix)).await?;
    }
    fill(&brokers, &registry, count).await?;
    println!("{count} events of {VALUE_BYTES} bytes in {PARTITIONS} partitions");
    let mut rates = Vec::new();
    for name in ["copy", "ingest"] {
        let mut child = role(&[name, &brokers, &registry, &count.to_string()])?;
        let line = lines(&mut child)?()?;
        child.wait()?;
        println!("{name}: {line}");
        rates.push(line.split(' ').next().unwrap_or_default().parse::<f64>()?);
    }
    // Closes its standard input.
    stack.wait()?;
    println!("ratio: {:.2}", rates[1] / rates[0]);
    Ok(())
}

fn kafka(prefix: &str) -> config::Kafka {
    config::Kafka {
        topic_prefix: prefix.to_owned(),
        partitions: PARTITIONS,
        ..config::Kafka::default()
    }
}

fn role(arguments: &[&str]) -> Outcome<Child> {
    let mut command = Command::new(std::env::current_exe()?);
    Ok(command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?)
}

/// The lines a child prints, one by one.
fn lines(child: &mut Child) -> Outcome<impl FnMut() -> Outcome<String> + use<>> {
    let mut out = BufReader::new(child.stdout.take().ok_or("no standard output")?);
    Ok(move || {
        let mut line = String::new();
        if out.read_line(&mut line)? == 0 {
            return Err("the process ended early".into());
        }
        Ok(line.trim_end().to_owned())
    })
}

async fn stack() -> Outcome<()> {
    let stack = Stack::start().await;
    println!("{}\n{}", stack.brokers(), stack.registry_url());
    // Ends, with its Redis, when whoever started it is done or gone.
    std::io::stdin().read_line(&mut String::new())?;
    Ok(())
}

async fn fill(brokers: &str, registry: &str, count: u64) -> Outcome<()> {
    let client = RegistryClient::new(registry, &config::Registry::default(), Clock::system())?;
    let prefix = config::Kafka::default().topic_prefix;
    let encoder = Encoder::register_all(&client, &prefix).await?;
    let producer = Producer::new(brokers, ProducerSettings::default())?;
    let now_ms = Clock::system().now_ms();
    for number in 0..count {
        let event = event(number, now_ms);
        let record = Outgoing {
            topic: Topic::Events.name(&prefix),
            partition: None,
            key: event.key().map(|key| Bytes::copy_from_slice(key.as_bytes())),
            value: Some(encoder.event(&event)?),
            timestamp_ms: Some(now_ms),
            ..Outgoing::default()
        };
        drop(producer.send_when_room(&record).await?);
    }
    Ok(producer.flush(Duration::from_secs(120)).await?)
}

fn event(number: u64, now_ms: i64) -> Event {
    let mixed = number.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(23);
    // What the rest of this event takes, so that the value has its bytes.
    let filler = "x".repeat(VALUE_BYTES - 104);
    Event {
        event_id: Uuid::from_u64_pair(mixed, number).to_string(),
        event_time_ms: now_ms,
        user_id: Some(format!("u{:07}", mixed % USERS)),
        anonymous_id: None,
        session_id: format!("s{:07}", mixed % (2 * USERS)),
        surface: "home".to_owned(),
        decision_id: None,
        device: Device::Mobile,
        props: BTreeMap::from([("filler".to_owned(), filler)]),
        body: EventBody::ItemClicked { item_id: format!("i{:07}", mixed % ITEMS) },
    }
}

/// Waits until `done` says `count`, and prints the rate since it said anything, with the most memory held.
async fn measure(count: u64, done: impl Fn() -> u64) {
    let clock = Clock::system();
    while done() == 0 {
        tokio::time::sleep(LOOK).await;
    }
    let (begun, before) = (clock.instant(), done());
    while done() < count {
        tokio::time::sleep(LOOK).await;
    }
    let seconds = clock.instant().duration_since(begun).as_secs_f64();
    let rate = (count - before) as f64 / seconds;
    println!("{rate:.0} events/s, {seconds:.1} s, at most {} MB resident", resident_max_mb());
}

fn resident_max_mb() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or_default();
    line.split_whitespace().next().and_then(|kb| kb.parse::<u64>().ok()).unwrap_or(0) / 1_024
}

async fn ingest(brokers: &str, registry: &str, count: u64) -> Outcome<()> {
    let metrics = Metrics::new();
    let daemon = Ingest {
        config: Config::default(),
        brokers: brokers.to_owned(),
        registry_url: registry.to_owned(),
        metrics: metrics.clone(),
        health: Health::new(&[]),
        clock: Clock::system(),
        decoder: None,
    };
    let drain = Drain::new();
    let running = tokio::spawn(daemon.run(drain.clone()));
    let accepted = EventLabels { verdict: "accepted", reason: "none" };
    measure(count, || metrics.events.get_or_create(&accepted).get()).await;
    drain.start();
    running.await??;
    Ok(())
}

async fn copy(brokers: &str, count: u64) -> Outcome<()> {
    let events = Topic::Events.name(&config::Kafka::default().topic_prefix);
    let settings = GroupSettings::new("copy", &events);
    let producer = Producer::new(brokers, ProducerSettings::default())?;
    let mut reader = Reader::start(brokers, settings, Arc::new(FromCommit), Drain::new())?;
    let done = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&done);
    let copying = tokio::spawn(async move {
        while let Some(assignment) = reader.next().await {
            let (producer, done) = (producer.clone(), Arc::clone(&counted));
            tokio::spawn(async move { copy_partition(assignment, &producer, &done).await.ok() });
        }
    });
    measure(count, || done.load(Ordering::Acquire)).await;
    copying.abort();
    Ok(())
}

async fn copy_partition(
    mut assignment: Assignment,
    producer: &Producer,
    done: &AtomicU64,
) -> Result<(), KafkaError> {
    let topic = Topic::Valid.name(COPY_PREFIX);
    let mut under_way: VecDeque<(i64, Delivery)> = VecDeque::new();
    while let Some(record) = assignment.records.recv().await {
        let copied = Outgoing {
            topic: topic.clone(),
            partition: None,
            key: record.key,
            value: record.value,
            headers: record.headers,
            timestamp_ms: Some(record.timestamp_ms),
        };
        under_way.push_back((record.offset, producer.send_when_room(&copied).await?));
        if under_way.len() < IN_FLIGHT_MAX && !assignment.records.is_empty() {
            continue;
        }
        let mut landed = 0;
        while let Some((offset, delivery)) = under_way.pop_front() {
            delivery.await?;
            assignment.claim.commit(offset + 1);
            landed += 1;
        }
        done.fetch_add(landed, Ordering::AcqRel);
    }
    Ok(())
}
