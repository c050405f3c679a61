//! `upnext schema diff`: what differs between two states of the contracts, without a verdict.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use upnext_common::config::Config;
use upnext_contract::compat::Level;
use upnext_contract::evolution::{Contracts, changes};

use super::against::{self, Against};
use super::place;
use super::subjects::Subjects;
use crate::endpoints::Target;
use crate::failure::Failure;
use crate::output;
use crate::settings::Settings;

/// Print what differs between two states of the schemas, field by field
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  upnext schema diff git:main schemas
  upnext schema diff git:v1 git:v2
  upnext schema diff registry schemas")]
pub(super) struct DiffArgs {
    /// The older state: a directory, git:REV, or registry
    old: Against,
    /// The newer state
    #[arg(default_value = "schemas")]
    new: Against,
    /// The directory whose commits git:REV means
    #[arg(long, default_value = "schemas", value_name = "DIR")]
    schemas: PathBuf,
}

pub(super) async fn run(settings: &Settings, args: &DiffArgs) -> Result<ExitCode, Failure> {
    let config = settings.load()?;
    let old = state(&config, args, &args.old).await?;
    let new = state(&config, args, &args.new).await?;
    let found = changes(&[old], &new, Level::None);
    let mut file = "";
    for change in &found {
        if change.file != file {
            file = &change.file;
            output::line(file);
        }
        output::line(format!("  {change}"));
    }
    let files: BTreeSet<&str> = found.iter().map(|change| change.file.as_str()).collect();
    output::line(format!("{} differences in {} files", found.len(), files.len()));
    Ok(ExitCode::SUCCESS)
}

async fn state(config: &Config, args: &DiffArgs, which: &Against) -> Result<Contracts, Failure> {
    match which {
        Against::Directory(directory) => place::of_directory(directory),
        Against::Commit(revision) => against::of_commit(&args.schemas, revision),
        Against::Registry => {
            let url = Target::find(config).registry()?;
            let states = against::of_registry(&url, &Subjects::of(config)).await?;
            // `of_registry` gives at least one state.
            Ok(states.into_iter().next_back().unwrap_or_default())
        }
    }
}
