//! `upnext tap`: live events with their verdicts, sampled.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;

use clap::{Args, ValueEnum};
use serde_json::{Value, json};
use tokio::sync::mpsc;
use upnext_common::clock::Clock;
use upnext_common::drain::Drain;
use upnext_common::topic::Topic;
use upnext_contract::framing::{SchemaKey, unframe_with};
use upnext_contract::json::write_event;
use upnext_contract::{Decoder, Reason, RegistryClient, SCHEMA_HEADER};
use upnext_ingest::dlq::Letter;
use upnext_kafka::Record;
use upnext_kafka::tail::{self, TailEvent};

use crate::endpoints::Target;
use crate::failure::Failure;
use crate::output;
use crate::settings::Settings;
use crate::stop::{self, Span};
use crate::writer::{self, unreachable};

/// Watch live events with their verdicts, from now on; sampled, so that a busy system does no harm.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  upnext tap
  upnext tap --bad --for 60s
  upnext tap --type ItemPurchased --user u17 --format json
  upnext tap --reason range --reason missing --rate 5

Reads the valid and the dead-letter topic without a group: nobody else notices.")]
pub(crate) struct TapArgs {
    /// Only rejected ones with this reason; may be repeated
    #[arg(long, value_name = "CODE", value_parser = reason)]
    reason: Vec<Reason>,
    /// Only events of this type, for example ItemClicked
    #[arg(long = "type", value_name = "TYPE")]
    kind: Option<String>,
    /// Only events of this user (the record's key)
    #[arg(long)]
    user: Option<String>,
    /// Only rejected ones
    #[arg(long, conflicts_with = "good")]
    bad: bool,
    /// Only accepted ones
    #[arg(long, conflicts_with = "reason")]
    good: bool,
    /// Show at most so many a second; what is more is counted
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..))]
    rate: u32,
    /// Stop after this long: 60s, 5m
    #[arg(long = "for", value_name = "TIME")]
    span: Option<Span>,
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    Text,
    Json,
}

fn reason(text: &str) -> Result<Reason, String> {
    let known = || Reason::ALL.map(Reason::code).join(", ");
    Reason::from_code(text).ok_or_else(|| format!("unknown reason; known: {}", known()))
}

pub(crate) async fn run(settings: &Settings, args: &TapArgs) -> Result<ExitCode, Failure> {
    let config = settings.load()?;
    let target = Target::find(&config);
    let (brokers, clock) = (target.brokers()?, Clock::system());
    upnext_kafka::admin::check(&brokers, std::time::Duration::from_secs(5))
        .await
        .map_err(unreachable)?;
    let registry = writer::registry(&target, &clock)?;
    let drain = Drain::new();
    stop::listen(&drain)?;
    let follow = |topic: Topic, is_wanted: bool| {
        let name = topic.name(&config.kafka.topic_prefix);
        is_wanted.then(|| tail::follow(&brokers, &name, false, drain.clone())).transpose()
    };
    let mut good =
        follow(Topic::Valid, !args.bad && args.reason.is_empty()).map_err(unreachable)?;
    let mut bad = follow(Topic::DeadLetters, !args.good).map_err(unreachable)?;
    let mut tap = Tap {
        args,
        decoder: Decoder::new(Arc::clone(&registry)),
        registry,
        pace: Pace::new(args.rate, clock.instant()),
        clock,
        good: 0,
        bad: 0,
    };
    output::note("tap: from now on; Ctrl-C ends it");
    let over = stop::after(args.span);
    tokio::pin!(over);
    loop {
        tokio::select! {
            () = drain.started() => break,
            () = &mut over => break,
            Some(record) = next(&mut good) => tap.good(record).await,
            Some(record) = next(&mut bad) => tap.bad(record).await,
            else => break,
        }
    }
    drain.start();
    let Tap { pace, good, bad, .. } = tap;
    output::note(format!("tap: {good} good, {bad} bad; {} shown", pace.shown));
    Ok(ExitCode::SUCCESS)
}

/// The next record; never where nothing is followed.
async fn next(events: &mut Option<mpsc::Receiver<TailEvent>>) -> Option<Record> {
    let Some(events) = events else { return std::future::pending().await };
    loop {
        match events.recv().await? {
            TailEvent::Record(record) => return Some(record),
            TailEvent::CaughtUp => {}
        }
    }
}

struct Tap<'a> {
    args: &'a TapArgs,
    decoder: Decoder,
    registry: Arc<RegistryClient>,
    pace: Pace,
    clock: Clock,
    /// That the filters take.
    good: u64,
    bad: u64,
}

