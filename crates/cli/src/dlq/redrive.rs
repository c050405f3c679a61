//! `upnext dlq redrive`.

use std::io::{BufRead, IsTerminal, stdin};
use std::process::ExitCode;

use clap::Args;
use upnext_common::clock::Clock;
use upnext_common::config::Config;
use upnext_common::drain::Drain;
use upnext_ingest::dlq::{self, DeadLetters, Redrive, RedriveError, Report, Skipped};
use upnext_kafka::admin;

use super::chosen::Chosen;
use super::{Format, unread};
use crate::failure::Failure;
use crate::output;
use crate::progress::Progress;
use crate::stop;

/// Send dead letters back to where they came from, each once
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  upnext dlq redrive --reason unknown_schema_id --dry-run
  upnext dlq redrive --reason unknown_schema_id --yes
  upnext dlq redrive --since 2h --rate 500/s --max 10000 --yes

The original key, value, headers and timestamp go to the partition they came from. Stopped, killed, run again or run
twice at once: no record is sent twice. Reasons that redriving cannot help are left out unless named by --reason;
what has failed 5 times is parked. Exit code 1 when another redrive takes over.")]
pub(super) struct RedriveArgs {
    #[command(flatten)]
    chosen: Chosen,
    /// Say what would be done, and do nothing
    #[arg(long)]
    dry_run: bool,
    /// Records a second at most: 500 or 500/s
    #[arg(long, value_name = "N/s", value_parser = rate)]
    rate: Option<u32>,
    /// Records at most
    #[arg(long, value_name = "N")]
    max: Option<u64>,
    /// Also what has failed 5 times
    #[arg(long)]
    include_parked: bool,
    /// Do not ask
    #[arg(long)]
    yes: bool,
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

fn rate(text: &str) -> Result<u32, String> {
    let count = text.strip_suffix("/s").unwrap_or(text).parse();
    count.ok().filter(|rate| *rate > 0).ok_or_else(|| "write 500 or 500/s".to_owned())
}

pub(super) async fn run(
    from: DeadLetters,
    config: &Config,
    args: &RedriveArgs,
) -> Result<ExitCode, Failure> {
    let clock = Clock::system();
    let redrive = Redrive {
        filter: args.chosen.filter()?,
        dry_run: args.dry_run,
        include_parked: args.include_parked,
        rate_max: args.rate,
        records_max: args.max,
        clock: clock.clone(),
        from,
    };
    // The ledger may not be there yet: a system that was set up by an earlier version.
    admin::ensure_topics(&redrive.from.brokers, &config.kafka).await.map_err(unread)?;
    let drain = Drain::new();
    stop::listen(&drain)?;
    if !args.yes && !args.dry_run && !is_wanted(&redrive, &drain).await? {
        output::note("nothing was sent");
        return Ok(ExitCode::FAILURE);
    }
    let mut progress = Progress::new("redrive", &clock);
    let mut last = dlq::Progress::default();
    let mut tell = |now: &dlq::Progress| {
        last = now.clone();
        progress.tell(now.looked_at, now.of, &format!("looked at, {} redriven", now.redriven));
    };
    let outcome = redrive.run(&drain, &mut tell).await;
    progress.finish(&format!("{} of {} looked at", last.looked_at, last.of));
    match outcome {
        Ok(report) => {
            show(&report, args.format)?;
            Ok(ExitCode::SUCCESS)
        }
        Err(RedriveError::TakenOver) => {
            let done = last.redriven;
            output::note(format!("stopped after {done}: another redrive has begun and goes on"));
            Ok(ExitCode::FAILURE)
        }
        Err(RedriveError::Filter(error)) => {
            Err(Failure::usage(error.to_string(), "see upnext dlq redrive --help"))
        }
        Err(RedriveError::Kafka(error)) => Err(Failure::unavailable(
            format!("{error} ({} were redriven before)", last.redriven),
            "run it again: what was sent is not sent twice",
        )),
    }
}

/// Asks a person; a program has to say --yes.
async fn is_wanted(redrive: &Redrive, drain: &Drain) -> Result<bool, Failure> {
    if !stdin().is_terminal() {
        return Err(Failure::usage(
            "nobody is there to ask",
            "pass --yes, or --dry-run to look first",
        ));
    }
    let dry = Redrive { dry_run: true, ..redrive.clone() };
    let looked = dry.run(drain, &mut |_| {}).await;
    let report = looked.map_err(|error| Failure::Other(error.into()))?;
    show(&report, Format::Text)?;
    output::note(format!("send {} back? [y/N]", report.redriven));
    let mut answer = String::new();
    stdin().lock().read_line(&mut answer).map_err(|error| Failure::Other(error.into()))?;
    Ok(matches!(answer.trim(), "y" | "yes"))
}

fn show(report: &Report, format: Format) -> Result<(), Failure> {
    if format == Format::Json {
        let text = serde_json::to_string(report).map_err(|error| Failure::Other(error.into()))?;
        output::line(text);
        return Ok(());
    }
    let verb = if report.dry_run { "would be redriven" } else { "redriven" };
    output::line(format!("{} {verb}", report.redriven));
    for (reason, count) in &report.reasons {
        output::line(format!("{count:>8}  {reason}"));
    }
    for (why, count) in &report.skipped {
        output::line(format!("{count:>8}  left: {}", told(*why)));
    }
    for (reason, count) in &report.hopeless {
        output::line(format!("{count:>8}    of reason {reason}"));
    }
    if !report.complete {
        output::line("stopped before the end; run it again for the rest");
    }
    Ok(())
}

fn told(why: Skipped) -> &'static str {
    match why {
        Skipped::AlreadyRedriven => "already redriven",
        Skipped::StandsValid => "valid when judged again, and so counted already",
        Skipped::Parked => "parked after 5 attempts (--include-parked sends them too)",
        Skipped::CannotHelp => {
            "redriving cannot help (name the --reason to send them all the same)"
        }
        Skipped::NoValue => "kept without their value, which was too large",
        Skipped::Foreign => "not from this system's raw topic",
        Skipped::Refused => "refused by the broker",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_read_with_and_without_their_unit() {
        assert_eq!((rate("500"), rate("500/s")), (Ok(500), Ok(500)));
        for wrong in ["0", "-1", "fast", "500/m"] {
            assert!(rate(wrong).is_err(), "{wrong}");
        }
    }
}
