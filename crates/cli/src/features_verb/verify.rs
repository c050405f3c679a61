//! `upnext features verify`.

use std::process::ExitCode;

use anyhow::Context;
use clap::{Args, ValueEnum};
use upnext_common::clock::Clock;
use upnext_common::config::Config;
use upnext_common::drain::Drain;
use upnext_features::verify::{
    Compared, Counts, Follower, Progress as Done, Report, Sample, Verify, VerifyError, What,
};

use crate::endpoints::Target;
use crate::failure::Failure;
use crate::output;
use crate::progress::Progress;
use crate::settings::Settings;
use crate::stop::{self, Span};
use crate::writer::unreachable;

/// Recompute state from the logs and hold it against Redis, byte for byte
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  upnext features verify
  upnext features verify --sample 0.01 --format json
  upnext features verify --sample 0.01 --follow --every 60s

Right while the system is live: everyone is compared at the place of the log up to which their state has come. Exit
code 1 when anything is wrong: a mismatch, something missing, or something that no log speaks of. Reads all of the
logs; with --sample it decodes only the events of that share of users, and with --follow it reads on from round to
round.")]
pub(super) struct VerifyArgs {
    /// Share of users and items that is looked at, chosen by the hash of their ids
    #[arg(long, value_name = "SHARE", default_value = "1", value_parser = share)]
    sample: Sample,
    /// Compare again and again until interrupted, one line a round
    #[arg(long)]
    follow: bool,
    /// Pause between two rounds of --follow
    #[arg(long, value_name = "SPAN", default_value = "60s")]
    every: Span,
    /// Records read a second at most
    #[arg(long, value_name = "N")]
    rate: Option<u32>,
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    Text,
    /// One JSON object, with --follow one a line
    Json,
}

fn share(text: &str) -> Result<Sample, String> {
    let share = text.parse().ok().and_then(Sample::of);
    share.ok_or_else(|| "write a share above 0 and at most 1, for example 0.01".to_owned())
}