impl Tap<'_> {
    async fn good(&mut self, record: Record) {
        if !self.is_of_user(&record) || !self.is_of_type(&record).await {
            return;
        }
        self.good += 1;
        if !self.pace.allows(self.clock.instant()) {
            return;
        }
        let value = record.value.as_deref().unwrap_or_default();
        let event = match self.decoder.event(value).await {
            Ok(event) => write_event(&event),
            Err(error) => json!({ "unreadable": error.to_string() }),
        };
        output::line(match self.args.format {
            Format::Json => json!({ "verdict": "accepted", "event": event }).to_string(),
            Format::Text => format!("good  {}", short(&event)),
        });
    }

    async fn bad(&mut self, record: Record) {
        if !self.is_of_user(&record) || !self.is_of_type(&record).await {
            return;
        }
        let letter = Letter::of(record);
        let codes = &self.args.reason;
        if !codes.is_empty() && !codes.iter().any(|code| code.code() == letter.reason) {
            return;
        }
        self.bad += 1;
        if !self.pace.allows(self.clock.instant()) {
            return;
        }
        output::line(match self.args.format {
            Format::Json => json!({ "verdict": "rejected", "letter": letter.json() }).to_string(),
            Format::Text => format!("bad   {}", letter.text()),
        });
    }

    fn is_of_user(&self, record: &Record) -> bool {
        let key = record.key.as_deref().unwrap_or_default();
        self.args.user.as_ref().is_none_or(|user| user.as_bytes() == key)
    }

    /// By the schema that the record names: what cannot be known is of no type.
    async fn is_of_type(&self, record: &Record) -> bool {
        let Some(wanted) = &self.args.kind else { return true };
        let Some(key) = schema_key(record) else { return false };
        let schema = self.registry.schema(key).await.ok();
        schema.and_then(|schema| schema.event_type()).is_some_and(|kind| kind.name() == wanted)
    }
}

/// The schema that a record names, in front of its value or in a header.
fn schema_key(record: &Record) -> Option<SchemaKey> {
    let value = record.value.as_deref().unwrap_or_default();
    unframe_with(value, record.header(SCHEMA_HEADER)).ok().map(|(key, _)| key)
}

fn short(event: &Value) -> String {
    let text = |name: &str| event[name].as_str().unwrap_or("-").to_owned();
    let who = if event["user_id"].is_null() { text("anonymous_id") } else { text("user_id") };
    let what = if event["item_id"].is_null() { String::new() } else { text("item_id") };
    format!(
        "{} {who} {what} at {} ms, session {}",
        text("type"),
        event["event_time"],
        text("session_id")
    )
}

/// At most so many a second: each second has its own.
struct Pace {
    rate: u32,
    second: Instant,
    in_second: u32,
    shown: u64,
}

impl Pace {
    fn new(rate: u32, now: Instant) -> Self {
        Self { rate, second: now, in_second: 0, shown: 0 }
    }

    fn allows(&mut self, now: Instant) -> bool {
        if now.saturating_duration_since(self.second).as_secs() >= 1 {
            (self.second, self.in_second) = (now, 0);
        }
        let allows = self.in_second < self.rate;
        if allows {
            self.in_second += 1;
            self.shown += 1;
        }
        allows
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn each_second_shows_so_many() {
        let clock = Clock::manual(0);
        let mut pace = Pace::new(2, clock.instant());
        let shown = |pace: &mut Pace| (0..5).filter(|_| pace.allows(clock.instant())).count();
        assert_eq!(shown(&mut pace), 2);
        clock.advance(Duration::from_millis(999));
        assert_eq!(shown(&mut pace), 0);
        clock.advance(Duration::from_millis(1));
        assert_eq!((shown(&mut pace), pace.shown), (2, 4));
    }

    #[test]
    fn a_schema_is_named_before_the_value_or_in_a_header() {
        let named = |value: &'static [u8], header: Option<&'static [u8]>| {
            let header = header.map(|id| (SCHEMA_HEADER.to_owned(), Some(id.into())));
            schema_key(&Record {
                topic: Arc::from("t"),
                partition: 0,
                offset: 0,
                timestamp_ms: 0,
                key: None,
                value: Some(value.into()),
                headers: header.into_iter().collect(),
            })
        };
        assert_eq!(named(b"\x00\x00\x00\x00\x07x", None), Some(SchemaKey::Id(7)));
        assert_eq!(named(b"x", Some(b"\x00\x00\x00\x00\x09")), Some(SchemaKey::Id(9)));
        assert_eq!(named(b"x", None), None);
    }

    #[test]
    fn an_event_is_told_in_a_line() {
        let event =
            json!({"type": "Searched", "anonymous_id": "a", "event_time": 5, "session_id": "s"});
        assert_eq!(short(&event), "Searched a  at 5 ms, session s");
    }
}
