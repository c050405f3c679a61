//! The command line: every verb, and where it goes.

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::completions::{self, CompletionsArgs};
use crate::config_verb::{self, ConfigArgs};
use crate::daemon_verbs::{self, Daemon, IngestArgs, ServeArgs};
use crate::dlq::{self, DlqArgs};
use crate::evaluate::{self, EvaluateArgs};
use crate::events::{self, EventsArgs};
use crate::failure::Failure;
use crate::features_verb::{self, FeaturesArgs};
use crate::import::{self, ImportArgs};
use crate::schema::{self, SchemaArgs};
use crate::settings::Settings;
use crate::simulate::{self, SimulateArgs};
use crate::tap::{self, TapArgs};
use crate::top::{self, TopArgs};
use crate::train::{self, TrainArgs};
use crate::up::{self, UpArgs};

/// Personal answers from a stream of events, within a deadline.
#[derive(Debug, Parser)]
#[command(name = "upnext", version, max_term_width = 100, propagate_version = true)]
#[command(after_help = "Examples:
  upnext up --demo
  upnext import events.csv.gz --items items.jsonl.gz
  upnext evaluate --dataset data/eshop2008 --via offline

Configuration: flag > environment (UPNEXT_SERVE__DEADLINE_MS=100) > upnext.toml > default.
Exit codes: 0 good, 1 the check said no, 64 usage, 69 a dependency or port unavailable, 78 configuration.")]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) settings: Settings,
    #[command(subcommand)]
    pub(crate) verb: Verb,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    Up(UpArgs),
    Ingest(IngestArgs),
    /// Decode records for a parent that two of them may have killed.
    #[command(hide = true)]
    IngestDecode,
    Features(FeaturesArgs),
    Serve(ServeArgs),
    Import(ImportArgs),
    Train(TrainArgs),
    Evaluate(EvaluateArgs),
    Simulate(SimulateArgs),
    Events(EventsArgs),
    Dlq(DlqArgs),
    Tap(TapArgs),
    Top(TopArgs),
    Schema(SchemaArgs),
    Config(ConfigArgs),
    Completions(CompletionsArgs),
}

impl Verb {
    /// Whether it may come to training.
    pub(crate) fn trains(&self) -> bool {
        matches!(self, Self::Up(_) | Self::Train(_) | Self::Evaluate(_))
    }
}

pub(crate) async fn dispatch(cli: Cli) -> Result<ExitCode, Failure> {
    let settings = &cli.settings;
    match cli.verb {
        Verb::Up(args) => Box::pin(up::run(settings, &args)).await,
        Verb::Ingest(IngestArgs {}) => daemon_verbs::run(settings, Daemon::Ingest).await,
        Verb::IngestDecode => daemon_verbs::decode(),
        Verb::Features(args) => features_verb::run(settings, &args).await,
        Verb::Serve(ServeArgs {}) => daemon_verbs::run(settings, Daemon::Serve).await,
        Verb::Import(args) => Box::pin(import::run(settings, &args)).await,
        Verb::Train(args) => Box::pin(train::run(settings, &args)).await,
        Verb::Evaluate(args) => Box::pin(evaluate::run(settings, &args)).await,
        Verb::Simulate(args) => Box::pin(simulate::run(settings, &args)).await,
        Verb::Events(args) => events::run(settings, &args).await,
        Verb::Dlq(args) => Box::pin(dlq::run(settings, &args)).await,
        Verb::Tap(args) => tap::run(settings, &args).await,
        Verb::Top(args) => top::run(settings, &args).await,
        Verb::Schema(args) => schema::run(settings, &args).await,
        Verb::Config(args) => config_verb::run(settings, &args),
        Verb::Completions(args) => Ok(completions::run(&args)),
    }
}