pub(super) async fn run(settings: &Settings, args: &VerifyArgs) -> Result<ExitCode, Failure> {
    let mut config = settings.load()?;
    Settings::quieten(&mut config);
    let verify = verify_of(&config, args)?;
    let drain = Drain::new();
    stop::listen(&drain)?;
    let is_clean = tokio::select! {
        compared = Box::pin(compare(&verify, args, &drain)) => compared.map_err(failed)??,
        () = drain.started() => return Err(Failure::Other(anyhow::anyhow!("interrupted"))),
    };
    Ok(if is_clean { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn verify_of(config: &Config, args: &VerifyArgs) -> Result<Verify, Failure> {
    let target = Target::find(config);
    Ok(Verify {
        config: config.clone(),
        brokers: target.brokers()?,
        registry_url: target.registry()?,
        redis_url: target.redis()?,
        clock: Clock::system(),
        sample: args.sample,
        rate_max: args.rate,
    })
}

/// Whether everything was right.
async fn compare(
    verify: &Verify,
    args: &VerifyArgs,
    drain: &Drain,
) -> Result<Result<bool, Failure>, VerifyError> {
    if args.follow {
        return follow(verify.follow().await?, args, drain).await;
    }
    let mut progress = Progress::new("verify", &verify.clock);
    let mut tell = |done: Done| progress.tell(done.done, done.of, "records");
    let report = verify.run(&mut tell).await?;
    progress.finish(&format!("{} records read", report.records));
    if !report.is_clean() && args.format == Format::Text {
        output::note("hint: upnext features rebuild makes all state anew from the log");
    }
    Ok(show(&report, args.format).map(|()| report.is_clean()))
}

async fn follow(
    mut follower: Follower,
    args: &VerifyArgs,
    drain: &Drain,
) -> Result<Result<bool, Failure>, VerifyError> {
    let Span(pause) = args.every;
    let mut is_clean = true;
    while !drain.has_started() {
        let report = follower.round(&mut |_| {}).await?;
        is_clean &= report.is_clean();
        if let Err(failure) = show_round(&report, args.format) {
            return Ok(Err(failure));
        }
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = drain.started() => {}
        }
    }
    Ok(Ok(is_clean))
}

fn show_round(report: &Report, format: Format) -> Result<(), Failure> {
    if format == Format::Json {
        return show(report, format);
    }
    let of = |name: &str, compared: &Compared| format!("{name}: {}", counted(&compared.states));
    output::line(format!("{}; {}", of("users", &report.users), of("items", &report.items)));
    wrong(&report.users);
    wrong(&report.items);
    Ok(())
}

fn show(report: &Report, format: Format) -> Result<(), Failure> {
    if format == Format::Json {
        let text = serde_json::to_string(report).context("the report cannot be written")?;
        output::line(text);
        return Ok(());
    }
    for (name, compared) in [("users", &report.users), ("items", &report.items)] {
        output::line(format!("{name}: {}", counted(&compared.states)));
        for (feature, counts) in &compared.features {
            output::line(format!("  {feature}: {}", counted(counts)));
        }
        wrong(compared);
    }
    if let Some(signals) = &report.signals {
        output::line(format!("signals: {}", counted(signals)));
    }
    output::line(if report.is_clean() { "all as the log says" } else { "not what the log says" });
    Ok(())
}

fn counted(counts: &Counts) -> String {
    let Counts { checked, mismatch, missing, extra } = counts;
    format!("{checked} checked, {mismatch} mismatch, {missing} missing, {extra} extra")
}

fn wrong(compared: &Compared) {
    for wrong in &compared.wrong {
        let what = match wrong.what {
            What::Mismatch => "mismatch",
            What::Missing => "missing",
            What::Extra => "extra",
        };
        let at = |offset: Option<i64>| offset.map_or("-".to_owned(), |offset| offset.to_string());
        output::line(format!(
            "  {what} {} (at {}, the log says {}): {}",
            wrong.key,
            at(wrong.found_at),
            at(wrong.expected_at),
            wrong.features.join(", ")
        ));
    }
}

/// What stands in the way of a comparison, and what to do about it.
fn failed(error: VerifyError) -> Failure {
    match error {
        VerifyError::Kafka(cause) => unreachable(cause),
        VerifyError::Registry(_) | VerifyError::Unread { .. } => Failure::unavailable(
            error.to_string(),
            "check registry.url, and that the registry runs",
        ),
        VerifyError::Store(_) => {
            Failure::unavailable(error.to_string(), "check redis.url, and that Redis runs")
        }
        VerifyError::Truncated { .. } => Failure::unavailable(
            error.to_string(),
            "only a log that begins at offset 0 can be recomputed: see kafka.events_retention_bytes",
        ),
        VerifyError::MadeAnew { .. } => Failure::unavailable(
            error.to_string(),
            "upnext features rebuild makes state anew from what the log holds now",
        ),
        VerifyError::Unsettled { .. } => Failure::unavailable(
            error.to_string(),
            "the store keeps losing state or the daemons keep starting over: look at their logs",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_above_0_and_at_most_1() {
        assert!(share("0.01").is_ok() && share("1").is_ok_and(Sample::is_everyone));
        for text in ["0", "1.5", "-1", "x", "nan"] {
            assert!(share(text).is_err(), "{text}");
        }
    }

    #[test]
    fn every_failure_says_what_to_do() {
        let unread = VerifyError::Unread { cause: "away".to_owned() };
        let truncated = VerifyError::Truncated { topic: "t".to_owned(), partition: 1, start: 9 };
        let unsettled = VerifyError::Unsettled { stage: "users", partition: 0 };
        let anew = VerifyError::MadeAnew { topic: "t".to_owned(), partition: 1, epoch: 1 };
        let Failure::Unavailable { hint, .. } = failed(anew) else { panic!("unavailable") };
        assert!(hint.contains("rebuild"), "{hint}");
        for (error, part) in [(unread, "registry"), (truncated, "offset 0"), (unsettled, "logs")] {
            let Failure::Unavailable { hint, .. } = failed(error) else {
                panic!("what cannot be compared is unavailable");
            };
            assert!(hint.contains(part), "{hint}");
        }
    }
}
