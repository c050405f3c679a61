//! What records with random schema ids cost: `made_up_ids [RECORDS]`, in release.
//!
//! So many good events, then as many whose schema id is made up, a new one each. Printed: calls to the registry in the
//! busiest second, how long it took, and the memory of the process at most while it reads the good ones, and after that.
#![expect(clippy::print_stdout, reason = "prints what it measured")]

use std::collections::BTreeMap;
use std::error::Error;
use std::io::{BufRead, BufReader};
use std::net::{Ipv4Addr, SocketAddr};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy};
use tokio::net::{TcpListener, TcpStream};
use upnext_common::clock::Clock;
use upnext_common::config::{self, Config};
use upnext_common::drain::Drain;
use upnext_common::event::{Device, Event, EventBody};
use upnext_common::metrics::{EventLabels, Metrics};
use upnext_common::topic::Topic;
use upnext_contract::{Encoder, RegistryClient};
use upnext_http::Health;
use upnext_ingest::Ingest;
use upnext_kafka::{Outgoing, Producer, ProducerSettings, admin};
use upnext_testkit::Stack;
use uuid::Uuid;

/// As in `upnext` itself.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

type Outcome<T> = Result<T, Box<dyn Error>>;

const LOOK: Duration = Duration::from_millis(100);
const ACCEPTED: EventLabels = EventLabels { verdict: "accepted", reason: "none" };
const UNKNOWN: EventLabels = EventLabels { verdict: "rejected", reason: "unknown_schema_id" };

#[tokio::main]
async fn main() -> Outcome<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["stack"] => stack().await,
        ["fill", brokers, registry, from, to] => {
            fill(brokers, registry, from.parse()?..to.parse()?).await
        }
        [count] => measure(count.parse()?).await,
        _ => measure(1_000_000).await,
    }
}

async fn stack() -> Outcome<()> {
    let stack = Stack::start().await;
    println!("{}\n{}", stack.brokers(), stack.registry_url());
    // Ends, with its files and its Redis, when whoever started it is done or gone.
    std::io::stdin().read_line(&mut String::new())?;
    Ok(())
}

fn role(arguments: &[&str]) -> Outcome<Child> {
    let mut command = Command::new(std::env::current_exe()?);
    Ok(command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?)
}

async fn measure(count: u64) -> Outcome<()> {
    let mut stack = role(&["stack"])?;
    let mut lines = BufReader::new(stack.stdout.take().ok_or("no standard output")?).lines();
    let mut told = || lines.next().ok_or("the stack ended early");
    let (brokers, registry) = (told()??, told()??);
    admin::ensure_topics(&brokers, &config::Kafka::default()).await?;
    let calls = Arc::new(Mutex::new(Vec::new()));
    let front = counting(registry.strip_prefix("http://").unwrap_or_default(), &calls).await?;
    let (half, all) = (count.to_string(), (2 * count).to_string());
    role(&["fill", &brokers, &registry, "0", &half])?.wait()?;

    let files = tempfile::tempdir()?;
    let mut config = Config { data_dir: files.path().to_owned(), ..Config::default() };
    config.ingest.reject_pause_share = 1.0;
    let metrics = Metrics::new();
    let daemon = Ingest {
        config,
        brokers: brokers.clone(),
        registry_url: front,
        metrics: metrics.clone(),
        health: Health::new(&[]),
        clock: Clock::system(),
        decoder: None,
    };
    let drain = Drain::new();
    let running = tokio::spawn(daemon.run(drain.clone()));
    let before_kb = reach(count, &metrics, &ACCEPTED).await;
    let clock = Clock::system();
    role(&["fill", &brokers, &registry, &half, &all])?.wait()?;
    let begun = clock.instant();
    let most_kb = reach(count, &metrics, &UNKNOWN).await;
    let seconds = clock.instant().duration_since(begun).as_secs_f64();
    println!("{count} made-up ids called unknown {seconds:.1} s after the last was written");
    let most = busiest(&calls);
    let made = calls.lock().len();
    println!("{made} registry calls, at most {most} in a second");
    println!(
        "at most {} MB resident with as many good events, at most {} MB after that",
        before_kb / 1_024,
        most_kb / 1_024
    );
    drain.start();
    running.await??;
    // Closes its standard input.
    stack.wait()?;
    Ok(())
}

