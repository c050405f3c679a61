//! `upnext top`: what a running system does, second by second.

mod board;
mod sample;

use std::io::{IsTerminal, stdout};
use std::process::ExitCode;
use std::time::Instant;

use clap::{Args, ValueEnum};
use tokio::time::MissedTickBehavior;
use upnext_common::clock::Clock;
use upnext_common::drain::Drain;

use crate::api::Api;
use crate::endpoints::Target;
use crate::failure::Failure;
use crate::output;
use crate::settings::Settings;
use crate::stop::{self, Span};
use board::Board;
use sample::Sample;

/// To the upper left corner, and nothing below.
const CLEAR: &str = "\x1b[H\x1b[J";

/// Watch a running system: events, lag, flushes, freshness, answers.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  upnext top
  upnext top --once --format json
  upnext top --ops 10.0.0.7:9090 --ops 10.0.0.8:9090 --every 5s

Reads /metrics of each address and shows what changed between two looks; of several processes, all together.")]
pub(crate) struct TopArgs {
    /// Address of a process's probes and metrics; may be repeated. Default: the `upnext up` on this data directory,
    /// else ops.listen
    #[arg(long, value_name = "HOST:PORT")]
    ops: Vec<String>,
    /// Time between two looks
    #[arg(long, value_name = "TIME", default_value = "1s")]
    every: Span,
    /// Two looks, one board
    #[arg(long)]
    once: bool,
    /// Stop after this long: 60s, 5m
    #[arg(long = "for", value_name = "TIME", conflicts_with = "once")]
    span: Option<Span>,
    /// As JSON: one line a board
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    Text,
    Json,
}

pub(crate) async fn run(settings: &Settings, args: &TopArgs) -> Result<ExitCode, Failure> {
    let Span(every) = args.every;
    if every.is_zero() {
        return Err(Failure::usage("--every must be longer than nothing", "write 1s"));
    }
    let watched = Watched::find(settings, args)?;
    let drain = Drain::new();
    stop::listen(&drain)?;
    let mut before = watched.look().await?;
    let mut ticks = tokio::time::interval_at(tokio::time::Instant::now() + every, every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let over = stop::after(args.span);
    tokio::pin!(over);
    loop {
        tokio::select! {
            () = drain.started() => break,
            () = &mut over => break,
            _ = ticks.tick() => {}
        }
        let now = match watched.look().await {
            Ok(now) => now,
            Err(failure) if args.once => return Err(failure),
            Err(failure) => {
                output::note(failure.to_string());
                continue;
            }
        };
        show(&Board::between(&before.sample, &now.sample, now.at - before.at), args.format);
        before = now;
        if args.once {
            break;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn show(board: &Board, format: Format) {
    match format {
        Format::Json => output::line(board.json().to_string()),
        Format::Text if stdout().is_terminal() => output::line(format!("{CLEAR}{}", board.text())),
        Format::Text => output::line(board.text()),
    }
}

/// Whom we look at.
struct Watched {
    apis: Vec<Api>,
    clock: Clock,
}

/// What was seen, and when.
struct Look {
    sample: Sample,
    at: Instant,
}

impl Watched {
    fn find(settings: &Settings, args: &TopArgs) -> Result<Self, Failure> {
        let base = |address: &String| match address.contains("://") {
            true => address.clone(),
            false => format!("http://{address}"),
        };
        let bases = match args.ops.as_slice() {
            [] => vec![Target::find(&settings.load()?).ops()],
            named => named.iter().map(base).collect(),
        };
        let apis = bases.iter().map(|base| Api::new(base)).collect();
        Ok(Self { apis, clock: Clock::system() })
    }

    /// # Errors
    /// When one of them does not answer: a sum that lacks somebody would look like a change.
    async fn look(&self) -> Result<Look, Failure> {
        let at = self.clock.instant();
        let mut sample = Sample::default();
        for api in &self.apis {
            sample.add(&api.text("/metrics").await?);
        }
        Ok(Look { sample, at })
    }
}
