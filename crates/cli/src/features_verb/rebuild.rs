//! `upnext features rebuild` and `upnext features drop-old`.

use std::process::ExitCode;

use clap::Args;
use upnext_common::clock::Clock;
use upnext_common::config::Config;
use upnext_common::drain::Drain;
use upnext_common::metrics::Metrics;
use upnext_features::rebuild::{Outlook, Phase, Progress as Done, Rebuild, RebuildError, Rebuilt};
use upnext_features::{Features, FeaturesError};
use upnext_store::Stage;

use crate::endpoints::Target;
use crate::failure::Failure;
use crate::output;
use crate::progress::Progress;
use crate::settings::Settings;
use crate::stop;
use crate::writer::unreachable;

/// Old states removed a second, unless said otherwise.
const REMOVALS_PER_SECOND: u32 = 20_000;

/// Make all state anew from the log beside the state that serves, and take it into service at once
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  upnext features rebuild --dry-run
  upnext features rebuild
  upnext features rebuild --keep-old

Daemons and serving go on, and follow by themselves when the new state has caught up. Interrupted, it is continued by
the next run. Until then the store holds both; the old states are removed once nobody answers from them any more.")]
pub(super) struct RebuildArgs {
    /// Say what would be done, and do nothing
    #[arg(long)]
    dry_run: bool,
    /// Leave the old states in the store; upnext features drop-old removes them later
    #[arg(long)]
    keep_old: bool,
    /// Go on although the log has dropped its oldest events, and forget what only they told
    #[arg(long)]
    forget_dropped: bool,
    /// Old states removed a second at most
    #[arg(long, value_name = "N", default_value_t = REMOVALS_PER_SECOND)]
    removal_rate: u32,
}

/// Remove the states of generations that serve no more
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  upnext features drop-old
  upnext features drop-old --removal-rate 5000

For what upnext features rebuild --keep-old left, or one that ended too early. Exit code 1 when somebody still answers
from them.")]
pub(super) struct DropOldArgs {
    /// States removed a second at most
    #[arg(long, value_name = "N", default_value_t = REMOVALS_PER_SECOND)]
    removal_rate: u32,
}

pub(super) async fn run(settings: &Settings, args: &RebuildArgs) -> Result<ExitCode, Failure> {
    let mut config = settings.load()?;
    Settings::quieten(&mut config);
    let rebuild = Rebuild {
        keeps_old: args.keep_old,
        forgets_dropped: args.forget_dropped,
        ..rebuild_of(&config, args.removal_rate)?
    };
    if args.dry_run {
        let outlook = rebuild.outlook().await.map_err(failed)?;
        output::line(foretold(outlook, args.keep_old));
        return Ok(ExitCode::SUCCESS);
    }
    let drain = Drain::new();
    stop::listen(&drain)?;
    let mut progress = Progress::new("rebuild", &rebuild.features.clock);
    let mut tell = |done: Done| progress.tell(done.done, done.of, said(done.phase));
    let outcome = Box::pin(rebuild.run(&drain, &mut tell)).await;
    progress.finish(if outcome.is_ok() { "done" } else { "not done" });
    let Rebuilt { outlook, counted, removed } = outcome.map_err(failed)?;
    let Outlook { from, to, .. } = outlook;
    output::line(format!(
        "generation {to} serves instead of {from}: {} events and {} signals counted",
        counted.events, counted.signals
    ));
    match removed {
        Some(count) => output::line(format!("{count} old states removed")),
        None => output::line("the old states were left: upnext features drop-old removes them"),
    }
    Ok(ExitCode::SUCCESS)
}

pub(super) async fn drop_old(settings: &Settings, args: &DropOldArgs) -> Result<ExitCode, Failure> {
    let mut config = settings.load()?;
    Settings::quieten(&mut config);
    let rebuild = rebuild_of(&config, args.removal_rate)?;
    let mut progress = Progress::new("drop-old", &rebuild.features.clock);
    let mut tell = |done: Done| progress.tell(done.done, done.of, said(done.phase));
    let removed = Box::pin(rebuild.remove_old(&mut tell)).await;
    progress.finish(if removed.is_ok() { "done" } else { "not done" });
    if let Some(count) = removed.map_err(failed)? {
        output::line(format!("{count} old states removed"));
        return Ok(ExitCode::SUCCESS);
    }
    output::note("nothing was removed: somebody still answers from an old state");
    Ok(ExitCode::FAILURE)
}

