//! `upnext-chaos`: real processes under load and faults, then a verifier that replays the log. For development only.
//!
//! Reading order: what comes (`plan`, `crowd`), what runs (`scene` of `process`, `redis` and `proxy`), what happens
//! (`drive`, `load` with `ledger`, `garbage` and `newcomer`, `faults`, `settle`), what has to be true (`outcomes`, `logs`,
//! `verify`), what is said (`report`, `controls`).

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a command line tool")]

mod die;
mod plan;
mod crowd;
mod process;
mod aof;
mod redis;
mod proxy;
mod lack;
mod rebuilding;
mod scene;
mod ledger;
mod garbage;
mod newcomer;
mod load;
mod faults;
mod settle;
mod drive;
mod outcomes;
mod logs;
mod verify;
mod report;
mod controls;
mod roles;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, Subcommand};
use tokio::signal::unix::{SignalKind, signal};

use crowd::Habits;
use drive::Course;
use lack::Lack;
use plan::Kind;
use report::Report;
use scene::Settings;

const EXIT_WRONG: u8 = 1;
const EXIT_USAGE: u8 = 64;
const EXIT_UNAVAILABLE: u8 = 69;
/// Groups of keys, by the seed.
const KEY_GROUPS: [u32; 3] = [1, 4, 16];
/// Between two commits of ingest: a kill repeats some hundred records.
const COMMIT_MS: u64 = 500;

/// Break everything under load, then hold every state against a replay of the log.
#[derive(Parser, Debug)]
#[command(
    name = "upnext-chaos",
    after_help = "Examples:
  upnext-chaos --faults 50 --events 100000
  upnext-chaos --seed 7 --faults 300 --events 1000000 --minutes 60 --report chaos.json
  upnext-chaos --weaken all

Exit codes: 0 every state is right (with --weaken: each weakened run was found wrong), 1 it is not, 64 usage,
69 the run could not be made."
)]
struct Arguments {
    #[command(subcommand)]
    role: Option<Role>,
    /// Faults in all, of all kinds in turn.
    #[arg(long, default_value_t = 50)]
    faults: usize,
    /// Says which faults strike when, and what is sent.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Events sent at least.
    #[arg(long, default_value_t = 100_000)]
    events: u64,
    #[arg(long, default_value_t = 5_000)]
    users: u64,
    /// Groups that keys in Redis fall into; unset: 1, 4 or 16, by the seed.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=1_024))]
    key_groups: Option<u32>,
    /// The run is given up after this.
    #[arg(long, default_value_t = 10)]
    minutes: u64,
    /// Take one guard out of a daemon and expect to find it wrong: `all` or the name of a mode.
    #[arg(long, value_name = "MODE")]
    weaken: Option<String>,
    /// Write what was found as JSON.
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
    /// The `upnext` binary; unset: the one beside this program.
    #[arg(long, value_name = "FILE")]
    binary: Option<PathBuf>,
    /// Keep logs and files of all processes here; unset: only when something is wrong.
    #[arg(long, value_name = "DIR")]
    keep: Option<PathBuf>,
}

/// What the program is as a child of itself.
#[derive(Subcommand, Debug)]
enum Role {
    #[command(hide = true)]
    Broker(roles::ServerArgs),
    #[command(hide = true)]
    Registry(roles::ServerArgs),
    #[command(hide = true)]
    Features(roles::DaemonArgs),
    #[command(hide = true)]
    Ingest(roles::DaemonArgs),
}

fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            // Nobody reads what cannot be printed.
            error.print().ok();
            return ExitCode::from(if error.use_stderr() { EXIT_USAGE } else { 0 });
        }
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let outcome = match runtime {
        Ok(runtime) => runtime.block_on(dispatch(arguments)),
        Err(error) => Err(error.into()),
    };
    outcome.unwrap_or_else(|error| {
        eprintln!("upnext-chaos: {error:#}");
        ExitCode::from(EXIT_UNAVAILABLE)
    })
}

async fn dispatch(mut arguments: Arguments) -> anyhow::Result<ExitCode> {
    match arguments.role.take() {
        Some(Role::Broker(args)) => roles::broker(args).await.map(|()| ExitCode::SUCCESS),
        Some(Role::Registry(args)) => roles::registry(args).await.map(|()| ExitCode::SUCCESS),
        Some(Role::Features(args)) => roles::features(args).await.map(|()| ExitCode::SUCCESS),
        Some(Role::Ingest(args)) => roles::ingest(args).await.map(|()| ExitCode::SUCCESS),
        None => harness(arguments).await,
    }
}

