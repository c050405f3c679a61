//! The `upnext` binary: one verb a run, exit codes as in sysexits.

mod arguments;
mod settings;
mod failure;
mod output;
mod stop;
mod threads;
mod progress;
mod up;
mod system;
mod daemons;
mod redis_child;
mod endpoints;
mod daemon_verbs;
mod features_verb;
mod import;
mod train;
mod evaluate;
mod simulate;
mod events;
mod dlq;
mod tap;
mod top;
mod schema;
mod config_verb;
mod completions;
mod crowd;
mod writer;
mod pipeline;
mod api;

use std::process::ExitCode;

use clap::Parser;

use arguments::Cli;
use failure::Failure;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return failure::show_usage(&error),
    };
    if cli.verb.trains() {
        threads::settle();
    }
    match run(cli) {
        Ok(code) => code,
        Err(failure) => failure.show(),
    }
}

fn run(cli: Cli) -> Result<ExitCode, Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::Other(error.into()))?;
    runtime.block_on(arguments::dispatch(cli))
}