fn rebuild_of(config: &Config, removals_per_second_max: u32) -> Result<Rebuild, Failure> {
    let target = Target::find(config);
    let features = Features {
        config: config.clone(),
        brokers: target.brokers()?,
        registry_url: target.registry()?,
        redis_url: target.redis()?,
        metrics: Metrics::new(),
        clock: Clock::system(),
    };
    Ok(Rebuild { features, keeps_old: true, removals_per_second_max, forgets_dropped: false })
}

fn foretold(outlook: Outlook, keeps_old: bool) -> String {
    let Outlook { from, to, resumes, events, dropped } = outlook;
    let verb = if resumes { "continue" } else { "make" };
    let old = if keeps_old { "left in the store" } else { "removed" };
    let mut text = format!(
        "would {verb} generation {to} from {events} events, then let it serve instead of generation {from}, \
         whose states would be {old}"
    );
    if dropped > 0 {
        text += &format!(
            "; the log has dropped its {dropped} oldest events: only --forget-dropped goes on"
        );
    }
    text
}

fn said(phase: Phase) -> &'static str {
    match phase {
        Phase::Building(Stage::Users) => "records of events in the new state",
        Phase::Building(Stage::Items) => "records of signals in the new state",
        Phase::HandingOver => "seconds for the daemons to follow",
        Phase::Waiting => "seconds for those who still answer from the old state",
        Phase::Removing => "old states removed",
    }
}

/// Why the new state does not serve, and what to do about it.
fn failed(error: RebuildError) -> Failure {
    let what = error.to_string();
    match error {
        RebuildError::Kafka(cause) => unreachable(cause),
        RebuildError::Store(_) => {
            Failure::unavailable(what, "check redis.url, and that Redis runs")
        }
        RebuildError::Features(FeaturesError::Kafka(cause)) => unreachable(cause),
        RebuildError::Features(_) => Failure::unavailable(what, "look at the log; run it again"),
        RebuildError::Busy => {
            Failure::unavailable(what, "wait for it; one that was killed counts for 15 s more")
        }
        RebuildError::Lost => Failure::unavailable(what, "run it again once the other one is done"),
        RebuildError::Overtaken { .. } => {
            Failure::unavailable(what, "look at it; run it again if another one is needed")
        }
        RebuildError::Truncated { .. } => Failure::unavailable(
            what,
            "pass --forget-dropped to go on without them; see kafka.events_retention_bytes",
        ),
        RebuildError::Outrun { .. } => Failure::unavailable(
            what,
            "give the topic more room (retention.bytes, retention.ms), and run it again",
        ),
        RebuildError::Repartitioned { .. } => Failure::refused(
            what,
            "write the topic anew from the raw events first: docs/OPERATIONS.md, \"Topics made anew\"",
        ),
        RebuildError::Interrupted => {
            Failure::Other(anyhow::anyhow!("interrupted; the next run goes on from here"))
        }
    }
}

#[cfg(test)]
mod tests {
    use upnext_common::generation::Generation;

    use super::*;

    #[test]
    fn a_dry_run_says_what_would_happen() {
        let outlook = Outlook {
            from: Generation(0),
            to: Generation(1),
            resumes: false,
            events: 7,
            dropped: 0,
        };
        assert_eq!(
            foretold(outlook, false),
            "would make generation 1 from 7 events, then let it serve instead of generation 0, whose states would \
             be removed"
        );
        let text = foretold(Outlook { resumes: true, dropped: 3, ..outlook }, true);
        assert!(text.starts_with("would continue") && text.contains("--forget-dropped"), "{text}");
        assert!(text.contains("left in the store"), "{text}");
    }

    #[test]
    fn every_failure_says_what_to_do() {
        let overtaken = RebuildError::Overtaken { serving: Generation(3) };
        let truncated = RebuildError::Truncated { dropped: 9 };
        let table = [
            (RebuildError::Busy, "15 s"),
            (RebuildError::Lost, "again"),
            (overtaken, "again"),
            (truncated, "--forget-dropped"),
            (RebuildError::Outrun { topic: "t".to_owned(), dropped: 9 }, "retention.bytes"),
        ];
        for (error, part) in table {
            let Failure::Unavailable { hint, .. } = failed(error) else {
                panic!("it cannot be done now");
            };
            assert!(hint.contains(part), "{hint}");
        }
        let split = RebuildError::Repartitioned { topic: "t".to_owned(), before: 4, now: 8 };
        let Failure::Refused { hint, .. } = failed(split) else { panic!("it never can be done") };
        assert!(hint.contains("anew"), "{hint}");
    }
}
