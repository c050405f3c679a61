//! The command line: every verb, and where it goes.

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::completions::CompletionsArgs;
use crate::config_verb::ConfigArgs;
use crate::failure::Failure;
use crate::settings::Settings;
use crate::{completions, config_verb};

/// Personal answers from a stream of events, within a deadline.
#[derive(Debug, Parser)]
#[command(name = "upnext", version, max_term_width = 100, propagate_version = true)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) settings: Settings,
    #[command(subcommand)]
    pub(crate) verb: Verb,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    Config(ConfigArgs),
    Completions(CompletionsArgs),
}

pub(crate) async fn dispatch(cli: Cli) -> Result<ExitCode, Failure> {
    let settings = &cli.settings;
    match cli.verb {
        Verb::Config(args) => config_verb::run(settings, &args),
        Verb::Completions(args) => Ok(completions::run(&args)),
    }
}