async fn harness(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let modes = match arguments.weaken.as_deref().map(modes) {
        Some(Err(message)) => {
            eprintln!("upnext-chaos: --weaken: {message}");
            return Ok(ExitCode::from(EXIT_USAGE));
        }
        Some(Ok(modes)) => Some(modes),
        None => None,
    };
    let files = tempfile::tempdir()?;
    let directory = arguments.keep.clone().unwrap_or_else(|| files.path().to_owned());
    let mut terminated = signal(SignalKind::terminate())?;
    let judged = tokio::select! {
        judged = Box::pin(judge(&arguments, modes, &directory)) => judged,
        _ = tokio::signal::ctrl_c() => Err(anyhow::anyhow!("interrupted")),
        _ = terminated.recv() => Err(anyhow::anyhow!("terminated")),
    };
    if !matches!(judged, Ok(true)) && arguments.keep.is_none() {
        println!("logs and files are kept in {}", files.keep().display());
    }
    Ok(if judged? { ExitCode::SUCCESS } else { ExitCode::from(EXIT_WRONG) })
}

/// Whether everything is as it should be.
async fn judge(
    arguments: &Arguments,
    modes: Option<Vec<Lack>>,
    directory: &Path,
) -> anyhow::Result<bool> {
    let key_groups = arguments.key_groups.unwrap_or_else(|| key_groups_of(arguments.seed));
    let binary = binary(arguments)?;
    let settings = Settings { binary, weakened: None, commit_ms: COMMIT_MS, key_groups };
    let (is_good, reports) = if let Some(modes) = modes {
        let found = controls::run(directory, &settings, &modes, arguments.seed).await?;
        println!("{}", controls::table(&found));
        let named = found.iter().map(|(mode, told)| (mode.name().to_owned(), told.clone()));
        (controls::hold(&found), named.collect())
    } else {
        let told = drive::run(directory, &settings, &course(arguments)).await?;
        println!("{told}");
        (told.is_right, vec![("chaos".to_owned(), told)])
    };
    if let Some(path) = &arguments.report {
        Report::write(&reports, path)?;
    }
    Ok(is_good)
}

fn course(arguments: &Arguments) -> Course {
    let (users, events) = (arguments.users, arguments.events);
    Course {
        seed: arguments.seed,
        plan: plan::plan(&Kind::ALL, arguments.faults, arguments.seed),
        habits: Habits { users, events, repeat_every: 50, bot_every: 10, erase_every: 2_000 },
        bound: Duration::from_secs(arguments.minutes * 60),
    }
}

fn key_groups_of(seed: u64) -> u32 {
    KEY_GROUPS[(seed % KEY_GROUPS.len() as u64) as usize]
}

/// The whole daemon first: what it is put through has to be fair.
fn modes(name: &str) -> Result<Vec<Lack>, String> {
    let mut modes = vec![Lack::Nothing];
    match name {
        "all" => modes.extend(Lack::all()),
        name => modes.extend(Some(Lack::named(name)?).filter(|lack| *lack != Lack::Nothing)),
    }
    Ok(modes)
}

fn binary(arguments: &Arguments) -> anyhow::Result<PathBuf> {
    let beside = std::env::current_exe()?.with_file_name("upnext");
    let binary = arguments.binary.clone().unwrap_or(beside);
    anyhow::ensure!(
        binary.is_file(),
        "{} is missing: build it with cargo build --package upnext-cli, or say --binary",
        binary.display()
    );
    Ok(binary)
}

#[cfg(test)]
mod tests {
    use upnext_features::Weakened;

    use super::*;

    #[test]
    fn a_weakened_run_is_preceded_by_a_whole_one() {
        assert_eq!(modes("none"), Ok(vec![Lack::Nothing]));
        let naive = Lack::Features(Weakened::NaiveIncrements);
        assert_eq!(modes("naive-increments"), Ok(vec![Lack::Nothing, naive]));
        assert_eq!(modes("all").map(|modes| modes.len()), Ok(10));
        assert!(modes("anything").is_err());
    }
}
