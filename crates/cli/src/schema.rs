//! `upnext schema`: the contracts in the hands of those who change them.

mod place;
mod test;
mod subjects;
mod against;
mod lineage;
mod announced;
mod told;
mod check;
mod lint;
mod diff;
mod register;
mod codegen;

use std::process::ExitCode;

use clap::{Args, Subcommand, ValueEnum};

use crate::failure::Failure;
use crate::settings::Settings;

/// Check, compare, register and use the schemas of events and items.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  upnext schema check --against git:main
  upnext schema lint
  upnext schema diff git:main
  upnext schema register --dry-run
  upnext schema test
  upnext schema codegen --lang python")]
pub(crate) struct SchemaArgs {
    #[command(subcommand)]
    verb: SchemaVerb,
}

#[derive(Debug, Subcommand)]
enum SchemaVerb {
    Check(check::CheckArgs),
    Lint(lint::LintArgs),
    Test(test::TestArgs),
    Diff(diff::DiffArgs),
    Register(register::RegisterArgs),
    Codegen(codegen::CodegenArgs),
}

/// How findings are told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    Text,
    Json,
    /// Annotations of GitHub Actions: `::error file=…,line=…::…`
    Github,
}

pub(crate) async fn run(settings: &Settings, args: &SchemaArgs) -> Result<ExitCode, Failure> {
    match &args.verb {
        SchemaVerb::Check(args) => check::run(settings, args).await,
        SchemaVerb::Lint(args) => lint::run(args),
        SchemaVerb::Test(args) => test::run(args),
        SchemaVerb::Diff(args) => diff::run(settings, args).await,
        SchemaVerb::Register(args) => register::run(settings, args).await,
        SchemaVerb::Codegen(args) => codegen::run(args),
    }
}