/// Waits until so many are counted; the most memory held meanwhile.
async fn reach(count: u64, metrics: &Metrics, label: &EventLabels) -> u64 {
    let mut most_kb = 0;
    while metrics.events.get_or_create(label).get() < count {
        tokio::time::sleep(LOOK).await;
        most_kb = most_kb.max(resident_kb());
    }
    most_kb
}

fn resident_kb() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or_default();
    line.split_whitespace().next().and_then(|kb| kb.parse().ok()).unwrap_or(0)
}

fn busiest(calls: &Mutex<Vec<Instant>>) -> usize {
    let calls = calls.lock();
    let within = |from: &Instant| {
        let second = *from..*from + Duration::from_secs(1);
        // What belongs to our own start, the registrations, is not asked because of a record.
        calls.iter().filter(|at| second.contains(at)).count()
    };
    calls.iter().map(within).max().unwrap_or(0)
}

/// Something before the registry that notes when each GET came.
async fn counting(registry: &str, calls: &Arc<Mutex<Vec<Instant>>>) -> Outcome<String> {
    let target: SocketAddr = registry.parse()?;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let url = format!("http://{}", listener.local_addr()?);
    let calls = Arc::clone(calls);
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            tokio::spawn(forward(client, target, Arc::clone(&calls)));
        }
    });
    Ok(url)
}

async fn forward(
    client: TcpStream,
    target: SocketAddr,
    calls: Arc<Mutex<Vec<Instant>>>,
) -> std::io::Result<()> {
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_registry, mut to_registry) = TcpStream::connect(target).await?.into_split();
    tokio::spawn(async move { copy(&mut from_registry, &mut to_client).await });
    let mut buffer = vec![0; 64 << 10];
    loop {
        let length = from_client.read(&mut buffer).await?;
        if length == 0 {
            return Ok(());
        }
        if buffer[..length].starts_with(b"GET ") {
            calls.lock().push(Clock::system().instant());
        }
        to_registry.write_all(&buffer[..length]).await?;
    }
}

/// Writes events; from the middle of all on their schema ids are made up.
async fn fill(brokers: &str, registry: &str, numbers: std::ops::Range<u64>) -> Outcome<()> {
    let client = RegistryClient::new(registry, &config::Registry::default(), Clock::system())?;
    let prefix = config::Kafka::default().topic_prefix;
    let encoder = Encoder::register_all(&client, &prefix).await?;
    let producer = Producer::new(brokers, ProducerSettings::default())?;
    let now_ms = Clock::system().now_ms();
    let is_made_up = numbers.start > 0;
    for number in numbers {
        let event = event(number, now_ms);
        let mut value = encoder.event(&event)?.to_vec();
        if is_made_up {
            let mixed = number.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(23) | (1 << 30);
            value[1..5].copy_from_slice(&mixed.to_be_bytes()[4..]);
        }
        let record = Outgoing {
            topic: Topic::Events.name(&prefix),
            key: event.key().map(|key| Bytes::copy_from_slice(key.as_bytes())),
            value: Some(value.into()),
            timestamp_ms: Some(now_ms),
            ..Outgoing::default()
        };
        drop(producer.send_when_room(&record).await?);
    }
    Ok(producer.flush(Duration::from_secs(120)).await?)
}

fn event(number: u64, now_ms: i64) -> Event {
    let user = number.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(23) % 10_000;
    Event {
        event_id: Uuid::from_u64_pair(user, number).to_string(),
        event_time_ms: now_ms,
        user_id: Some(format!("u{user}")),
        anonymous_id: None,
        session_id: "s1".to_owned(),
        surface: "home".to_owned(),
        decision_id: None,
        device: Device::Mobile,
        props: BTreeMap::new(),
        body: EventBody::ItemClicked { item_id: format!("i{}", user % 500) },
    }
}
