//! `upnext events`: send events by HTTP, or judge them without a system.

mod validate;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
use clap::{Args, Subcommand};
use serde_json::{Value, json};

use crate::api::Api;
use crate::endpoints::Target;
use crate::failure::Failure;
use crate::output;
use crate::settings::Settings;

use validate::ValidateArgs;

const EVENTS_PER_CALL: usize = 500;

/// Send or validate events.
#[derive(Args, Debug)]
pub(crate) struct EventsArgs {
    #[command(subcommand)]
    verb: EventsVerb,
}

#[derive(Debug, Subcommand)]
enum EventsVerb {
    /// Send events (JSON lines) to a running system; exit 1 when one is rejected
    #[command(after_help = "Examples:
  upnext events send events.jsonl
  echo '{\"type\":\"ItemClicked\",\"user_id\":\"u1\",\"item_id\":\"p00001\"}' | upnext events send -")]
    Send {
        /// JSON lines; `-` is standard input
        file: PathBuf,
        /// Base URL of the public API [default: the `up` on this data directory, else serve.listen]
        #[arg(long)]
        url: Option<String>,
    },
    Validate(ValidateArgs),
}

pub(crate) async fn run(settings: &Settings, args: &EventsArgs) -> Result<ExitCode, Failure> {
    let config = settings.load()?;
    match &args.verb {
        EventsVerb::Send { file, url } => {
            let api = Api::new(&url.clone().unwrap_or_else(|| Target::find(&config).http()));
            send(&api, &lines(file)?).await
        }
        EventsVerb::Validate(args) => validate::run(&config, args),
    }
}

/// Every line that is not empty, with its number from 1.
fn lines(file: &Path) -> Result<Vec<(u64, Value)>, Failure> {
    let text = if file.as_os_str() == "-" {
        std::io::read_to_string(std::io::stdin())
    } else {
        std::fs::read_to_string(file)
    };
    let text = text.with_context(|| format!("cannot read {}", file.display()))?;
    let mut events = Vec::new();
    for (line, number) in text.lines().zip(1..).filter(|(line, _)| !line.trim().is_empty()) {
        let event = serde_json::from_str(line).map_err(|error| {
            let place = format!("{}:{number}:{}", file.display(), error.column());
            Failure::usage(format!("{place}: {error}"), "write one JSON object per line")
        })?;
        events.push((number, event));
    }
    Ok(events)
}

async fn send(api: &Api, events: &[(u64, Value)]) -> Result<ExitCode, Failure> {
    let (mut accepted, mut rejected) = (0, 0);
    for batch in events.chunks(EVENTS_PER_CALL) {
        let body: Vec<&Value> = batch.iter().map(|(_, event)| event).collect();
        let reply = api.post("/v1/events", &json!({ "events": body })).await?;
        // 422 says that all were rejected, and why, in the same words.
        let body = if reply.status.as_u16() == 422 { reply.body } else { reply.ok()? };
        accepted += body["accepted"].as_u64().unwrap_or_default();
        for one in body["rejected"].as_array().into_iter().flatten() {
            rejected += 1;
            let at = one["index"].as_u64().and_then(|index| usize::try_from(index).ok());
            let line = at.and_then(|at| batch.get(at)).map_or(0, |(line, _)| *line);
            let text = |name: &str| one[name].as_str().unwrap_or_default().to_owned();
            output::line(rejection(line, &text("reason"), &text("pointer"), &text("detail")));
        }
    }
    Ok(told(accepted, rejected))
}

fn rejection(line: u64, reason: &str, pointer: &str, detail: &str) -> String {
    format!("line {line}: {reason} {pointer}: {detail}")
}

fn told(accepted: u64, rejected: u64) -> ExitCode {
    output::line(format!("{accepted} accepted, {rejected} rejected"));
    if rejected > 0 { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}
