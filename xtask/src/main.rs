//! House keeping and the chaos harness: `cargo xtask tidy`, `cargo xtask chaos`.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a command line tool")]

mod chaos;
mod tidy;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

const USAGE: &str = "usage: cargo xtask tidy
       cargo xtask chaos [--debug] [OPTIONS]    what OPTIONS there are: cargo xtask chaos --help";
const EXIT_USAGE: u8 = 64;

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let verb = arguments.next();
    let rest: Vec<String> = arguments.collect();
    match (verb.as_deref(), rest.is_empty()) {
        (Some("tidy"), true) => run_tidy(),
        (Some("chaos"), _) => run_chaos(rest),
        (Some("--help" | "-h"), true) => {
            println!("{USAGE}");
            ExitCode::SUCCESS
        }
        _ => {
            eprintln!("{USAGE}");
            ExitCode::from(EXIT_USAGE)
        }
    }
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn run_chaos(arguments: Vec<String>) -> ExitCode {
    chaos::run(&root(), arguments).unwrap_or_else(|error| {
        eprintln!("the harness cannot be run: {error}");
        ExitCode::FAILURE
    })
}

fn run_tidy() -> ExitCode {
    match tidy::complaints(&root()) {
        Ok(found) if found.is_empty() => ExitCode::SUCCESS,
        Ok(found) => {
            for complaint in &found {
                eprintln!("{complaint}");
            }
            eprintln!("{} found", found.len());
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("the tree cannot be read: {error}");
            ExitCode::FAILURE
        }
    }
}
