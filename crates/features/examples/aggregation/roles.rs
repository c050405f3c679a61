//! The processes of a measurement: each a run of this same binary.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdout, Command, Stdio};

use upnext_common::clock::Clock;
use upnext_common::config::{self, Config};
use upnext_kafka::admin;
use upnext_store::Reader;
use upnext_testkit::Stack;

use crate::Outcome;

/// A child and what it prints, line by line. Its standard input is closed when this goes.
pub(crate) struct Role {
    child: Child,
    out: BufReader<ChildStdout>,
    /// The others end with their standard input.
    is_load: bool,
}

impl Drop for Role {
    fn drop(&mut self) {
        if self.is_load {
            // It may have ended.
            self.child.kill().ok();
            self.child.wait().ok();
        }
    }
}

impl Role {
    pub(crate) fn start(arguments: &[&str]) -> Outcome<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        let mut child =
            command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let out = child.stdout.take().ok_or("no standard output")?;
        let is_load = arguments.first() == Some(&"fill");
        Ok(Self { child, out: BufReader::new(out), is_load })
    }

    pub(crate) fn line(&mut self) -> Outcome<String> {
        let mut line = String::new();
        if self.out.read_line(&mut line)? == 0 {
            return Err("the process ended early".into());
        }
        Ok(line.trim_end().to_owned())
    }

    pub(crate) fn say(&mut self, line: &str) -> Outcome<()> {
        let mut stdin = self.child.stdin.as_ref().ok_or("no standard input")?;
        Ok(writeln!(stdin, "{line}")?)
    }

    /// Ends it in the middle of what it does.
    pub(crate) fn killed(mut self) -> Outcome<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Lets it end by itself.
    pub(crate) fn ended(mut self) -> Outcome<()> {
        drop(self.child.stdin.take());
        if self.child.wait()?.success() { Ok(()) } else { Err("a process failed".into()) }
    }
}

/// Where everything of one measurement is.
pub(crate) struct Place {
    pub(crate) brokers: String,
    pub(crate) registry: String,
    pub(crate) redis: String,
}

/// Processor time of everything beside the load, milliseconds.
#[derive(Clone, Copy)]
pub(crate) struct Spent {
    pub(crate) daemon_ms: u64,
    pub(crate) stack_ms: u64,
    pub(crate) redis_ms: u64,
}

/// Which processes those are.
#[derive(Clone, Copy)]
pub(crate) struct Pids {
    pub(crate) stack: u32,
    pub(crate) redis: u32,
}

impl Pids {
    pub(crate) fn spent(self, daemon: u32) -> Spent {
        Spent {
            daemon_ms: spent_ms(daemon),
            stack_ms: spent_ms(self.stack),
            redis_ms: spent_ms(self.redis),
        }
    }
}

/// User and system time, as the kernel tells it in hundredths of a second.
fn spent_ms(pid: u32) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let fields = text.rsplit(") ").next().unwrap_or_default().split(' ').skip(11).take(2);
    fields.filter_map(|ticks| ticks.parse::<u64>().ok()).sum::<u64>() * 10
}

impl Place {
    /// The words a role is told by.
    pub(crate) fn words(&self) -> [&str; 3] {
        [&self.brokers, &self.registry, &self.redis]
    }

    pub(crate) fn of(words: &[&str]) -> Outcome<(Self, Vec<String>)> {
        let [brokers, registry, redis, rest @ ..] = words else {
            return Err("too few words".into());
        };
        let place = Self {
            brokers: (*brokers).to_owned(),
            registry: (*registry).to_owned(),
            redis: (*redis).to_owned(),
        };
        Ok((place, rest.iter().map(|word| (*word).to_owned()).collect()))
    }

    pub(crate) fn reader(&self, prefix: &str) -> Outcome<Reader> {
        Ok(Reader::connect(&self.redis, &config(prefix).redis, Clock::system())?)
    }
}

/// The product's defaults under a prefix of this measurement's own.
pub(crate) fn config(prefix: &str) -> Config {
    let mut config = Config::default();
    config.kafka.topic_prefix = prefix.to_owned();
    config.redis.key_prefix = format!("{prefix}:");
    config.features.group = format!("{prefix}-features");
    // What a busy machine needs to be no outage.
    config.redis.write_timeout_ms = 5_000;
    config
}

/// Starts broker, registry and Redis, and makes the topics of each prefix.
pub(crate) async fn start_stack(prefixes: &[&str]) -> Outcome<(Role, Place, Pids)> {
    let mut stack = Role::start(&["stack"])?;
    let place = Place { brokers: stack.line()?, registry: stack.line()?, redis: stack.line()? };
    let pids = Pids { stack: stack.pid(), redis: stack.line()?.parse()? };
    for prefix in prefixes {
        let kafka =
            config::Kafka { topic_prefix: (*prefix).to_owned(), ..config::Kafka::default() };
        admin::ensure_topics(&place.brokers, &kafka).await?;
    }
    Ok((stack, place, pids))
}

pub(crate) async fn stack() -> Outcome<()> {
    let stack = Stack::start().await;
    println!("{}\n{}\n{}", stack.brokers(), stack.registry_url(), stack.redis_url());
    println!("{}", stack.redis.pid());
    // Ends, with its Redis, when whoever started it is done or gone.
    std::io::stdin().read_line(&mut String::new())?;
    Ok(())
}
