//! The `upnext` binary: one verb a run, exit codes as in sysexits.

mod arguments;
mod config_verb;
mod completions;
mod output;
mod failure;
mod settings;
mod stop;
mod crowd;
mod redis_child;

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
