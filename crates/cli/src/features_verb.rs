//! `upnext features`: the daemon itself, and what can be asked of the state it keeps.

mod rebuild;
mod verify;

use std::process::ExitCode;

use clap::{Args, Subcommand};

use crate::daemon_verbs::{self, Daemon};
use crate::failure::Failure;
use crate::settings::Settings;

use rebuild::{DropOldArgs, RebuildArgs};
use verify::VerifyArgs;

/// Run the features daemon: valid events to the state of users and items in Redis; or look after that state.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  upnext features --config production.toml
  upnext features --set redis.url=redis://redis:6379 --set kafka.brokers=kafka:9092 --set registry.url=http://registry:8081
  upnext features verify
  upnext features rebuild --dry-run

Without a verb it is the daemon. Several processes share the partitions. Probes and metrics are at ops.listen.")]
pub(crate) struct FeaturesArgs {
    #[command(subcommand)]
    verb: Option<FeaturesVerb>,
}

#[derive(Debug, Subcommand)]
enum FeaturesVerb {
    Verify(VerifyArgs),
    Rebuild(RebuildArgs),
    DropOld(DropOldArgs),
}

pub(crate) async fn run(settings: &Settings, args: &FeaturesArgs) -> Result<ExitCode, Failure> {
    match &args.verb {
        None => daemon_verbs::run(settings, Daemon::Features).await,
        Some(FeaturesVerb::Verify(args)) => Box::pin(verify::run(settings, args)).await,
        Some(FeaturesVerb::Rebuild(args)) => Box::pin(rebuild::run(settings, args)).await,
        Some(FeaturesVerb::DropOld(args)) => Box::pin(rebuild::drop_old(settings, args)).await,
    }
}
