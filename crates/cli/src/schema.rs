//! `upnext schema`: the contracts in the hands of those who change them.

mod lint;
mod place;
mod test;

use std::process::ExitCode;

use clap::{Args, Subcommand, ValueEnum};

use crate::failure::Failure;
use crate::settings::Settings;

/// Check, compare, register and use the schemas of events and items.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  upnext schema lint
  upnext schema test")]
pub(crate) struct SchemaArgs {
    #[command(subcommand)]
    verb: SchemaVerb,
}

#[derive(Debug, Subcommand)]
enum SchemaVerb {
    Lint(lint::LintArgs),
    Test(test::TestArgs),
}

/// How findings are told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    Text,
    Json,
    /// Annotations of GitHub Actions: `::error file=…,line=…::…`
    Github,
}

#[expect(clippy::unused_async, reason = "the verbs that ask a registry wait for it")]
pub(crate) async fn run(_settings: &Settings, args: &SchemaArgs) -> Result<ExitCode, Failure> {
    match &args.verb {
        SchemaVerb::Lint(args) => lint::run(args),
        SchemaVerb::Test(args) => test::run(args),
    }
}
